//! Runs `ffmpeg` and `ffprobe` on a hostile file: one format, no network, no other files, and bounds for time, memory, and
//! what it writes.

use kurir_contract::command::FilePreview;
use serde::Deserialize;
use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::AsyncReadExt as _,
    process::Command,
    time::{Instant, timeout_at},
};

/// The sound that the loudness is measured in.
pub const SAMPLES_PER_SECOND: usize = 8_000;
/// The apps take no larger stickers.
pub const LARGEST_STICKER: u64 = 100_000;
pub const LARGEST_ANIMATED: u64 = 500_000;
/// The longest sound that is converted, in seconds: an hour is 58 MB of samples, which are in memory.
const LONGEST_SOUND: &str = "3600";
/// The longest moving sticker, in seconds; the apps stop at ten.
const LONGEST_STICKER: &str = "8";
/// What a program may write to its output: an hour of samples.
const MOST_OUTPUT: u64 = 64 << 20;
/// In kilobytes. The libraries of Debian's ffmpeg take 400 MB of addresses before they do anything.
const ADDRESS_SPACE: u32 = 1_500_000;
/// Seconds of a processor, beside the deadline.
const PROCESSOR_TIME: u32 = 60;
/// In blocks of 512 bytes: 64 MB.
const LARGEST_FILE: u32 = 131_072;
/// Sets the bounds before the program starts. It gets its arguments as they are.
const LIMITED: &str =
    "ulimit -v \"$1\" && ulimit -t \"$2\" && ulimit -f \"$3\" && ulimit -c 0 && shift 3 && exec \"$@\"";

/// Why a program gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    #[error("ffmpeg did not start: {0}")]
    NotStarted(std::io::Error),
    #[error("it cannot be read")]
    Refused,
    #[error("it takes more than 60 s")]
    TooSlow,
    #[error("the result is too large")]
    TooLarge,
}

/// A program on `PATH`.
pub struct Program(PathBuf);

impl Program {
    /// Looks it up again at each call: it may be installed while Kurir runs.
    pub fn find(name: &str) -> Option<Self> {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file()).map(Self)
    }

    /// What the program writes to its standard output.
    ///
    /// # Errors
    /// If it fails, or writes too much, or does not end before `deadline`; it is killed then.
    pub async fn run(&self, arguments: &[OsString], deadline: Instant) -> Result<Vec<u8>, FfmpegError> {
        let bounds = [ADDRESS_SPACE, PROCESSOR_TIME, LARGEST_FILE].map(|bound| bound.to_string());
        let mut child = Command::new("/bin/sh")
            .args(["-c", LIMITED, "sh"])
            .args(bounds)
            .arg(&self.0)
            .args(arguments)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(FfmpegError::NotStarted)?;
        let output = child.stdout.take();
        let ended = async {
            let mut written = Vec::new();
            if let Some(output) = output {
                output.take(MOST_OUTPUT + 1).read_to_end(&mut written).await.map_err(FfmpegError::NotStarted)?;
            }
            if written.len() as u64 > MOST_OUTPUT {
                return Err(FfmpegError::TooLarge);
            }
            let status = child.wait().await.map_err(FfmpegError::NotStarted)?;
            if status.success() { Ok(written) } else { Err(FfmpegError::Refused) }
        };
        timeout_at(deadline, ended).await.unwrap_or(Err(FfmpegError::TooSlow))
    }
}

/// What every run begins with: the file is read as one format, by its path, and nothing else is opened.
fn reading(demuxer: &str, input: &Path) -> Vec<OsString> {
    let mut path = OsString::from("file:");
    path.push(input);
    let quiet = ["-nostdin", "-hide_banner", "-loglevel", "quiet", "-y", "-threads", "1", "-max_pixels", "40000000"];
    let format = ["-protocol_whitelist", "file", "-f", demuxer, "-i"];
    quiet.iter().chain(&format).map(OsString::from).chain([path]).collect()
}

