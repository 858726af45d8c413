//! A sound or a film: how long it is, how large it is shown, and how loud a voice note is.

use shared::store::uploads::Facts;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::{Time, TimeBase};

use super::loudness;
use super::source::Source;
use crate::media::Role;

/// Looks at a film, as it is recorded; of one that can't be read nothing is known.
pub(super) fn film(source: Source) -> Facts {
    let Some(reader) = opened(source) else {
        return Facts::default();
    };
    let track = reader.default_track(TrackType::Video);
    Facts {
        seconds: track.and_then(|track| seconds(&*reader, track)),
        size: track.and_then(size),
        ..Facts::default()
    }
}

/// Looks at a sound; of one that can't be read nothing is known.
pub(super) fn sound(source: Source, role: Role) -> Facts {
    let Some(mut reader) = opened(source) else {
        return Facts::default();
    };
    let Some(track) = reader.default_track(TrackType::Audio).cloned() else {
        return Facts::default();
    };
    Facts {
        seconds: seconds(&*reader, &track),
        waveform: match role {
            Role::VoiceNote => loudness::parts(&mut *reader, &track),
            _ => None,
        },
        ..Facts::default()
    }
}

fn opened(source: Source) -> Option<Box<dyn FormatReader>> {
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let opened = symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata);
    opened.ok()
}

/// How long it is as a whole; what begins counts as a second.
fn seconds(reader: &dyn FormatReader, track: &Track) -> Option<u32> {
    let whole = reader.media_info();
    let of = |base: Option<TimeBase>, long| base?.calc_duration(long?);
    let time = of(whole.time_base, whole.duration).filter(Time::is_positive);
    let time = time.or_else(|| of(track.time_base, track.duration))?;
    let seconds = (time.as_millis() + 500) / 1_000;
    u32::try_from(seconds).ok().map(|seconds| seconds.max(1))
}

fn size(track: &Track) -> Option<(u32, u32)> {
    let Some(CodecParameters::Video(film)) = &track.codec_params else {
        return None;
    };
    let (width, height) = film.width.zip(film.height)?;
    (width > 0 && height > 0).then(|| (width.into(), height.into()))
}
