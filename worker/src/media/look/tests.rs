//! Files of programs that are not ours, and broken ones.

use std::io::{Cursor, Write as _};

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};

use super::*;

const LIMITS: Limits = Limits {
    points: 1_000_000,
    bytes: 1_000_000,
    side: 32,
};

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/files/", $name)).as_slice()
    };
}

fn looked(bytes: &[u8], role: Role, limits: Limits) -> Result<Facts, Unreadable> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    look(&file, role, limits, &Stop::default())
}

fn facts(bytes: &[u8], role: Role) -> Facts {
    looked(bytes, role, LIMITS).unwrap()
}

/// Red above, blue below.
fn flag(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(400, 200, |_, y| {
        if y < 100 {
            Rgb([250, 0, 0])
        } else {
            Rgb([0, 0, 250])
        }
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn small(facts: &Facts) -> DynamicImage {
    image::load_from_memory_with_format(facts.thumbnail.as_ref().unwrap(), ImageFormat::Jpeg).unwrap()
}

#[test]
fn a_picture_of_each_form_tells_its_size_and_has_a_small_copy() {
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        let facts = facts(&flag(format), Role::Image);
        assert_eq!(
            (facts.size, facts.is_animated),
            (Some((400, 200)), false),
            "{format:?}"
        );
        let small = small(&facts);
        assert_eq!(small.dimensions(), (32, 16), "{format:?}");
        let ([red, _, _, _], [_, _, blue, _]) = (small.get_pixel(16, 2).0, small.get_pixel(16, 13).0);
        assert!(red > 200 && blue > 200, "{format:?}");
        assert!(facts.thumbnail.unwrap().len() < 2_000, "{format:?}");
    }
}

#[test]
fn a_picture_that_was_taken_upright_is_shown_so() {
    let facts = facts(file!("turned.jpg"), Role::Image);
    assert_eq!(facts.size, Some((54, 96)));
    assert_eq!(small(&facts).dimensions(), (18, 32));
}

#[test]
fn a_sticker_says_whether_it_moves() {
    let moving = facts(file!("moving.webp"), Role::Sticker);
    assert_eq!((moving.size, moving.is_animated), (Some((48, 32)), true));
    let still = facts(file!("still.webp"), Role::Sticker);
    assert_eq!((still.size, still.is_animated), (Some((512, 512)), false));
}

#[test]
fn what_can_be_seen_through_has_white_behind_it() {
    let mut png = Cursor::new(Vec::new());
    DynamicImage::new_rgba8(64, 64)
        .write_to(&mut png, ImageFormat::Png)
        .unwrap();
    let facts = facts(&png.into_inner(), Role::Image);
    assert!(
        small(&facts).get_pixel(5, 5).0[..3]
            .iter()
            .all(|colour| *colour > 250)
    );
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    // Ten bytes that say 65,535 by 65,535.
    let mut bomb = b"GIF89a\xff\xff\xff\xff\x00\x00\x00".to_vec();
    bomb.extend_from_slice(b"\x2c\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08");
    let refused = looked(&bomb, Role::Image, LIMITS).unwrap_err();
    assert!(
        matches!(refused, Unreadable::TooManyPoints { .. } | Unreadable::Broken),
        "{refused:?}"
    );
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        let limits = Limits {
            points: 79_999,
            ..LIMITS
        };
        let refused = looked(&flag(format), Role::Image, limits).unwrap_err();
        assert!(
            matches!(
                refused,
                Unreadable::TooManyPoints {
                    found: 80_000,
                    most: 79_999
                }
            ),
            "{format:?}: {refused:?}"
        );
        let limits = Limits { bytes: 100, ..LIMITS };
        let refused = looked(&flag(format), Role::Image, limits).unwrap_err();
        assert!(
            matches!(refused, Unreadable::TooLong(100)),
            "{format:?}: {refused:?}"
        );
    }
}

#[test]
fn what_can_not_be_decoded_is_no_picture() {
    for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let mut broken = flag(format);
        broken.truncate(40);
        let refused = looked(&broken, Role::Image, LIMITS).unwrap_err();
        assert!(matches!(refused, Unreadable::Broken), "{format:?}: {refused:?}");
    }
    for broken in [b"\xff\xd8\xff\xe0\x00\x10JFIF".as_slice(), b"", b"no picture"] {
        let refused = looked(broken, Role::Image, LIMITS).unwrap_err();
        assert!(matches!(refused, Unreadable::Broken), "{refused:?}");
    }
}

#[test]
fn a_look_that_takes_too_long_ends() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&flag(ImageFormat::Png)).unwrap();
    let stop = Stop::default();
    stop.ask();
    assert!(matches!(
        look(&file, Role::Image, LIMITS, &stop),
        Err(Unreadable::TooSlow)
    ));
    assert_eq!(look(&file, Role::Video, LIMITS, &stop).unwrap(), Facts::default());
}

#[test]
fn a_film_tells_how_long_and_how_large_it_is() {
    for (film, size) in [
        (file!("film.mp4"), (64, 36)),
        (file!("upright.mp4"), (36, 64)),
        (file!("film.webm"), (64, 36)),
    ] {
        let facts = facts(film, Role::Video);
        assert_eq!((facts.seconds, facts.size), (Some(3), Some(size)));
        assert_eq!((facts.thumbnail, facts.waveform), (None, None));
    }
}

#[test]
fn a_sound_of_each_form_tells_how_long_it_is() {
    for sound in [
        file!("note.ogg"),
        file!("sound.mp3"),
        file!("sound.m4a"),
        file!("sound.wav"),
        file!("sound.flac"),
    ] {
        let facts = facts(sound, Role::Audio);
        assert_eq!((facts.seconds, facts.waveform), (Some(3), None));
    }
}

#[test]
fn a_voice_note_tells_where_it_is_loud() {
    // Ten times quieter in its second half, and its codec changes its mind in the first.
    let waveform = facts(file!("note.ogg"), Role::VoiceNote).waveform.unwrap();
    assert!(waveform[..31].iter().all(|part| *part > 40), "{waveform:?}");
    assert!(
        waveform[34..].iter().all(|part| (5..20).contains(part)),
        "{waveform:?}"
    );
    assert!(waveform.contains(&100), "{waveform:?}");
    assert_eq!(
        facts(file!("sound.mp3"), Role::VoiceNote).waveform,
        None,
        "no Opus"
    );
}

#[test]
fn of_what_can_not_be_read_nothing_is_known() {
    for role in [Role::Video, Role::Audio, Role::VoiceNote] {
        for file in [file!("film.mp4"), file!("note.ogg"), file!("sound.mp3")] {
            for length in [0, 10, 100, file.len() / 2] {
                // Without a panic, and without an end of it all.
                let _ = facts(&file[..length], role);
                let limits = Limits { bytes: 50, ..LIMITS };
                let _ = looked(file, role, limits).unwrap();
            }
        }
        assert_eq!(facts(b"nothing of the kind", role), Facts::default());
    }
}

#[test]
fn a_document_is_not_looked_at() {
    assert_eq!(facts(&flag(ImageFormat::Png), Role::Document), Facts::default());
}
