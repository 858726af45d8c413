//! What a mutation means to us.

use bytes::Bytes;

use crate::device::Account;
use crate::part::Context;
use crate::syncd::{Mutation, Operation};

/// Something that another device of the account did.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The account has this name.
    PushName(String),
    /// The server lets the account prove itself with this, or with nothing any more.
    TokenSalt(Option<Bytes>),
}

impl Action {
    /// What a mutation means; `None` if nobody here acts on it.
    pub(super) fn of(mutation: Mutation) -> Option<Self> {
        let kind = mutation.index.first()?;
        match (kind.as_str(), mutation.operation) {
            ("setting_pushName", Operation::Set) => {
                let name = mutation.value.push_name_setting?.name?;
                (!name.is_empty()).then_some(Self::PushName(name))
            }
            ("nct_salt_sync", Operation::Remove) => Some(Self::TokenSalt(None)),
            ("nct_salt_sync", Operation::Set) => {
                let salt = mutation.value.nct_salt_sync_action?.salt?;
                let is_fine = !salt.is_empty() && salt.len() <= MAX_SALT_BYTES;
                // A copy: it outlives the patch that it came in.
                is_fine.then(|| Self::TokenSalt(Some(Bytes::copy_from_slice(&salt))))
            }
            _ => None,
        }
    }
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
