//! Sends a file. The command names the file, whose bytes are in an object store and never travel with the command.

use super::{Base64Bytes, IdempotencyKey, Quote};
use crate::{
    address::ChatJid,
    media::{MEDIA_BUCKET, MEDIA_TO_SEND_BUCKET, MediaFile},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMedia {
    pub to: ChatJid,
    pub kind: MediaKind,
    pub file: FileToSend,
    pub mimetype: String,
    /// Empty if there is none, and for kinds that show none.
    #[serde(default)]
    pub caption: String,
    /// The name of a document that the recipient sees. For other kinds only events have it.
    #[serde(default)]
    pub file_name: Option<String>,
    /// An image, a video or an audio file that can be opened once.
    #[serde(default)]
    pub view_once: bool,
    /// A video that plays by itself, in a loop and without sound.
    #[serde(default)]
    pub gif_playback: bool,
    /// What the apps show before they have loaded the file.
    #[serde(default, skip_serializing_if = "FilePreview::is_empty")]
    pub preview: FilePreview,
    /// The id of the message to which this one replies.
    #[serde(default)]
    pub quoted: Option<String>,
    /// What is known of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What is known of a file without loading it. What is unknown is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilePreview {
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The playing time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// A small JPEG of an image or of a video's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Base64Bytes>,
    /// The loudness of a voice note in 64 steps, 0 to 100 each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waveform: Option<Base64Bytes>,
    /// Whether a sticker moves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
}

impl FilePreview {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The kind of message as which a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    /// A video that was recorded in a circle.
    Round,
    /// A file with sound.
    Audio,
    /// Sound that is shown as a voice note.
    Voice,
    Document,
    Sticker,
}

/// Where a file is stored, and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileToSend {
    /// The file's name in its store.
    pub object: String,
    /// Whether it is a received file, which stays in the store, or a file that was stored for this message alone.
    #[serde(default)]
    pub received: bool,
    /// Bytes. Missing, like `sha256`, for a received file of which only the name is known: no other file ever has that
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Hex, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl FileToSend {
    /// The object store of the file.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        if self.received { MEDIA_BUCKET } else { MEDIA_TO_SEND_BUCKET }
    }

    /// A received file, by its name.
    #[must_use]
    pub fn received(name: &MediaFile) -> Self {
        Self { object: name.to_string(), received: true, size: None, sha256: None }
    }
}

impl MediaKind {
    pub const ALL: [Self; 7] =
        [Self::Image, Self::Video, Self::Round, Self::Audio, Self::Voice, Self::Document, Self::Sticker];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Round => "round",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// Whether a file of this type can be sent as this kind.
    #[must_use]
    pub fn takes(self, mimetype: &str) -> bool {
        let lower = mimetype.to_ascii_lowercase();
        match self {
            Self::Image => lower.starts_with("image/"),
            Self::Video | Self::Round => lower.starts_with("video/"),
            Self::Audio | Self::Voice => lower.starts_with("audio/"),
            Self::Document => true,
            Self::Sticker => lower == "image/webp",
        }
    }

    /// The types that this kind takes, in words.
    #[must_use]
    pub fn types(self) -> &'static str {
        match self {
            Self::Image => "image/…",
            Self::Video | Self::Round => "video/…",
            Self::Audio | Self::Voice => "audio/…",
            Self::Document => "any type",
            Self::Sticker => "image/webp",
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a name that no kind of media has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of media has this name")]
pub struct UnknownMediaKind;

impl FromStr for MediaKind {
    type Err = UnknownMediaKind;

    fn from_str(name: &str) -> Result<Self, UnknownMediaKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownMediaKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_takes_files_of_its_own_type() {
        for (kind, mimetype, takes) in [
            (MediaKind::Image, "IMAGE/png", true),
            (MediaKind::Image, "video/mp4", false),
            (MediaKind::Video, "video/mp4", true),
            (MediaKind::Voice, "audio/ogg; codecs=opus", true),
            (MediaKind::Audio, "application/ogg", false),
            (MediaKind::Document, "application/x-anything", true),
            (MediaKind::Sticker, "image/webp", true),
            (MediaKind::Sticker, "image/png", false),
        ] {
            assert_eq!(kind.takes(mimetype), takes, "{kind} {mimetype}");
        }
    }

    #[test]
    fn kinds_are_named_once() {
        for kind in MediaKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
        assert_eq!("gif".parse::<MediaKind>(), Err(UnknownMediaKind));
    }
}
