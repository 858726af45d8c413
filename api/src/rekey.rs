//! `rekey`: has all that is stored sealed under the current key.

use anyhow::{Result, bail};
use shared::store::Store;
use shared::store::reseal;

/// How often it goes through all of it, if sessions write meanwhile: each time less is left.
const PASSES: u32 = 5;

/// Goes through all that is sealed until nothing is left under an older key, and says what it did.
///
/// # Errors
/// If something opens under no key, or is left; and when the database can't be asked.
pub async fn run(store: &Store, say: impl Fn(&str)) -> Result<()> {
    for _ in 0..PASSES {
        let done = reseal::all(store).await?;
        say(&format!(
            "{} values looked at, {} sealed under the current key now, {} in use meanwhile",
            done.seen, done.changed, done.busy
        ));
        if done.is_complete() && done.changed == 0 {
            say(
                "nothing is sealed under an older key: those may go, 24 hours from now (answers to an Idempotency-Key)",
            );
            return Ok(());
        }
        if done.unopened > 0 {
            bail!(
                "{} values open under no key of KEY_ENCRYPTION_KEY and stay as they are: add the key that sealed them",
                done.unopened
            );
        }
    }
    bail!(
        "some values are still sealed under an older key: do all processes have the new one first? Then run it again"
    )
}