fn with(mut arguments: Vec<OsString>, more: &[&str]) -> Vec<OsString> {
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// Writes a voice note to a file, and samples for its loudness to the standard output.
pub fn voice_note_arguments(demuxer: &str, input: &Path, output: &Path) -> Vec<OsString> {
    let opus = [
        "-map",
        "0:a:0",
        "-map_metadata",
        "-1",
        "-t",
        LONGEST_SOUND,
        "-ac",
        "1",
        "-ar",
        "48000",
        "-c:a",
        "libopus",
        "-b:a",
        "32k",
        "-application",
        "voip",
        "-fflags",
        "+bitexact",
        "-flags:a",
        "+bitexact",
        "-threads",
        "1",
        "-f",
        "ogg",
    ];
    let mut arguments = with(reading(demuxer, input), &opus);
    arguments.push(file_url(output.as_os_str()));
    with(arguments, &SAMPLES)
}

/// Writes samples to the standard output.
pub fn loudness_arguments(demuxer: &str, input: &Path) -> Vec<OsString> {
    with(reading(demuxer, input), &SAMPLES)
}

/// Samples of 16 bits of one channel, [`SAMPLES_PER_SECOND`].
const SAMPLES: [&str; 11] = ["-map", "0:a:0", "-t", LONGEST_SOUND, "-ac", "1", "-ar", "8000", "-f", "s16le", "pipe:1"];

/// Writes a WebP file of 512 by 512 pixels with a transparent edge.
pub fn sticker_arguments(demuxer: &str, input: &Path, output: &Path, (quality, is_still): (u8, bool)) -> Vec<OsString> {
    let fitted = "fps=15,scale=512:512:force_original_aspect_ratio=decrease:flags=lanczos,format=rgba,\
                  pad=512:512:-1:-1:color=0x00000000";
    // A still picture has no rate.
    let fitted = if is_still { fitted.trim_start_matches("fps=15,") } else { fitted };
    let quality = quality.to_string();
    let webp = [
        "-map",
        "0:v:0",
        "-map_metadata",
        "-1",
        "-t",
        LONGEST_STICKER,
        "-an",
        "-vf",
        fitted,
        "-c:v",
        "libwebp",
        "-q:v",
        quality.as_str(),
        "-loop",
        "0",
        "-threads",
        "1",
        "-f",
        "webp",
    ];
    let mut arguments = with(reading(demuxer, input), &webp);
    arguments.push(file_url(output.as_os_str()));
    arguments
}

/// Writes the first frame of a video to the standard output, as a PNG.
pub fn first_frame_arguments(demuxer: &str, input: &Path) -> Vec<OsString> {
    let frame = [
        "-map",
        "0:v:0",
        "-frames:v",
        "1",
        "-vf",
        "scale=400:400:force_original_aspect_ratio=decrease",
        "-c:v",
        "png",
        "-threads",
        "1",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    with(reading(demuxer, input), &frame)
}

/// Asks `ffprobe` for size and playing time.
pub fn probe_arguments(demuxer: &str, input: &Path) -> Vec<OsString> {
    let asked = ["-hide_banner", "-loglevel", "quiet", "-protocol_whitelist", "file", "-f", demuxer, "-of", "json"];
    let fields = ["-select_streams", "v:0", "-show_entries", "format=duration:stream=width,height"];
    let mut arguments: Vec<OsString> = asked.iter().chain(&fields).map(OsString::from).collect();
    arguments.push(file_url(input.as_os_str()));
    arguments
}

/// Adds what `ffprobe` says; what cannot be read is left out.
pub fn read_probe(said: &[u8], preview: &mut FilePreview) {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(default)]
        streams: Vec<Size>,
        format: Option<Format>,
    }
    #[derive(Deserialize)]
    struct Size {
        width: Option<u32>,
        height: Option<u32>,
    }
    #[derive(Deserialize)]
    struct Format {
        duration: Option<String>,
    }
    let Ok(Probe { streams, format }) = serde_json::from_slice(said) else { return };
    if let Some(Size { width, height }) = streams.into_iter().next() {
        (preview.width, preview.height) = (width, height);
    }
    let duration: Option<f64> = format.and_then(|format| format.duration).and_then(|seconds| seconds.parse().ok());
    // A cast of a number within its bounds.
    preview.seconds = duration.filter(|seconds| (0.0..1e6).contains(seconds)).map(|seconds| seconds.ceil() as u32);
}

fn file_url(path: &OsStr) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}
