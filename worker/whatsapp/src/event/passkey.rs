//! What is told of linking an account that must prove itself with a passkey.

/// Whether the code of `Event::PasskeyCode` must be compared with the phone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing else tells that it is this phone and this companion that agree.
    Needed,
    /// The phone scanned our QR code and has had a proof of that. Comparing still guards against the server.
    Optional,
}

/// A step of linking with a passkey that the owner takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyStep {
    /// What the passkey signed.
    Answer,
    /// That the codes are the same.
    Confirmation,
    /// To give up.
    Cancellation,
}

/// Why a step of linking with a passkey was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// Nothing waits for this step now.
    #[error("nothing waits for this now")]
    NotExpected,
    /// The assertion is none for what was asked. Nothing was sent, and another may follow.
    #[error("{field} {problem}")]
    BadAssertion {
        /// The part at fault, as it is called in the assertion's JSON.
        field: &'static str,
        /// What is wrong with it, for people.
        problem: &'static str,
    },
    /// It came to nothing; a fresh connection follows.
    #[error("{0}")]
    Failed(String),
}
