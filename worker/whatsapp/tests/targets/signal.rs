//! Encrypted messages and stored sessions: a copy that is not what the other side wrote is refused, and harms nothing but
//! itself.

use std::sync::LazyLock;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use whatsapp::signal::curve::KeyPair;
use whatsapp::signal::padding::unpad;
use whatsapp::signal::sender_key::SenderKeyRecord;
use whatsapp::signal::session::{LocalIdentity, PreKeyMessage, PreKeys, SessionRecord};
use whatsapp::signal::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};

/// Somebody with keys.
struct Party {
    pair: KeyPair,
    signed: SignedPreKey,
    one_time: PreKey,
}

/// Two who have spoken, and what the first writes next.
struct Pair {
    bob: Party,
    /// What Bob holds of Alice.
    record: SessionRecord,
    /// The message that began it, and the one that comes next.
    first: Vec<u8>,
    next: Vec<u8>,
    /// What Bob holds of Alice's sender key, and what she writes next in the group.
    group: SenderKeyRecord,
    distribution: Vec<u8>,
    to_group: Vec<u8>,
}

/// What the next messages say.
const SAID: &[u8] = b"a text";

static PAIR: LazyLock<Pair> = LazyLock::new(Pair::new);

impl Party {
    fn new(rng: &mut StdRng) -> Self {
        let pair = KeyPair::generate(rng);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &pair, rng);
        Self {
            signed,
            one_time: PreKey::generate(PreKeyId::FIRST, rng),
            pair,
        }
    }

    fn own(&self) -> LocalIdentity<'_> {
        LocalIdentity {
            pair: &self.pair,
            registration_id: RegistrationId::new(77),
        }
    }

    fn bundle(&self) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: RegistrationId::new(77),
            identity: *self.pair.public(),
            signed_prekey_id: self.signed.id,
            signed_prekey: *self.signed.pair.public(),
            signature: self.signed.signature,
            prekey: Some((self.one_time.id, *self.one_time.pair.public())),
        }
    }

    fn prekeys(&self) -> PreKeys<'_> {
        PreKeys {
            signed: Some(&self.signed),
            one_time: Some(&self.one_time),
        }
    }
}

impl Pair {
    fn new() -> Self {
        let rng = &mut StdRng::seed_from_u64(1);
        let (alice, bob) = (Party::new(rng), Party::new(rng));
        let (mut hers, mut record) = (SessionRecord::default(), SessionRecord::default());
        hers.initiate(alice.own(), &bob.bundle(), rng).expect("a bundle");
        let first = hers.encrypt(alice.own(), b"hello", rng).expect("a session");
        let message = PreKeyMessage::parse(&first.bytes).expect("a first message");
        record
            .decrypt_prekey(bob.own(), &message, bob.prekeys())
            .expect("a session");
        let answer = record.encrypt(bob.own(), b"hi", rng).expect("a session");
        hers.decrypt_message(alice.own(), &answer.bytes)
            .expect("an answer");
        let next = hers.encrypt(alice.own(), SAID, rng).expect("a session");
        let (mut ours, mut group) = (SenderKeyRecord::default(), SenderKeyRecord::default());
        ours.rotate(rng);
        let distribution = ours.distribution().expect("a chain");
        group.accept(&distribution).expect("a distribution");
        let to_group = ours.encrypt(SAID, rng).expect("a chain");
        Self {
            bob,
            record,
            first: first.bytes.to_vec(),
            next: next.bytes.to_vec(),
            group,
            distribution: distribution.to_vec(),
            to_group: to_group.to_vec(),
        }
    }
}

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = super::chosen(data, 8) else {
        return;
    };
    let spoil = |bytes: &[u8]| super::spoiled(bytes, data);
    match kind {
        0 => first(data),
        1 => later(data),
        2 => spoil(&PAIR.first).iter().for_each(|message| first(message)),
        3 => spoil(&PAIR.next).iter().for_each(|message| later(message)),
        4 => in_group(data),
        5 => spoil(&PAIR.to_group).iter().for_each(|message| in_group(message)),
        6 => stored(data),
        _ => {
            let _ = unpad(data);
            let accepted = SenderKeyRecord::default().accept(data);
            let spoiled = spoil(&PAIR.distribution).map(|bytes| SenderKeyRecord::default().accept(&bytes));
            let _ = (accepted, spoiled);
        }
    }
}

/// A message that may begin a session: by itself, and to somebody who has one.
fn first(bytes: &[u8]) {
    let Ok(message) = PreKeyMessage::parse(bytes) else {
        return;
    };
    for record in [SessionRecord::default(), PAIR.record.clone()] {
        let (mut after, before) = (record.clone(), record.encode());
        if after
            .decrypt_prekey(PAIR.bob.own(), &message, PAIR.bob.prekeys())
            .is_err()
        {
            assert_eq!(
                after.encode(),
                before,
                "a message that is refused changes nothing"
            );
        }
    }
}

/// A message of a session: what was not written by the other side is refused, and what was can be read behind it.
fn later(bytes: &[u8]) {
    let mut record = PAIR.record.clone();
    let before = record.encode();
    match record.decrypt_message(PAIR.bob.own(), bytes) {
        Err(_) => assert_eq!(
            record.encode(),
            before,
            "a message that is refused changes nothing"
        ),
        Ok(said) => assert_eq!(said, SAID, "only the other side can write a message"),
    }
    if bytes != PAIR.next {
        let said = record.decrypt_message(PAIR.bob.own(), &PAIR.next);
        assert_eq!(said.expect("the true one can be read"), SAID);
    }
}

/// The same in a group.
fn in_group(bytes: &[u8]) {
    let mut record = PAIR.group.clone();
    let before = record.encode();
    match record.decrypt(bytes) {
        Err(_) => assert_eq!(
            record.encode(),
            before,
            "a message that is refused changes nothing"
        ),
        Ok(said) => assert_eq!(said, SAID, "only the other side can write a message"),
    }
    if bytes != PAIR.to_group {
        assert_eq!(
            record.decrypt(&PAIR.to_group).expect("the true one can be read"),
            SAID
        );
    }
}

/// Records as they are stored.
fn stored(bytes: &[u8]) {
    if let Ok(record) = SessionRecord::decode(bytes) {
        let written = record.encode();
        let again = SessionRecord::decode(&written).expect("what we write can be read");
        assert_eq!(written, again.encode(), "the same record has the same form");
        let _ = record.clone().decrypt_message(PAIR.bob.own(), &PAIR.next);
    }
    if let Ok(record) = SenderKeyRecord::decode(bytes) {
        let written = record.encode();
        let again = SenderKeyRecord::decode(&written).expect("what we write can be read");
        assert_eq!(written, again.encode(), "the same record has the same form");
        let _ = record.clone().decrypt(&PAIR.to_group);
    }
}
