//! WhatsApp's own padding, inside the encryption: `n` bytes of value `n`, `n` from 1 to 16.
//!
//! It hides the exact length of short messages. Facts: docs/PROTOCOL.md, "Padding".

use rand::CryptoRng;

/// Most bytes of padding.
pub const MAX_PADDING_BYTES: usize = 16;

/// Appends 1 to 16 bytes of padding.
pub fn pad<R: CryptoRng + ?Sized>(message: &mut Vec<u8>, rng: &mut R) {
    // Sixteen values divide the range of a random number evenly: every length is as likely.
    let len = rng.next_u32() as usize % MAX_PADDING_BYTES + 1;
    message.resize(message.len() + len, len as u8);
}

/// The message without its padding.
///
/// # Errors
/// [`BadPadding`]: the sender is broken; what is in front can't be trusted to end where it should.
pub fn unpad(padded: &[u8]) -> Result<&[u8], BadPadding> {
    let len = *padded.last().ok_or(BadPadding)?;
    let at = padded.len().checked_sub(usize::from(len)).ok_or(BadPadding)?;
    let (message, padding) = padded.split_at(at);
    let fits = (1..=MAX_PADDING_BYTES).contains(&padding.len());
    if fits && padding.iter().all(|byte| *byte == len) {
        Ok(message)
    } else {
        Err(BadPadding)
    }
}

/// A decrypted message does not end in padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message does not end in padding")]
pub struct BadPadding;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::testing::{bytes, vector};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn padding_is_that_of_the_vectors() {
        let vector = vector("padding");
        for case in vector["cases"].as_array().unwrap() {
            let padded = bytes(&case["padded"]);
            assert_eq!(unpad(&padded), Ok(&bytes(&case["message_proto"])[..]));
            assert_eq!(u64::from(*padded.last().unwrap()), case["pad"].as_u64().unwrap());
        }
        for case in vector["invalid"].as_array().unwrap() {
            assert_eq!(unpad(&bytes(&case["padded"])), Err(BadPadding), "{}", case["why"]);
        }
        assert_eq!(unpad(&[17; 40]), Err(BadPadding));
    }

    #[test]
    fn every_length_of_padding_occurs_and_comes_off() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = [false; MAX_PADDING_BYTES + 1];
        for _ in 0..1000 {
            let mut message = vec![1, 2, 3];
            pad(&mut message, &mut rng);
            seen[message.len() - 3] = true;
            assert_eq!(unpad(&message), Ok(&[1, 2, 3][..]));
        }
        assert!(!seen[0] && seen[1..].iter().all(|seen| *seen));
    }
}
