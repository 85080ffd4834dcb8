//! Makes of a file what WhatsApp's apps show: a voice note of any sound, a sticker of a picture; and the preview that a
//! message carries (size, playing time, thumbnail, loudness).
//!
//! Files are hostile. Pictures are decoded within a limit of pixels, everything else is read by `ffmpeg`, a process of its
//! own with bounds for time, memory, output and network. A conversion that fails refuses the file; a preview that fails is
//! left out. Nothing here keeps a whole file in memory.

mod ffmpeg;
mod input_format;
mod loudness;
mod picture;

pub use input_format::Conversion;
pub use picture::thumbnail_of;

use crate::{error_code::ErrorCode, response::ApiError, uploads::UploadStore};
use ffmpeg::{FfmpegError, Program};
use kurir_contract::command::{Base64Bytes, FilePreview, MediaKind, SendMedia};
use std::{path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// Conversions at once: each takes a core.
const AT_ONCE: usize = 2;
/// A caller waits for its answer meanwhile. An hour of sound takes a quarter of that.
const WITHIN: Duration = Duration::from_secs(60);
/// A preview is worth less than a conversion.
const PREVIEW_WITHIN: Duration = Duration::from_secs(15);
/// The largest file that is read for its preview alone.
const LARGEST_PREVIEWED: u64 = 64 << 20;

/// Converts files and looks into them, a few at once.
pub struct FileConverter {
    slots: Semaphore,
}

impl Default for FileConverter {
    fn default() -> Self {
        Self { slots: Semaphore::new(AT_ONCE) }
    }
}

impl FileConverter {
    /// Converts the file of a message, if it has to be, and adds its preview. The unconverted file is taken away.
    ///
    /// # Errors
    /// If the file cannot be converted; it is still there then.
    pub async fn complete(
        &self,
        uploads: &UploadStore,
        media: &mut SendMedia,
        conversion: Option<Conversion>,
    ) -> Result<(), ApiError> {
        match conversion {
            Some(conversion) => self.convert(uploads, media, conversion).await,
            None => {
                self.add_preview(uploads, media).await;
                Ok(())
            }
        }
    }

    async fn convert(
        &self,
        uploads: &UploadStore,
        media: &mut SendMedia,
        conversion: Conversion,
    ) -> Result<(), ApiError> {
        let program = Program::find("ffmpeg").ok_or_else(|| conversion.not_installed())?;
        let deadline = Instant::now() + WITHIN;
        let _slot = self.slot(deadline).await.ok_or_else(|| conversion.failed(&FfmpegError::TooSlow))?;
        let folder = work_folder()?;
        let (input, output) = (folder.path().join("input"), folder.path().join("output"));
        uploads.write_to(&media.file, &input).await?;
        let done = match conversion {
            Conversion::VoiceNote { demuxer } => voice_note(&program, demuxer, &input, &output, deadline).await,
            Conversion::Sticker { demuxer } => sticker(&program, demuxer, &input, &output, deadline).await,
        };
        let preview = done.map_err(|error| conversion.failed(&error))?;
        let converted = uploads.keep_file(&output, deadline + WITHIN).await?;
        let before = std::mem::replace(&mut media.file, converted);
        uploads.forget(&before).await;
        media.preview = preview;
        Ok(())
    }

    /// Adds what can be learnt about the file in time.
    async fn add_preview(&self, uploads: &UploadStore, media: &mut SendMedia) {
        let has_preview = match media.kind {
            MediaKind::Image | MediaKind::Sticker => true,
            MediaKind::Video | MediaKind::Round | MediaKind::Audio | MediaKind::Voice => {
                Program::find("ffmpeg").is_some()
            }
            MediaKind::Document => false,
        };
        if !has_preview || media.file.size.is_some_and(|size| size > LARGEST_PREVIEWED) {
            return;
        }
        let deadline = Instant::now() + PREVIEW_WITHIN;
        let looked = async {
            let _slot = self.slot(deadline).await?;
            let folder = work_folder().ok()?;
            let input = folder.path().join("input");
            uploads.write_to(&media.file, &input).await.ok()?;
            match media.kind {
                MediaKind::Image => picture_preview(input).await,
                MediaKind::Sticker => spawn_blocking(move || picture::sticker_preview(&input)).await.ok()?,
                MediaKind::Video | MediaKind::Round => video_preview(&input, &media.mimetype, deadline).await,
                MediaKind::Audio | MediaKind::Voice => {
                    sound_preview(&input, media.kind, &media.mimetype, deadline).await
                }
                MediaKind::Document => None,
            }
        };
        match timeout_at(deadline, looked).await {
            Ok(Some(preview)) => media.preview = preview,
            Ok(None) => tracing::debug!("a file of the type {} is sent without a preview", media.mimetype),
            Err(_) => tracing::info!("a file is sent without a preview, which was not made in time"),
        }
    }

    async fn slot(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        timeout_at(deadline, self.slots.acquire()).await.ok()?.ok()
    }
}

/// A folder for one file, which goes away with it. `TMPDIR` says where.
fn work_folder() -> Result<TempDir, ApiError> {
    tempfile::Builder::new().prefix("kurir-").tempdir().map_err(|error| {
        tracing::error!("failed to make a folder for a file to convert (TMPDIR says where): {error}");
        ApiError::internal()
    })
}

async fn voice_note(
    program: &Program,
    demuxer: &'static str,
    input: &Path,
    output: &Path,
    deadline: Instant,
) -> Result<FilePreview, FfmpegError> {
    let pcm = program.run(&ffmpeg::voice_note_arguments(demuxer, input, output), deadline).await?;
    if std::fs::metadata(output).map_or(0, |output| output.len()) == 0 || pcm.is_empty() {
        return Err(FfmpegError::Refused);
    }
    Ok(loudness::preview(&pcm, true))
}

/// A smaller quality if the sticker is larger than the apps take.
async fn sticker(
    program: &Program,
    demuxer: &'static str,
    input: &Path,
    output: &Path,
    deadline: Instant,
) -> Result<FilePreview, FfmpegError> {
    let source = input.to_owned();
    // A GIF of one frame is shown for a while, which would be several frames of a moving sticker.
    let is_moving = move || picture::is_moving_gif(&source);
    let is_still = demuxer.ends_with("_pipe") || demuxer == "gif" && !spawn_blocking(is_moving).await.unwrap_or(false);
    for quality in [75, 50, 25, 5] {
        program.run(&ffmpeg::sticker_arguments(demuxer, input, output, (quality, is_still)), deadline).await?;
        let made = output.to_owned();
        let preview = spawn_blocking(move || picture::sticker_preview(&made)).await.ok().flatten();
        let preview = preview.ok_or(FfmpegError::Refused)?;
        let most = if preview.animated { ffmpeg::LARGEST_ANIMATED } else { ffmpeg::LARGEST_STICKER };
        if std::fs::metadata(output).is_ok_and(|output| (1..=most).contains(&output.len())) {
            return Ok(preview);
        }
    }
    Err(FfmpegError::TooLarge)
}

async fn picture_preview(input: std::path::PathBuf) -> Option<FilePreview> {
    spawn_blocking(move || picture::image_preview(&input)).await.ok()?
}

async fn video_preview(input: &Path, mimetype: &str, deadline: Instant) -> Option<FilePreview> {
    let demuxer = input_format::video_demuxer(mimetype)?;
    let frame = Program::find("ffmpeg")?.run(&ffmpeg::first_frame_arguments(demuxer, input), deadline).await;
    let frame = frame.inspect_err(|error| tracing::debug!("no thumbnail of a video: {error}")).ok();
    let mut preview = FilePreview::default();
    if let Some(frame) = frame {
        let thumbnail = spawn_blocking(move || thumbnail_of(&frame)).await.ok().flatten();
        preview.thumbnail = thumbnail.map(Base64Bytes);
    }
    if let Some(program) = Program::find("ffprobe") {
        let said = program.run(&ffmpeg::probe_arguments(demuxer, input), deadline).await.unwrap_or_default();
        ffmpeg::read_probe(&said, &mut preview);
    }
    (!preview.is_empty()).then_some(preview)
}

async fn sound_preview(input: &Path, kind: MediaKind, mimetype: &str, deadline: Instant) -> Option<FilePreview> {
    let demuxer = input_format::sound_demuxer(mimetype)?;
    let pcm = Program::find("ffmpeg")?.run(&ffmpeg::loudness_arguments(demuxer, input), deadline).await.ok()?;
    (!pcm.is_empty()).then(|| loudness::preview(&pcm, kind == MediaKind::Voice))
}

impl Conversion {
    fn not_installed(self) -> ApiError {
        let text = format!("{}; Kurir converts such a file where ffmpeg is installed beside the API", self.demand());
        ApiError::new(ErrorCode::InvalidMimetype, text)
    }

    fn failed(self, error: &FfmpegError) -> ApiError {
        tracing::info!("a file could not be converted: {error}");
        match error {
            FfmpegError::NotStarted(_) => ApiError::internal(),
            FfmpegError::Refused | FfmpegError::TooLarge | FfmpegError::TooSlow => {
                let text = format!("{}, and this file cannot be converted: {error}", self.demand());
                ApiError::new(ErrorCode::InvalidMimetype, text)
            }
        }
    }

    /// What the apps take.
    fn demand(self) -> &'static str {
        match self {
            Self::VoiceNote { .. } => "A voice note must be sound in Ogg with Opus",
            Self::Sticker { .. } => "A sticker must be a WebP image",
        }
    }
}
