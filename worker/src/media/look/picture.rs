//! A picture: how large it is shown, and a small copy of it.

use std::io::{BufRead, BufReader, Seek};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};
use shared::store::uploads::Facts;

use super::limits::{Limits, Unreadable};
use super::source::Source;

/// The quality of the small copy, of 100.
const SMALL_QUALITY: u8 = 50;
/// Bytes that a point takes at most while it is decoded.
const POINT_BYTES: u64 = 8;

/// Looks at a picture.
///
/// # Errors
/// [`Unreadable`].
pub(super) fn look(source: Source, limits: Limits) -> Result<Facts, Unreadable> {
    if source.length() > limits.bytes {
        return Err(Unreadable::TooLong(limits.bytes));
    }
    let reader = ImageReader::new(BufReader::new(source)).with_guessed_format();
    let mut reader = reader.map_err(|error| refused(error.into()))?;
    let mut within = image::Limits::default();
    within.max_alloc = Some(limits.points.saturating_mul(POINT_BYTES));
    reader.limits(within.clone());
    if reader.format() == Some(ImageFormat::WebP) {
        let mut decoder = WebPDecoder::new(reader.into_inner()).map_err(refused)?;
        let is_animated = decoder.has_animation();
        decoder.set_limits(within).map_err(refused)?;
        let facts = decoded(decoder, limits)?;
        return Ok(Facts { is_animated, ..facts });
    }
    decoded(header(reader)?, limits)
}

/// As much of a picture as is read before it is decoded.
fn header<'a, R: BufRead + Seek + 'a>(reader: ImageReader<R>) -> Result<impl ImageDecoder + 'a, Unreadable> {
    reader.into_decoder().map_err(refused)
}

fn decoded(mut decoder: impl ImageDecoder, limits: Limits) -> Result<Facts, Unreadable> {
    let (width, height) = decoder.dimensions();
    let found = u64::from(width) * u64::from(height);
    if found > limits.points {
        let most = limits.points;
        return Err(Unreadable::TooManyPoints { found, most });
    }
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let whole = DynamicImage::from_decoder(decoder).map_err(refused)?;
    let mut small = whole.thumbnail(limits.side, limits.side);
    drop(whole);
    small.apply_orientation(turn);
    let lies = matches!(
        turn,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(Facts {
        size: Some(if lies { (height, width) } else { (width, height) }),
        thumbnail: Some(jpeg(&small)?),
        ..Facts::default()
    })
}

/// A small picture as JPEG, which knows nothing of what can be seen through: white is behind it.
fn jpeg(small: &DynamicImage) -> Result<Bytes, Unreadable> {
    let small = small.to_rgba8();
    let opaque = RgbImage::from_fn(small.width(), small.height(), |x, y| {
        let [red, green, blue, alpha] = small.get_pixel(x, y).0;
        let over = |colour: u8| {
            let mixed = u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from(mixed / 255).unwrap_or(u8::MAX)
        };
        image::Rgb([red, green, blue].map(over))
    });
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, SMALL_QUALITY)
        .encode_image(&opaque)
        .map_err(refused)?;
    Ok(jpeg.into())
}

fn refused(error: ImageError) -> Unreadable {
    match error {
        // Only what the system says is the disk's; all else is the file's.
        ImageError::IoError(error) if error.raw_os_error().is_some() => Unreadable::Disk(error),
        _ => Unreadable::Broken,
    }
}
