//! Messages in protobuf: what is read is written and read again as the same.

use prost::Message;
use whatsapp::proto;
use whatsapp::signal::padding::unpad;

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = super::chosen(data, 9) else {
        return;
    };
    match kind {
        0 => same::<proto::Message>(data),
        1 => {
            if let Ok(message) = unpad(data) {
                same::<proto::Message>(message);
            }
        }
        2 => same::<proto::WebMessageInfo>(data),
        3 => same::<proto::SyncActionData>(data),
        4 => same::<proto::SyncdPatch>(data),
        5 => same::<proto::SyncdSnapshot>(data),
        6 => same::<proto::HandshakeMessage>(data),
        7 => same::<proto::SyncdMutations>(data),
        _ => same::<proto::ClientPayload>(data),
    }
}

/// Compares bytes, as no number that is none is like itself.
fn same<M: Message + Default>(data: &[u8]) {
    let Ok(message) = M::decode(data) else {
        return;
    };
    let written = message.encode_to_vec();
    let again = M::decode(written.as_slice()).expect("what we write can be read");
    assert_eq!(
        written,
        again.encode_to_vec(),
        "the same message has the same form"
    );
}
