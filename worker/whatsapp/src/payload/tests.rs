use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::device::Account;
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::signal::{RegistrationId, SignedPreKey, SignedPreKeyId};
use crate::testing::{bytes, bytes32, vector};

fn profile(history: History) -> Profile {
    Profile {
        version: ClientVersion::KNOWN,
        browser: "Chrome".into(),
        os: "Mac OS".into(),
        history: history.into(),
    }
}

#[test]
fn registration_is_that_of_the_vector() {
    let vector = vector("client_payload.registration");
    let mut device = Device::generate(&mut StdRng::seed_from_u64(1));
    let identity = bytes32(&crate::testing::vector("adv.pair_success")["companion_identity_priv"]);
    device.identity = KeyPair::from_private(PrivateKey::new(identity));
    device.registration_id = RegistrationId::new(vector["registration_id"].as_u64().unwrap() as u32);
    device.signed_prekey = SignedPreKey {
        id: SignedPreKeyId::FIRST,
        pair: KeyPair::from_halves(
            PrivateKey::new([0; 32]),
            PublicKey::new(bytes32(&vector["signed_prekey_pub"])),
        ),
        signature: bytes(&vector["signed_prekey_sig"]).try_into().unwrap(),
    };
    assert_eq!(
        ClientVersion::KNOWN.to_string(),
        vector["version"].as_str().unwrap()
    );
    let encoded = registration(&device, &profile(History::Full));
    assert_eq!(hex::encode(encoded), vector["encoded"].as_str().unwrap());
}

#[test]
fn login_is_that_of_the_vector() {
    let mut device = Device::generate(&mut StdRng::seed_from_u64(1));
    assert_eq!(login(&device, &profile(History::Recent)), None);
    device.account = Some(Account {
        jid: "15551230001:11@s.whatsapp.net".parse().unwrap(),
        lid: None,
        identity: bytes::Bytes::new(),
        push_name: None,
        platform: String::new(),
        is_migrated: false,
        token_salt: None,
    });
    let encoded = login(&device, &profile(History::Recent)).unwrap();
    assert_eq!(
        hex::encode(encoded),
        vector("client_payload.login")["encoded"].as_str().unwrap()
    );
}

/// Fields 1 and 5 of the configuration, and what asks for all of it.
#[test]
fn the_phone_is_told_how_much_history_is_wanted() {
    let props = |depth, days| {
        let mut profile = profile(History::Recent);
        profile.history = HistoryWish { depth, days };
        device_props(&profile)
    };
    let props_of = |depth, days| {
        let props = props(depth, days);
        let config = props.history_sync_config.unwrap();
        (
            props.require_full_sync,
            config.full_sync_days_limit,
            config.recent_sync_days_limit,
        )
    };
    assert_eq!(
        props_of(History::Full, Some(90)),
        (Some(true), Some(90), Some(90))
    );
    assert_eq!(props_of(History::Recent, None), (Some(false), None, None));
    assert_eq!(props_of(History::Off, None), (Some(false), None, None));
}
