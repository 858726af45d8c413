use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::server::cert::{Validity, issue};
use crate::signal::curve::{KeyPair, PrivateKey};
use crate::testing::{bytes, bytes32, vector};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const VALIDITY: Validity = Validity {
    not_before: Timestamp::from_secs(1_700_000_000),
    not_after: Timestamp::from_secs(1_800_000_000),
};

struct Authority {
    root: KeyPair,
    intermediate: KeyPair,
    server: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let rng = &mut StdRng::seed_from_u64(1);
        Self {
            root: KeyPair::generate(rng),
            intermediate: KeyPair::generate(rng),
            server: KeyPair::generate(rng),
        }
    }

    fn chain(&self) -> CertChain {
        let rng = &mut StdRng::seed_from_u64(2);
        let chain = issue(
            &self.root,
            &self.intermediate,
            self.server.public(),
            VALIDITY,
            rng,
        );
        CertChain::decode(&chain[..]).unwrap()
    }

    fn verify(&self, chain: &CertChain) -> Result<(), CertError> {
        self.verify_at(chain, NOW)
    }

    fn verify_at(&self, chain: &CertChain, now: Timestamp) -> Result<(), CertError> {
        verify(
            &chain.encode_to_vec(),
            self.root.public(),
            self.server.public(),
            now,
        )
    }

    /// The chain with the details of one certificate changed and everything signed anew.
    fn altered(&self, link: Link, alter: impl FnOnce(&mut Details)) -> CertChain {
        let mut chain = self.chain();
        let (certificate, issuer) = match link {
            Link::Intermediate => (&mut chain.intermediate, &self.root),
            Link::Leaf => (&mut chain.leaf, &self.intermediate),
        };
        let certificate = certificate.as_mut().unwrap();
        let mut details = Details::decode(certificate.details.clone().unwrap()).unwrap();
        alter(&mut details);
        let details = details.encode_to_vec();
        certificate.signature = Some(
            issuer
                .sign(&details, &mut StdRng::seed_from_u64(3))
                .to_vec()
                .into(),
        );
        certificate.details = Some(details.into());
        chain
    }
}

const LINKS: [Link; 2] = [Link::Intermediate, Link::Leaf];

fn certificate(chain: &mut CertChain, link: Link) -> &mut Option<NoiseCertificate> {
    match link {
        Link::Intermediate => &mut chain.intermediate,
        Link::Leaf => &mut chain.leaf,
    }
}

#[test]
fn chain_of_the_vector_is_valid() {
    let vector = vector("cert.chain");
    let root = PrivateKey::new(bytes32(&vector["root_priv"])).public();
    assert_eq!(root.as_bytes(), &bytes32(&vector["root_pub"]));
    let server = PublicKey::new(bytes32(&vector["server_static_pub"]));
    assert_eq!(verify(&bytes(&vector["cert_chain"]), &root, &server, NOW), Ok(()));
}

#[test]
fn issued_chain_is_valid_within_its_dates_only() {
    let authority = Authority::new();
    let chain = authority.chain();
    assert_eq!(authority.verify(&chain), Ok(()));
    assert_eq!(authority.verify_at(&chain, VALIDITY.not_before), Ok(()));
    assert_eq!(authority.verify_at(&chain, VALIDITY.not_after), Ok(()));
    let early = Timestamp::from_secs(1_699_999_999);
    assert_eq!(
        authority.verify_at(&chain, early),
        Err(CertError::NotYetValid(Link::Intermediate))
    );
    let late = Timestamp::from_secs(1_800_000_001);
    assert_eq!(
        authority.verify_at(&chain, late),
        Err(CertError::Expired(Link::Intermediate))
    );
}

#[test]
fn dates_of_both_certificates_count() {
    let authority = Authority::new();
    for link in LINKS {
        let chain = authority.altered(link, |details| details.not_before = Some(1_750_000_001));
        assert_eq!(authority.verify(&chain), Err(CertError::NotYetValid(link)));
        let chain = authority.altered(link, |details| details.not_after = Some(1_749_999_999));
        assert_eq!(authority.verify(&chain), Err(CertError::Expired(link)));
    }
}

#[test]
fn other_signatures_are_refused() {
    let authority = Authority::new();
    for link in LINKS {
        let alterations: [fn(&mut [u8]); 2] = [|bytes| bytes.fill(1), |bytes| bytes[40] ^= 1];
        for alter in alterations {
            let mut chain = authority.chain();
            let signature = &mut certificate(&mut chain, link).as_mut().unwrap().signature;
            let mut bytes = signature.take().unwrap().to_vec();
            alter(&mut bytes);
            *signature = Some(bytes.into());
            assert_eq!(authority.verify(&chain), Err(CertError::BadSignature(link)));
        }
    }
}

