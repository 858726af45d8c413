//! Patches of the app state, checked and applied one after the other, beside the MACs, the ciphers and the hash that this takes.

use std::collections::BTreeMap;
use std::hint::black_box;

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::NoPadding};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};
use whatsapp::proto::sync_action_value::MuteAction;
use whatsapp::proto::{SyncActionValue, SyncdPatch};
use whatsapp::syncd::{Change, KeyId, Macs, MutationKeys, Operation, Sealer, State};

use super::measure::{Figure, side_by_side, timed};

/// How many times the floor it may take.
pub const TARGET: f64 = 1.6;
/// Patches that are applied, each with one mutation, as `bench.mjs` has them.
const PATCHES: u32 = 20;
const COLLECTION: &str = "regular_high";
/// What a mutation encrypts to, its vector included.
const SEALED_BYTES: usize = 96;

/// Applying twenty patches beside the floor, in nanoseconds.
pub fn applying() -> (Figure, Figure) {
    let id = KeyId::new(&[0, 0, 0, 0, 0, 1]).unwrap();
    let key = [7; 32];
    let sealer = Sealer::new(id.clone(), MutationKeys::expand(&key));
    let patches = patches(&sealer);
    let keys = BTreeMap::from([(id, MutationKeys::expand(&key))]);
    side_by_side(
        || {
            timed(1, || {
                let (mut state, mut macs) = (State::NEW, Macs::default());
                for patch in black_box(&patches) {
                    let applied = state
                        .apply(COLLECTION, patch, &patch.mutations, &keys, macs)
                        .unwrap();
                    assert_eq!(applied.mutations.len(), 1);
                    (state, macs) = (applied.state, applied.macs);
                }
            })
        },
        || timed(1, || (0..PATCHES).for_each(|_| floor())),
    )
}

fn patches(sealer: &Sealer) -> Vec<SyncdPatch> {
    let (mut state, mut macs) = (State::NEW, Macs::default());
    let patches = (0..PATCHES).map(|n| {
        let chat = format!("1555{n:07}@s.whatsapp.net");
        let mute = MuteAction {
            muted: Some(true),
            mute_end_timestamp: Some(1_790_000_000_000),
            auto_muted: None,
        };
        let value = SyncActionValue {
            timestamp: Some(1_790_000_000_000),
            mute_action: Some(mute),
            ..SyncActionValue::default()
        };
        let change = Change {
            operation: Operation::Set,
            index: &["mute", &chat],
            value,
            version: 2,
            iv: [5; 16],
        };
        sealer.patch(COLLECTION, &mut state, &mut macs, &[change])
    });
    patches.collect()
}

/// Of one patch with one mutation: the MACs of value, index, collection and patch, the cipher, and the hash's expansion.
fn floor() {
    let sealed = [3u8; SEALED_BYTES];
    let value = Hmac::<Sha512>::new_from_slice(&[1; 32]).unwrap();
    black_box(
        value
            .chain_update(sealed)
            .chain_update([0; 15])
            .finalize()
            .into_bytes(),
    );
    let mut plaintext = sealed;
    let opener = cbc::Decryptor::<aes::Aes256Dec>::new(&[2; 32].into(), &[5; 16].into());
    black_box(opener.decrypt_padded::<NoPadding>(&mut plaintext[16..])).unwrap();
    for (key, bytes) in [(3u8, 38), (4, 148), (5, 84)] {
        let mac = Hmac::<Sha256>::new_from_slice(&[key; 32]).unwrap();
        black_box(mac.chain_update(&[9; 148][..bytes]).finalize().into_bytes());
    }
    let mut expanded = [0u8; 128];
    hkdf::Hkdf::<Sha256>::new(None, &sealed[..32])
        .expand(b"WhatsApp Patch Integrity", &mut expanded)
        .unwrap();
    black_box(expanded);
}
