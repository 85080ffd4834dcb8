//! The playing time and the loudness of sound, which apps draw beside a voice note. Pure.

use super::ffmpeg::SAMPLES_PER_SECOND;
use kurir_contract::command::{Base64Bytes, FilePreview};

/// The apps draw as many bars.
const STEPS: usize = 64;
/// The loudest bar.
const LOUDEST: f64 = 100.0;

/// The preview of sound as samples of 16 bits, little-endian, one channel.
pub fn preview(pcm: &[u8], is_voice: bool) -> FilePreview {
    let samples = pcm.len() / 2;
    let seconds = samples.div_ceil(SAMPLES_PER_SECOND).max(1);
    FilePreview {
        seconds: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
        waveform: is_voice.then(|| Base64Bytes(waveform(pcm))),
        ..FilePreview::default()
    }
}

/// The mean loudness of each of 64 equal parts, the loudest of them at 100.
fn waveform(pcm: &[u8]) -> Vec<u8> {
    let samples: usize = pcm.len() / 2;
    let loudness = |step: usize| {
        let (from, to) = (samples * step / STEPS, samples * (step + 1) / STEPS);
        let part =
            pcm[2 * from..2 * to].chunks_exact(2).map(|bytes| f64::from(i16::from_le_bytes([bytes[0], bytes[1]])));
        let sum: f64 = part.map(f64::abs).sum();
        sum / (to - from).max(1) as f64
    };
    let steps: Vec<f64> = (0..STEPS).map(loudness).collect();
    let loudest = steps.iter().copied().fold(0.0, f64::max);
    // A cast of a number from 0 to 100.
    steps.iter().map(|step| if loudest > 0.0 { (step / loudest * LOUDEST).round() as u8 } else { 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(samples: impl Iterator<Item = i16>) -> Vec<u8> {
        samples.flat_map(i16::to_le_bytes).collect()
    }

    #[test]
    fn the_waveform_rises_with_the_sound() {
        let rising = pcm((0..16_000).map(|at| if at % 2 == 0 { at } else { -at }));
        let preview = preview(&rising, true);
        let Base64Bytes(waveform) = preview.waveform.expect("a waveform");
        assert_eq!((preview.seconds, waveform.len(), waveform[63]), (Some(2), 64, 100));
        assert!(waveform.is_sorted() && waveform[0] < 5, "{waveform:?}");
    }

    #[test]
    fn short_and_silent_sound_has_a_waveform_too() {
        for sound in [vec![], pcm([7].into_iter()), pcm([0; 8_000].into_iter()), pcm([i16::MIN; 9].into_iter())] {
            let preview = preview(&sound, true);
            let Base64Bytes(waveform) = preview.waveform.expect("a waveform");
            assert_eq!((preview.seconds, waveform.len()), (Some(1), 64));
            assert!(waveform.iter().all(|step| *step <= 100));
        }
    }
}
