//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(25);

/// Returns as soon as `condition` is true.
///
/// # Errors
/// When it is not true after `patience`, naming `what` was waited for; an error of `condition` itself is tried again
/// until then and shown at the end.
pub async fn eventually(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let last = condition().await;
        if matches!(last, Ok(true)) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            match last {
                Ok(_) => bail!("waited {patience:?} in vain: {what}"),
                Err(error) => bail!("waited {patience:?} in vain: {what}: {error:#}"),
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
