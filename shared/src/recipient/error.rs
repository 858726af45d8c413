//! Why a text is not a recipient.

/// Fewest digits of a phone number with its country code (E.164 leaves no shorter one in use).
pub const PHONE_DIGITS_MIN: usize = 7;
/// Most digits of a phone number (E.164).
pub const PHONE_DIGITS_MAX: usize = 15;

/// Why a text is not a recipient. Its message completes "`field` …".
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NumberError {
    /// Nothing given.
    #[error("must not be empty")]
    Empty,
    /// Too few or too many digits.
    #[error("must have {PHONE_DIGITS_MIN} to {PHONE_DIGITS_MAX} digits, country code included")]
    Length,
    /// Does not begin with the code of a country.
    #[error("must begin with a country code (+49…, 0049… or 49…)")]
    Country,
    /// Fewer digits than any number of its country has.
    #[error("has too few digits for a number of its country")]
    TooShort,
    /// More digits than any number of its country has.
    #[error("has too many digits for a number of its country")]
    TooLong,
    /// As many digits as no number of its country has.
    #[error("has a number of digits that no number of its country has")]
    Impossible,
    /// Something else than digits and the usual `+`, blank, `-`, `.`, `/`, `(`, `)`.
    #[error("must be a phone number (digits, country code first) or a full jid")]
    Character,
    /// A jid of another server.
    #[error("must end in @s.whatsapp.net, @g.us or @lid when it is a jid")]
    Server,
    /// A user part that no jid of this server has.
    #[error("is not a valid jid: its user part must be digits")]
    User,
    /// A jid that names one device.
    #[error("must name a person or a group, not one device")]
    Device,
    /// A group or a hidden id where WhatsApp takes a phone number only.
    #[error("must be a phone number")]
    NotAPhone,
}
