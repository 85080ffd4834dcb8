//! A file as a message. The command names the file; its bytes wait in an object store and never travel with it.

use super::IdempotencyKey;
use crate::{
    address::ChatJid,
    media::{MEDIA_BUCKET, MEDIA_TO_SEND_BUCKET, MediaFile},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMedia {
    pub to: ChatJid,
    pub kind: MediaKind,
    pub file: FileToSend,
    pub mimetype: String,
    /// Empty if it has none; so it is for kinds that show none.
    #[serde(default)]
    pub caption: String,
    /// The name that the recipient sees of a document; of the other kinds only events tell it.
    #[serde(default)]
    pub file_name: Option<String>,
    /// An image, a video or an audio file that can be opened once.
    #[serde(default)]
    pub view_once: bool,
    /// A video that plays by itself, in a loop and without sound.
    #[serde(default)]
    pub gif_playback: bool,
    /// Id of the message that this one replies to.
    #[serde(default)]
    pub quoted: Option<String>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What a file is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    /// A video that was recorded in a circle.
    Round,
    /// A file with sound.
    Audio,
    /// Sound as if it had been spoken into the app.
    Voice,
    Document,
    Sticker,
}

/// Where a file waits, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileToSend {
    /// Its name in its store.
    pub object: String,
    /// Whether it is a received file, which is only read, or one that was put there for this message alone.
    #[serde(default)]
    pub received: bool,
    /// Bytes; so is `sha256`, not said of a received file whose name alone is known: no other file ever has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Hex, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl FileToSend {
    /// The object store that it waits in.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        if self.received { MEDIA_BUCKET } else { MEDIA_TO_SEND_BUCKET }
    }

    /// A received file, known by its name.
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

    /// The types that it takes, for people.
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

/// No kind of media has this name.
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
