//! Health: loops that must report before their deadlines, and checks of what the process depends on.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// How long one readiness check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long something that went wrong once is told.
const LATELY: Duration = Duration::from_secs(90);

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The health of a process. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    loops: HashMap<u64, Loop>,
    checks: Vec<(&'static str, Check)>,
    /// Checks of what the process can do without.
    notices: Vec<(&'static str, Check)>,
    degraded: BTreeMap<&'static str, String>,
    /// What went wrong once, and when.
    lately: BTreeMap<&'static str, (Instant, String)>,
}

struct Loop {
    name: &'static str,
    deadline: Duration,
    last: Instant,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

impl Health {
    /// A process with nothing to watch yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            inner: Arc::default(),
        }
    }

    /// Registers a loop that must beat within each `deadline`. It is forgotten when the heartbeat is dropped.
    pub fn heartbeat(&self, name: &'static str, deadline: Duration) -> Heartbeat {
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        inner.loops.insert(
            id,
            Loop {
                name,
                deadline,
                last: self.clock.now(),
            },
        );
        drop(inner);
        Heartbeat {
            health: self.clone(),
            id,
        }
    }

    /// Registers a check of something that the process depends on; its error says what is wrong.
    pub fn check<F, R>(&self, name: &'static str, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.inner()
            .checks
            .push((name, Arc::new(move || Box::pin(check()))));
    }

    /// Registers a check of something that others need for the process to be of full use; its error says what is wrong. It
    /// stays ready all the same.
    pub fn notice<F, R>(&self, name: &'static str, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.inner()
            .notices
            .push((name, Arc::new(move || Box::pin(check()))));
    }

    /// Says what hinders the work of the process without making it useless, or that nothing does any more. It stays ready:
    /// another process in its place would be no better off.
    pub fn degraded(&self, name: &'static str, trouble: Option<String>) {
        let degraded = &mut self.inner().degraded;
        match trouble {
            Some(trouble) => drop(degraded.insert(name, trouble)),
            None => drop(degraded.remove(name)),
        }
    }

    /// Says what went wrong just now: it is told for a minute and a half, or until something else of that name does.
    pub fn lately(&self, name: &'static str, trouble: String) {
        let now = self.clock.now();
        self.inner().lately.insert(name, (now, trouble));
    }

    /// What hinders the work of the process without making it useless, or did so lately.
    pub fn troubles(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut inner = self.inner();
        inner.lately.retain(|_, (at, _)| now.duration_since(*at) < LATELY);
        let lately = inner.lately.iter().map(|(name, (_, trouble))| (name, trouble));
        let troubles = inner.degraded.iter().chain(lately);
        troubles
            .map(|(name, trouble)| format!("{name}: {trouble}"))
            .collect()
    }

    /// Loops that are silent for too long: the process should be restarted.
    pub fn stuck(&self) -> Vec<String> {
        let now = self.clock.now();
        let inner = self.inner();
        let silent = inner
            .loops
            .values()
            .filter(|l| now.duration_since(l.last) > l.deadline);
        let mut names: Vec<String> = silent
            .map(|l| format!("{}: silent for more than {:?}", l.name, l.deadline))
            .collect();
        names.sort_unstable();
        names
    }

    /// What keeps the process from working now: it should get no work.
    pub async fn not_ready(&self) -> Vec<String> {
        let checks = self.inner().checks.clone();
        let mut problems = self.stuck();
        problems.extend(failing(checks).await);
        problems
    }

    /// What hinders the work of the process without making it useless, what it looks at anew included.
    pub async fn degradations(&self) -> Vec<String> {
        let notices = self.inner().notices.clone();
        let mut troubles = self.troubles();
        troubles.extend(failing(notices).await);
        troubles
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes these checks; what they find, each under its name.
async fn failing(checks: Vec<(&'static str, Check)>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, check) in checks {
        match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => problems.push(format!("{name}: {problem}")),
            Err(_) => problems.push(format!("{name}: no answer within {CHECK_TIMEOUT:?}")),
        }
    }
    problems
}

/// The pulse of one loop.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    id: u64,
}

impl Heartbeat {
    /// The loop has come round.
    pub fn beat(&self) {
        if let Some(watched) = self.health.inner().loops.get_mut(&self.id) {
            watched.last = self.health.clock.now();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.health.inner().loops.remove(&self.id);
    }
}
