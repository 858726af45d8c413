use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

use super::*;
use crate::server::code::Primary;
use crate::signal::curve::PrivateKey;
use crate::testing::{bytes, bytes32, vector};

fn array<const N: usize>(field: &Json) -> [u8; N] {
    bytes(field).try_into().unwrap()
}

fn pair(field: &Json) -> KeyPair {
    KeyPair::from_private(PrivateKey::new(bytes32(field)))
}

struct Case {
    vector: Json,
    code: PairingCode,
    companion: KeyPair,
    phone: KeyPair,
}

fn case() -> Case {
    let (vector, identities) = (vector("pairing_code"), vector("adv.pair_success"));
    Case {
        code: vector["code"].as_str().unwrap().parse().unwrap(),
        companion: pair(&identities["companion_identity_priv"]),
        phone: pair(&identities["phone_identity_priv"]),
        vector,
    }
}

impl Case {
    fn companion(&self) -> Companion {
        Companion {
            code: self.code.clone(),
            ephemeral: pair(&self.vector["companion_ephemeral_priv"]),
            salt: array(&self.vector["salt"]),
            iv: array(&self.vector["iv"]),
        }
    }

    fn primary(&self, hello: &[u8]) -> (Primary, [u8; WRAPPED_KEY_BYTES]) {
        let vector = &self.vector;
        let ephemeral = pair(&vector["primary_ephemeral_priv"]);
        Primary::start_with(
            &self.code,
            hello,
            ephemeral,
            array(&vector["primary_salt"]),
            array(&vector["primary_iv"]),
        )
        .unwrap()
    }
}

#[test]
fn both_sides_make_the_bytes_of_the_vector() {
    let case = case();
    let vector = &case.vector;
    let companion = case.companion();
    let hello = companion.hello();
    assert_eq!(hello[..], bytes(&vector["wrapped_companion_ephemeral"]));
    let (primary, answer) = case.primary(&hello);
    assert_eq!(answer[..], bytes(&vector["wrapped_primary_ephemeral"]));
    assert_eq!(
        primary.companion_ephemeral.as_bytes(),
        &bytes32(&vector["companion_ephemeral_pub"])
    );
    let seed = BundleSeed {
        salt: array(&vector["bundle_salt"]),
        iv: array(&vector["bundle_iv"]),
        secret: array(&vector["adv_random"]),
    };
    let finish = companion
        .finish_with(&answer, &case.companion, case.phone.public(), &seed)
        .unwrap();
    assert_eq!(finish.bundle[..], bytes(&vector["wrapped_key_bundle"]));
    assert_eq!(finish.adv_secret.as_bytes(), &bytes32(&vector["adv_secret"]));
    let secret = primary
        .open(&finish.bundle, &case.phone, case.companion.public())
        .unwrap();
    assert_eq!(secret.as_bytes(), finish.adv_secret.as_bytes());
}

#[test]
fn phone_with_another_code_or_identity_does_not_get_the_secret() {
    let mut rng = StdRng::seed_from_u64(1);
    let case = case();
    let companion = case.companion();
    let (primary, answer) = case.primary(&companion.hello());
    let bundle = companion
        .finish(&answer, &case.companion, case.phone.public(), &mut rng)
        .unwrap()
        .bundle;
    let open =
        |bundle: &[u8], phone: &KeyPair, companion: &PublicKey| primary.open(bundle, phone, companion).err();
    assert_eq!(open(&bundle, &case.phone, case.companion.public()), None);
    let stranger = KeyPair::generate(&mut rng);
    assert_eq!(
        open(&bundle, &stranger, case.companion.public()),
        Some(CodeError::WrongIdentity)
    );
    assert_eq!(
        open(&bundle, &case.phone, stranger.public()),
        Some(CodeError::WrongIdentity)
    );
    let mut altered = bundle;
    altered[60] ^= 1;
    assert_eq!(
        open(&altered, &case.phone, case.companion.public()),
        Some(CodeError::WrongCode)
    );
    assert_eq!(
        open(&bundle[1..], &case.phone, case.companion.public()),
        Some(CodeError::Malformed)
    );

    let typo = "15JMBSWB".parse().unwrap();
    let (primary, answer) = Primary::start(&typo, &companion.hello(), &mut rng).unwrap();
    let bundle = companion
        .finish(&answer, &case.companion, case.phone.public(), &mut rng)
        .unwrap()
        .bundle;
    let error = primary.open(&bundle, &case.phone, case.companion.public()).err();
    assert_eq!(error, Some(CodeError::WrongCode));
}

#[test]
fn messages_of_a_wrong_length_are_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    let case = case();
    assert_eq!(
        Primary::start(&case.code, &[0; 79], &mut rng).err(),
        Some(CodeError::Malformed)
    );
    let finish = case
        .companion()
        .finish(&[0; 81], &case.companion, case.phone.public(), &mut rng);
    assert_eq!(finish.err(), Some(CodeError::Malformed));
}

#[test]
fn codes_are_eight_characters_of_the_alphabet() {
    let vector = vector("pairing_code");
    let code = PairingCode::from_bytes(array(&vector["code_bytes"]));
    assert_eq!(code.as_str(), vector["code"].as_str().unwrap());
    assert_eq!("15jm-bswa".parse(), Ok(code));
    for text in ["", "15JMBSW", "15JMBSWAA", "05JMBSWA", "I5JMBSWA", "15JM BSW"] {
        assert_eq!(text.parse::<PairingCode>(), Err(BadPairingCode), "{text}");
    }
    let random = PairingCode::generate(&mut StdRng::seed_from_u64(1));
    assert_eq!(random.to_string().parse(), Ok(random.clone()));
    assert_eq!(format!("{random:?}"), "PairingCode(…)");
}
