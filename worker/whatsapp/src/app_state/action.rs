//! What a mutation means to us.

use bytes::Bytes;

use crate::device::Account;
use crate::part::Context;
use crate::sync_action::{SyncAction, SyncSource};
use crate::syncd::{Mutation, Operation};

/// Something that a device of the account did.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The server lets the account prove itself with this, or with nothing any more.
    TokenSalt(Option<Bytes>),
    /// Anything else.
    Done(SyncAction),
}

impl Action {
    /// What a mutation means.
    pub(super) fn of(mutation: &Mutation) -> Self {
        let salt = match (mutation.index.first().map(String::as_str), mutation.operation) {
            (Some("nct_salt_sync"), Operation::Remove) => Some(None),
            (Some("nct_salt_sync"), Operation::Set) => salt(mutation).map(Some),
            _ => None,
        };
        salt.map_or_else(|| Self::Done(SyncAction::of(mutation)), Self::TokenSalt)
    }
}

/// What became of a collection.
pub(crate) struct Acted {
    pub(crate) collection: &'static str,
    pub(crate) source: SyncSource,
    pub(crate) actions: Vec<Action>,
}

fn salt(mutation: &Mutation) -> Option<Bytes> {
    let salt = mutation.value.nct_salt_sync_action.as_ref()?.salt.as_ref()?;
    let is_fine = !salt.is_empty() && salt.len() <= MAX_SALT_BYTES;
    // A copy: it outlives the patch that it came in.
    is_fine.then(|| Bytes::copy_from_slice(salt))
}

/// Longest salt taken; 32 bytes are expected.
const MAX_SALT_BYTES: usize = 256;

/// The app state says what the account proves itself with.
pub(crate) fn keep_salt(cx: &mut Context<'_>, salt: Option<Bytes>) {
    let device = cx.device_mut();
    device.is_salt_synced = true;
    if let Some(account) = &mut device.account {
        account.token_salt = salt;
    }
}

/// The history says what the account proves itself with: it counts while the app state has said nothing.
pub(crate) fn fill_in_salt(cx: &mut Context<'_>, salt: Vec<u8>) {
    let has_salt = |account: &Account| account.token_salt.is_some();
    let is_known = cx.device.is_salt_synced || cx.device.account.as_ref().is_none_or(has_salt);
    if is_known || salt.is_empty() || salt.len() > MAX_SALT_BYTES {
        return;
    }
    if let Some(account) = &mut cx.device_mut().account {
        account.token_salt = Some(salt.into());
    }
}
