//! Two parties and a network that reorders, repeats and loses: they stay in step and spend each message key once.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Alice (`true`) or Bob sends.
    Send(bool),
    /// The message at this place of those under way to Alice (`true`) or Bob arrives.
    Deliver(bool, prop::sample::Index),
    /// It arrives, and stays under way to arrive again.
    Repeat(bool, prop::sample::Index),
    /// It is lost.
    Lose(bool, prop::sample::Index),
    /// A message that was altered on the way arrives.
    Alter(bool, prop::sample::Index),
    /// A fresh session is started from a bundle.
    Restart(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let index = any::<prop::sample::Index>;
    let one = prop_oneof![
        8 => any::<bool>().prop_map(Move::Send),
        8 => (any::<bool>(), index()).prop_map(|(to, at)| Move::Deliver(to, at)),
        2 => (any::<bool>(), index()).prop_map(|(to, at)| Move::Repeat(to, at)),
        1 => (any::<bool>(), index()).prop_map(|(to, at)| Move::Lose(to, at)),
        1 => (any::<bool>(), index()).prop_map(|(to, at)| Move::Alter(to, at)),
        1 => any::<bool>().prop_map(Move::Restart),
    ];
    prop::collection::vec(one, 1..80)
}

struct Network {
    /// Bob, then Alice, so that `bool as usize` finds who.
    parties: [Party; 2],
    /// One-time prekeys that the server has of each; it hands out each once, then none.
    published: [Vec<(PreKeyId, PublicKey)>; 2],
    /// To Bob, to Alice.
    under_way: [Vec<(Ciphertext, Vec<u8>)>; 2],
    delivered: HashSet<Vec<u8>>,
    /// Ratchet key and counter of every message that was made: the name of its message key.
    spent: HashSet<(PublicKey, u32)>,
    /// How many messages were made: each has another text.
    sent: u32,
    rng: StdRng,
}

impl Network {
    fn new(seed: u64) -> Self {
        let (mut alice, mut bob, mut rng) = pair_of_parties(seed);
        let mut published = [Vec::new(), Vec::new()];
        for (party, published) in [&mut bob, &mut alice].into_iter().zip(&mut published) {
            party.one_time = (1..=8)
                .filter_map(PreKeyId::new)
                .map(|id| PreKey::generate(id, &mut rng))
                .collect();
            *published = party
                .one_time
                .iter()
                .map(|key| (key.id, *key.pair.public()))
                .collect();
        }
        let mut network = Self {
            parties: [bob, alice],
            published,
            under_way: [Vec::new(), Vec::new()],
            delivered: HashSet::new(),
            spent: HashSet::new(),
            sent: 0,
            rng,
        };
        network.restart(true);
        network
    }

    fn restart(&mut self, who: bool) {
        let other = usize::from(!who);
        let bundle = PreKeyBundle {
            prekey: self.published[other].pop(),
            ..self.parties[other].bundle()
        };
        self.parties[usize::from(who)].initiate(&bundle, &mut self.rng);
    }

    fn send(&mut self, who: bool) {
        if !self.parties[usize::from(who)].record.has_session() {
            return;
        }
        self.sent += 1;
        let plaintext = format!("{who} {}", self.sent).into_bytes();
        let message = self.parties[usize::from(who)].send(&plaintext);
        let name = match message.kind {
            CiphertextKind::Message => name(&message),
            CiphertextKind::PreKey => name(&inner(&message)),
        };
        assert!(self.spent.insert(name), "a message key was used twice");
        self.under_way[usize::from(!who)].push((message, plaintext));
    }

    fn arrive(&mut self, to: bool, message: &Ciphertext, plaintext: &[u8]) {
        let result = self.parties[usize::from(to)].receive(message);
        if self.delivered.contains(plaintext) {
            assert_eq!(
                result,
                Err(DecryptError::Duplicate),
                "a repeated message is told as such"
            );
        } else {
            assert_eq!(result.as_deref(), Ok(plaintext), "both sides are in step");
            self.delivered.insert(plaintext.to_vec());
        }
    }

    fn play(&mut self, action: Move) {
        match action {
            Move::Send(who) => self.send(who),
            Move::Restart(who) => self.restart(who),
            Move::Deliver(to, at) => {
                if let Some((message, plaintext)) = self.take(to, at) {
                    self.arrive(to, &message, &plaintext);
                }
            }
            Move::Repeat(to, at) => {
                if let Some((message, plaintext)) = self.take(to, at) {
                    self.arrive(to, &message, &plaintext);
                    self.under_way[usize::from(to)].push((message, plaintext));
                }
            }
            Move::Lose(to, at) => drop(self.take(to, at)),
            Move::Alter(to, at) => {
                if let Some((message, plaintext)) = self.take(to, at) {
                    let mut bytes = message.bytes.to_vec();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                    let altered = Ciphertext {
                        kind: message.kind,
                        bytes: bytes.into(),
                    };
                    assert!(self.parties[usize::from(to)].receive(&altered).is_err());
                    self.under_way[usize::from(to)].push((message, plaintext));
                }
            }
        }
    }

    /// Takes a message under way, from the five oldest: older ones could be of chains that are no longer kept.
    fn take(&mut self, to: bool, at: prop::sample::Index) -> Option<(Ciphertext, Vec<u8>)> {
        let under_way = &mut self.under_way[usize::from(to)];
        let window = under_way.len().min(5);
        (window > 0).then(|| under_way.remove(at.index(window)))
    }
}

fn name(message: &Ciphertext) -> (PublicKey, u32) {
    let parsed = SignalMessage::parse(&message.bytes).unwrap();
    (*parsed.ratchet_key(), parsed.counter())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn parties_stay_in_step_and_spend_each_key_once(seed in any::<u64>(), moves in moves()) {
        let mut network = Network::new(seed);
        for action in moves {
            network.play(action);
        }
        for to in [true, false] {
            for (message, plaintext) in std::mem::take(&mut network.under_way[usize::from(to)]) {
                network.arrive(to, &message, &plaintext);
            }
        }
    }
}
