//! Ids, addresses and times in both worlds' words.

use shared::id::StanzaId;
use shared::recipient::{Number, NumberKind};
use time::OffsetDateTime;
use whatsapp::command::Recipient;
use whatsapp::jid::{Jid, Server};
use whatsapp::message_id::MessageId;
use whatsapp::time::Timestamp;

/// A message's id of the wire, as the product writes it.
pub(crate) fn stanza_id(id: &MessageId) -> StanzaId {
    // Unwrap safety: both are 1 to 128 printable ASCII characters without blanks; a property test shows it.
    #[allow(clippy::unwrap_used)]
    StanzaId::new(id.as_str()).unwrap()
}

/// A message's id as the wire has it.
pub(crate) fn message_id(id: &StanzaId) -> MessageId {
    // Unwrap safety: as above.
    #[allow(clippy::unwrap_used)]
    id.as_str().parse().unwrap()
}

/// A recipient's address on the wire.
pub(crate) fn recipient(number: &Number) -> Recipient {
    match number.kind() {
        NumberKind::Phone => Recipient::Phone(number.user().to_owned()),
        kind => Recipient::Jid(Jid::new(number.user(), server(kind))),
    }
}

/// The same for somebody who may not be looked up.
pub(crate) fn known_recipient(number: &Number) -> Recipient {
    match recipient(number) {
        Recipient::Phone(digits) => Recipient::KnownPhone(digits),
        other => other,
    }
}

/// Where a kind of recipient is on the wire.
pub(crate) fn server(kind: NumberKind) -> Server {
    match kind {
        NumberKind::Phone => Server::User,
        NumberKind::Group => Server::Group,
        NumberKind::Lid => Server::Lid,
    }
}

/// A time of the library as the product writes it.
pub(crate) fn wall(at: Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Most texts drawn are near the borders of both grammars.
        #[test]
        fn what_is_an_id_in_one_world_is_one_in_the_other(
            text in prop_oneof!["[ -~]{0,140}", "[!-~]{120,140}", "\\PC{0,8}", "[!-~]{1,128}"],
        ) {
            let (ours, theirs) = (StanzaId::new(&text), text.parse::<MessageId>());
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(stanza_id(&theirs), ours.clone());
                prop_assert_eq!(message_id(&ours), theirs);
            }
        }
    }
}
