//! Who trusts whom: the tokens that were given, and who has to show them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::number::{DeviceAddr, Number};

/// Most tokens that are remembered; beyond, nobody is given any.
pub const MAX_TOKENS: usize = 4_000_000;

/// Which messages to a contact have to prove that they may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proofs {
    /// None: proofs are only looked at.
    #[default]
    Optional,
    /// Those to contacts that never wrote to the account, as the server does with accounts that it restricts.
    New,
    /// All.
    Always,
}

/// What becomes of the salt that an account proves itself with to contacts who gave it no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaltChange {
    /// Another one holds from now on.
    Rotate,
    /// There is none.
    Remove,
}

/// The tokens that were given.
#[derive(Default)]
pub(super) struct Tokens {
    /// When a user gave their token to another, unix seconds. What it is follows from this.
    pub(super) given: HashMap<(Number, Number), u64>,
    /// When a device had a token issued for a user last.
    pub(super) asked: HashMap<(DeviceAddr, Number), u64>,
}
