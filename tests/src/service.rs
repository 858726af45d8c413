//! What a service on this machine, RabbitMQ or PostgreSQL, takes of it (Linux).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Url;

/// How long a tick of `/proc/…/stat` is.
const TICK_MS: u64 = 10;
/// A socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A process, as `/proc` has it.
struct Seen {
    parent: u32,
    /// Its own, and that of children which have ended.
    ticks: u64,
}

/// The processor time of the process that listens at this URL's port, and of all that it started, since they began.
///
/// # Errors
/// When no process of this machine does, or it may not be looked at.
pub fn cpu_time(url: &str) -> Result<Duration> {
    let url = Url::parse(url).context("the URL of a service")?;
    let port = url
        .port()
        .with_context(|| format!("no port in the URL of {}", url.scheme()))?;
    let seen: HashMap<u32, Seen> = processes().into_iter().collect();
    let listener = listener(port, seen.keys().copied())?;
    let is_of = |pid: u32| {
        let mut at = Some(pid);
        while let Some(pid) = at.filter(|pid| *pid != listener) {
            at = seen.get(&pid).map(|seen| seen.parent);
        }
        at.is_some()
    };
    let ticks: u64 = seen
        .iter()
        .filter(|(pid, _)| is_of(**pid))
        .map(|(_, seen)| seen.ticks)
        .sum();
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// All processes that are still there when they are looked at.
fn processes() -> Vec<(u32, Seen)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, look(pid)?))).collect()
}

fn look(pid: u32) -> Option<Seen> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold blanks: state, parent, and from the twelfth field on the times.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(Seen {
        parent: fields.get(1)?.parse().ok()?,
        ticks,
    })
}

/// Who listens on the port.
fn listener(port: u16, pids: impl Iterator<Item = u32>) -> Result<u32> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| listening(line, port))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut holders = pids.filter(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    });
    // PostgreSQL's children may have its socket open too: the first of them began all others.
    holders
        .by_ref()
        .min()
        .with_context(|| format!("no process here listens on port {port}"))
}

/// The socket of a line of `/proc/net/tcp`, as a link to it reads, if it listens on the port.
fn listening(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, found) = fields.get(1)?.rsplit_once(':')?;
    let listens = fields.get(3) == Some(&LISTENS) && u16::from_str_radix(found, 16) == Ok(port);
    listens.then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
}
