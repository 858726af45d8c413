//! What the number of a closed connection means, in words.

use shared::waiting::Reason;

/// What to do about a proxy.
pub const PROXY: &str = Reason::Proxy.detail();

/// The number of that.
pub const PROXY_CODE: u16 = 407;

/// What a `closeReason` means, and what follows.
pub fn words(code: u16) -> &'static str {
    match code {
        401 => "the device was unlinked from the account; start the session and pair it again",
        402 => "WhatsApp has banned the account for a time",
        403 => "WhatsApp refuses the account; its phone says why",
        405 => "WhatsApp did not take this version of WhatsApp Web",
        406 => "WhatsApp refuses the account for good",
        407 => PROXY,
        408 => "nothing came back in time, or nobody paired in time",
        409 => "WhatsApp does not take this client",
        411 => "the account is not set up for linked devices",
        428 => "the connection closed",
        429 => "WhatsApp asked to connect less often",
        440 => "another connection of this device took over",
        500 | 503 => "WhatsApp had trouble, or what it said could not be trusted",
        511 => "the account had to be proved with a passkey, and was not",
        515 => "WhatsApp asked for a new connection",
        516 => "the device was unlinked by the account's phone",
        _ => "WhatsApp closed the connection with this number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_have_words_of_their_own() {
        for code in [
            401, 402, 403, 405, 407, 408, 409, 411, 428, 429, 440, 500, 511, 515,
        ] {
            assert_ne!(words(code), words(999), "{code}");
        }
    }
}
