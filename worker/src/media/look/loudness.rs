//! How loud a voice note is in each part of it, as phones draw it.

use opus_pure::OpusDecoder;
use shared::store::uploads::WAVEFORM_PARTS;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::formats::{FormatReader, Track};

/// Samples per second and channels that are decoded: enough to tell loud from quiet.
const RATE: i32 = 8_000;
/// Samples of the container's clock, 48,000 a second, for each that is decoded.
const STEP: u64 = 6;
/// Samples of the longest packet, 120 milliseconds.
const PACKET_SAMPLES: usize = 960;
/// How loud the loudest part is said to be.
const LOUDEST: f64 = 100.0;

/// The mean loudness of each part, the loudest of them 100; `None` if it is not Opus, or not known how long it is.
pub(super) fn parts(reader: &mut dyn FormatReader, track: &Track) -> Option<[u8; WAVEFORM_PARTS]> {
    let Some(CodecParameters::Audio(sound)) = &track.codec_params else {
        return None;
    };
    let whole = track.duration.filter(|_| sound.codec == CODEC_ID_OPUS)?.get();
    if whole == 0 {
        return None;
    }
    let mut decoder = OpusDecoder::new(RATE, 1).ok()?;
    let mut samples = [0.0_f32; PACKET_SAMPLES];
    let mut heard = [Heard::default(); WAVEFORM_PARTS];
    // What is cut off tells as much as there is of it.
    while let Ok(Some(packet)) = reader.next_packet() {
        if packet.track_id != track.id {
            continue;
        }
        let Ok(count) = decoder.decode(&packet.data, PACKET_SAMPLES, &mut samples) else {
            continue;
        };
        let begin = u64::try_from(packet.pts.get() - track.start_ts.get()).unwrap_or_default();
        for (at, sample) in (begin..).step_by(STEP as usize).zip(&samples[..count]) {
            let part = at.saturating_mul(WAVEFORM_PARTS as u64) / whole;
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            heard[part.min(WAVEFORM_PARTS - 1)].add(*sample);
        }
    }
    let means = heard.map(Heard::mean);
    let loudest = means.into_iter().fold(0.0, f64::max);
    let scale = if loudest > 0.0 { LOUDEST / loudest } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    Some(means.map(|mean| (mean * scale).round() as u8))
}

/// What was heard in a part.
#[derive(Clone, Copy, Default)]
struct Heard {
    sum: f64,
    count: u32,
}

impl Heard {
    fn add(&mut self, sample: f32) {
        self.sum += f64::from(sample.abs());
        self.count += 1;
    }

    fn mean(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / f64::from(self.count)
        }
    }
}
