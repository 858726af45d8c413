//! Draws a pairing QR code as PNG and as data URL.
//!
//! Must not know where the text comes from.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Luma};
use qrcode::{EcLevel, QrCode};

/// Side of one module of the picture, in pixels.
const MODULE_PX: u32 = 6;

/// Why a text can't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// The text does not fit into a QR code.
    #[error("the text does not fit into a QR code")]
    TooLong(#[from] qrcode::types::QrError),
    /// The picture could not be written.
    #[error("the PNG could not be written")]
    Png(#[from] image::ImageError),
}

/// `text` as a PNG picture, with its quiet zone.
///
/// # Errors
/// [`QrError::TooLong`] for a text beyond the largest QR code.
pub fn png(text: &str) -> Result<Vec<u8>, QrError> {
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L)?;
    let picture = code
        .render::<Luma<u8>>()
        .module_dimensions(MODULE_PX, MODULE_PX)
        .build();
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png)?;
    Ok(out.into_inner())
}

/// `text` as `data:image/png;base64,…`.
///
/// # Errors
/// As [`png`].
pub fn data_url(text: &str) -> Result<String, QrError> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png(text)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairing_text_becomes_a_png() {
        let text = format!(
            "2@{},{},{},{}",
            "a".repeat(120),
            "b".repeat(44),
            "c".repeat(44),
            "d".repeat(44)
        );
        let png = png(&text).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert!(
            data_url(&text)
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR")
        );
    }

    #[test]
    fn a_text_beyond_the_largest_code_is_refused() {
        assert!(matches!(png(&"x".repeat(4000)), Err(QrError::TooLong(_))));
    }
}