#[test]
fn changed_details_are_refused() {
    let authority = Authority::new();
    for link in LINKS {
        let mut chain = authority.chain();
        let signature = certificate(&mut chain, link).clone().unwrap().signature;
        let mut chain = authority.altered(link, |details| details.not_after = Some(1_900_000_000));
        certificate(&mut chain, link).as_mut().unwrap().signature = signature;
        assert_eq!(authority.verify(&chain), Err(CertError::BadSignature(link)));
    }
}

#[test]
fn leaf_signed_by_the_root_is_refused() {
    let authority = Authority::new();
    let mut chain = authority.chain();
    let leaf = chain.leaf.as_mut().unwrap();
    let details = leaf.details.clone().unwrap();
    leaf.signature = Some(
        authority
            .root
            .sign(&details, &mut StdRng::seed_from_u64(3))
            .to_vec()
            .into(),
    );
    assert_eq!(authority.verify(&chain), Err(CertError::BadSignature(Link::Leaf)));
}

#[test]
fn other_roots_are_refused() {
    let (authority, mut other) = (Authority::new(), Authority::new());
    other.root = KeyPair::generate(&mut StdRng::seed_from_u64(9));
    assert_eq!(
        authority.verify(&other.chain()),
        Err(CertError::BadSignature(Link::Intermediate))
    );
}

#[test]
fn issuers_must_be_the_certificate_above() {
    let authority = Authority::new();
    for link in LINKS {
        let chain = authority.altered(link, |details| details.issuer_serial = Some(7));
        assert_eq!(authority.verify(&chain), Err(CertError::WrongIssuer(link)));
    }
    let chain = authority.altered(Link::Intermediate, |details| details.serial = Some(7));
    assert_eq!(authority.verify(&chain), Err(CertError::WrongIssuer(Link::Leaf)));
}

#[test]
fn leaf_for_another_server_key_is_refused() {
    let (authority, mut other) = (Authority::new(), Authority::new());
    other.server = KeyPair::generate(&mut StdRng::seed_from_u64(9));
    assert_eq!(authority.verify(&other.chain()), Err(CertError::WrongKey));
}

#[test]
fn missing_parts_are_named() {
    let authority = Authority::new();
    for link in LINKS {
        let missing = |part| Err(CertError::Missing(link, part));
        let without = |alter: fn(&mut Option<NoiseCertificate>)| {
            let mut chain = authority.chain();
            alter(certificate(&mut chain, link));
            authority.verify(&chain)
        };
        assert_eq!(without(|certificate| *certificate = None), missing("content"));
        assert_eq!(
            without(|certificate| certificate.as_mut().unwrap().details = None),
            missing("details")
        );
        assert_eq!(
            without(|certificate| certificate.as_mut().unwrap().signature = None),
            missing("signature")
        );
        let short = |certificate: &mut Option<NoiseCertificate>| {
            certificate.as_mut().unwrap().signature = Some(vec![1; 63].into());
        };
        assert_eq!(without(short), missing("signature"));
        let altered = |alter: fn(&mut Details)| authority.verify(&authority.altered(link, alter));
        assert_eq!(altered(|details| details.key = None), missing("key"));
        assert_eq!(
            altered(|details| details.key = Some(vec![5; 33].into())),
            missing("key")
        );
    }
}

#[test]
fn numbers_that_are_absent_are_zero() {
    let authority = Authority::new();
    let altered = |link, alter: fn(&mut Details)| authority.verify(&authority.altered(link, alter));
    let (leaf, intermediate) = (Link::Leaf, Link::Intermediate);
    // Nobody names the leaf's serial, and the root's is 0.
    assert_eq!(altered(leaf, |details| details.serial = None), Ok(()));
    assert_eq!(
        altered(intermediate, |details| details.issuer_serial = None),
        Ok(())
    );
    let other_issuer = Err(CertError::WrongIssuer(leaf));
    assert_eq!(
        altered(intermediate, |details| details.serial = None),
        other_issuer
    );
    assert_eq!(
        altered(leaf, |details| details.issuer_serial = None),
        other_issuer
    );
    for link in LINKS {
        assert_eq!(altered(link, |details| details.not_before = None), Ok(()));
        assert_eq!(
            altered(link, |details| details.not_after = None),
            Err(CertError::Expired(link))
        );
    }
}

#[test]
fn what_is_no_chain_is_refused() {
    let authority = Authority::new();
    let verify = |bytes: &[u8]| verify(bytes, authority.root.public(), authority.server.public(), NOW);
    assert_eq!(verify(b"\xff\xff"), Err(CertError::Malformed));
    assert_eq!(
        verify(b""),
        Err(CertError::Missing(Link::Intermediate, "content"))
    );
}
