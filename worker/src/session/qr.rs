//! QR codes as pictures.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Luma};
use qrcode::QrCode;

/// The picture of a QR code as `data:image/png;base64,…`; `None` if the text does not fit one.
pub(super) fn data_url(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let picture = code
        .render::<Luma<u8>>()
        .module_dimensions(MODULE_PIXELS, MODULE_PIXELS)
        .build();
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).ok()?;
    Some(format!(
        "data:image/png;base64,{}",
        STANDARD.encode(png.into_inner())
    ))
}

/// Pixels per module: a code of WhatsApp's length is then about 300 pixels wide.
const MODULE_PIXELS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_becomes_a_png() {
        let url = data_url(&format!("2@{}", "a".repeat(230))).unwrap();
        let png = STANDARD
            .decode(url.strip_prefix("data:image/png;base64,").unwrap())
            .unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        assert!(
            (200..600).contains(&picture.width()),
            "{} pixels",
            picture.width()
        );
    }

    #[test]
    fn a_text_too_long_for_a_code_has_no_picture() {
        assert_eq!(data_url(&"a".repeat(5_000)), None);
    }
}
