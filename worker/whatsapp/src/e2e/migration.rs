//! The pairs of numbers and hidden ids that our phone shares when its account goes over to hidden ids.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use prost::Message as _;

use super::directory::{Directory, is_own};
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::proto::{LidMigrationMapping, LidMigrationMappingSyncPayload, Message};
use crate::signal::Address;

/// Most pairs that are taken from one message; those of other contacts are learned when they are written to.
const MAX_PAIRS: usize = 4096;

/// Takes in what a `LID_MIGRATION_MAPPING_SYNC` message says, if it is our own phone's.
pub(super) fn learn(cx: &mut Context<'_>, directory: &mut Directory, sender: &Address, message: &Message) {
    if sender.device() != 0 || !is_own(cx.device, sender.jid()) {
        tracing::debug!("hidden ids that are not from our phone are left aside");
        return;
    }
    let sync = message.protocol_message.as_ref();
    let sync = sync.and_then(|protocol| protocol.lid_migration_mapping_sync_message.as_ref());
    let payload = sync.and_then(|sync| sync.encoded_mapping_payload.clone());
    let decoded = payload.and_then(|payload| LidMigrationMappingSyncPayload::decode(payload).ok());
    let Some(payload) = decoded else {
        tracing::warn!("the phone's list of hidden ids can't be read and is left aside");
        return;
    };
    for (phone, lid) in payload.pn_to_lid_mappings.iter().filter_map(pair).take(MAX_PAIRS) {
        directory.learn(cx, &phone, &lid);
    }
}

/// The latest id counts, else the one that was given first. Neither name may be absent, which reads as 0.
fn pair(mapping: &LidMigrationMapping) -> Option<(Jid, Jid)> {
    let given = |lid: Option<u64>| lid.filter(|lid| *lid != 0);
    let lid = given(mapping.latest_lid).or(given(mapping.assigned_lid))?;
    let phone = Jid::phone(&mapping.pn?.to_string()).ok()?;
    Some((phone, Jid::new(lid.to_string(), Server::Lid)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::device::Account;
    use crate::part::testing::Lender;

    /// A message as an independent implementation makes it: `lid_migration_payload`.
    const RECORDED: &str = "621f1016ba011a0a180a1008ff9fb5e6b5a001108180e983b1de161080e2cfaa06";

    fn learned(sender: &str, message: &[u8]) -> Option<String> {
        let (mut lender, mut directory) = (Lender::new(), Directory::default());
        let cx = &mut lender.context();
        cx.device_mut().account = Some(Account {
            jid: "15550001:3@s.whatsapp.net".parse().unwrap(),
            lid: Some("100@lid".parse().unwrap()),
            identity: Bytes::new(),
            push_name: None,
            platform: String::new(),
            is_migrated: true,
            token_salt: None,
        });
        let message = Message::decode(message).unwrap();
        learn(cx, &mut directory, &sender.parse().unwrap(), &message);
        let phone = Jid::new("5511999999999", Server::User);
        directory.other_name(&phone).map(|lid| lid.to_string())
    }

    #[test]
    fn the_phone_s_pairs_are_learned_and_nobody_else_s() {
        let message = hex::decode(RECORDED).unwrap();
        let expected = Some("100000000000001@lid".to_owned());
        assert_eq!(learned("15550001@s.whatsapp.net", &message), expected);
        assert_eq!(learned("100@lid", &message), expected);
        for other in ["100:3@lid", "15550002@s.whatsapp.net"] {
            assert_eq!(learned(other, &message), None, "{other}");
        }
    }

    #[test]
    fn rubbish_teaches_nothing() {
        let rubbish = hex::decode("62091016ba01040a02ffff").unwrap();
        assert_eq!(learned("15550001@s.whatsapp.net", &rubbish), None);
        let mapping = |pn, assigned_lid, latest_lid| {
            pair(&LidMigrationMapping {
                pn: Some(pn),
                assigned_lid: Some(assigned_lid),
                latest_lid,
            })
        };
        assert!(mapping(0, 5, None).is_none() && mapping(15_550_002, 0, Some(0)).is_none());
        let (_, lid) = mapping(15_550_002, 5, Some(0)).unwrap();
        assert_eq!(lid.user(), "5");
        let (_, lid) = mapping(15_550_002, 5, Some(6)).unwrap();
        assert_eq!(lid.user(), "6");
    }
}
