//! What is stored of a person: under which names, and in which records of the library.

use shared::id::SessionId;
use shared::store::chats::change::Peer;
use shared::store::keys::KeyKind;
use shared::store::{Store, StoreError, chats, keys};
use whatsapp::jid::{Jid, Server};
use whatsapp::store::{RecordKey, RecordKind};

/// All names of a person that are known, by what came in and by what the library keeps; the one that was asked for among
/// them.
pub(crate) async fn names(store: &Store, session: SessionId, jid: String) -> Result<Vec<String>, StoreError> {
    let Peer { jid: known, lid } = chats::names(store, session, &jid).await?;
    let mut names = vec![jid];
    names.extend([Some(known), lid].into_iter().flatten());
    let asked = names.iter().filter_map(|name| name.parse::<Jid>().ok());
    let others: Vec<(Jid, RecordKey)> = asked
        .filter_map(|jid| RecordKey::other_name(&jid).map(|key| (jid, key)))
        .collect();
    let rows: Vec<_> = others.iter().map(|(_, key)| row(key.clone())).collect();
    let values = keys::load(store, session, &rows).await?;
    for ((jid, _), value) in others.iter().zip(values) {
        let user = value.as_deref().and_then(|user| std::str::from_utf8(user).ok());
        let server = match jid.is_lid() {
            true => Server::User,
            false => Server::Lid,
        };
        names.extend(user.map(|user| Jid::new(user, server).to_string()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The records that speak of a person alone: ratchets of their devices, sender keys that they handed us, tokens, and what
/// leads from one of their names to another. Who is in a group is the group's.
pub(crate) async fn records(
    store: &Store,
    session: SessionId,
    names: &[String],
) -> Result<Vec<(KeyKind, Vec<u8>)>, StoreError> {
    let people: Vec<Jid> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let mut records: Vec<_> = people.iter().flat_map(RecordKey::of_person).map(row).collect();
    for kind in [RecordKind::Session, RecordKind::SenderKey] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = keys::names(store, session, KeyKind(kind as u8), after.as_deref(), PAGE).await?;
            let Some(last) = page.last().cloned() else {
                break;
            };
            after = Some(last);
            let all = page.into_iter().map(|name| RecordKey { kind, name });
            records.extend(all.filter(|key| key.is_of_device(&people)).map(row));
        }
    }
    Ok(records)
}

fn row(key: RecordKey) -> (KeyKind, Vec<u8>) {
    (KeyKind(key.kind as u8), key.name)
}

/// Names that are read at a time.
const PAGE: usize = 10_000;
