//! Forwards a message, in the form of its event's `data`. The command names a file, which is sent from where it is
//! stored.

use super::{FilePreview, FileToSend, IdempotencyKey, MediaKind, SendMedia, idempotency::fingerprint};
use crate::{address::ChatJid, media::MediaFile};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendForward {
    pub to: ChatJid,
    pub message: ForwardedContent,
    /// What the event says about the file besides the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<ForwardedMedia>,
    /// How often the message was forwarded before.
    #[serde(default)]
    pub forwarding_score: u32,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The content that can be forwarded, in the form of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "messageType", content = "content", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ForwardedContent {
    Text {
        text: String,
    },
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        name: String,
        #[serde(default)]
        address: String,
    },
    Contact {
        display_name: String,
        vcard: String,
    },
    Image(ForwardedFile),
    Video(ForwardedFile),
    Audio(ForwardedFile),
    Document(ForwardedFile),
    Sticker(ForwardedFile),
}

/// The content of a message with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardedFile {
    /// A [`MediaFile`]. Null if the file was not downloaded; then it cannot be forwarded.
    #[serde(default)]
    pub filename: Option<String>,
    pub mimetype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The name that people see of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

/// The part of an event's `media` that is forwarded with its file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardedMedia {
    pub voice_note: bool,
    pub round: bool,
    pub gif: bool,
    pub animated: bool,
    pub seconds: Option<u32>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// A document's caption.
    pub caption: Option<String>,
}

impl ForwardedContent {
    /// The file in the content.
    #[must_use]
    pub fn file(&self) -> Option<&ForwardedFile> {
        match self {
            Self::Text { .. } | Self::Location { .. } | Self::Contact { .. } => None,
            Self::Image(file) | Self::Video(file) | Self::Audio(file) | Self::Document(file) | Self::Sticker(file) => {
                Some(file)
            }
        }
    }
}

impl SendForward {
    /// The same file as a new message; none if the content has no stored file.
    #[must_use]
    pub fn as_media(&self) -> Option<SendMedia> {
        let media = self.media.clone().unwrap_or_default();
        let kind = match &self.message {
            ForwardedContent::Text { .. } | ForwardedContent::Location { .. } | ForwardedContent::Contact { .. } => {
                return None;
            }
            ForwardedContent::Image(_) => MediaKind::Image,
            ForwardedContent::Video(_) if media.round => MediaKind::Round,
            ForwardedContent::Video(_) => MediaKind::Video,
            ForwardedContent::Audio(_) if media.voice_note => MediaKind::Voice,
            ForwardedContent::Audio(_) => MediaKind::Audio,
            ForwardedContent::Document(_) => MediaKind::Document,
            ForwardedContent::Sticker(_) => MediaKind::Sticker,
        };
        let file = self.message.file()?;
        let name: MediaFile = file.filename.as_ref()?.parse().ok()?;
        Some(SendMedia {
            to: self.to.clone(),
            kind,
            file: FileToSend::received(&name),
            mimetype: file.mimetype.clone(),
            caption: file.caption.clone().or(media.caption).unwrap_or_default(),
            file_name: file.file_name.clone(),
            view_once: false,
            gif_playback: media.gif,
            preview: FilePreview {
                width: media.width,
                height: media.height,
                seconds: media.seconds,
                animated: media.animated && kind == MediaKind::Sticker,
                ..FilePreview::default()
            },
            quoted: None,
            quote: None,
            idempotency_key: self.idempotency_key.clone(),
        })
    }

    /// Equal for the same content to the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let score = self.forwarding_score.to_string();
        let head = ["forward", self.to.as_str(), &score];
        match &self.message {
            ForwardedContent::Text { text } => fingerprint(&[&head[..], &["text", text]].concat()),
            ForwardedContent::Location { latitude, longitude, name, address } => {
                let (latitude, longitude) = (latitude.to_string(), longitude.to_string());
                fingerprint(&[&head[..], &["location", &latitude, &longitude, name, address]].concat())
            }
            ForwardedContent::Contact { display_name, vcard } => {
                fingerprint(&[&head[..], &["contact", display_name, vcard]].concat())
            }
            ForwardedContent::Image(_)
            | ForwardedContent::Video(_)
            | ForwardedContent::Audio(_)
            | ForwardedContent::Document(_)
            | ForwardedContent::Sticker(_) => {
                let file = self.as_media().map(|media| media.fingerprint()).unwrap_or_default();
                fingerprint(&[&head[..], &["file", &file]].concat())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn forward(message: Value, media: Value) -> SendForward {
        let forward = json!({"to": "6281234567890@s.whatsapp.net", "message": message, "media": media});
        serde_json::from_value(forward).expect("a forward")
    }

    #[test]
    fn what_is_forwarded_is_read_from_an_event_as_it_is() {
        let data = json!({"messageType": "location", "content": {"latitude": 1.5, "longitude": 2.0, "name": "Monas", "address": ""}});
        let place = ForwardedContent::Location {
            latitude: 1.5,
            longitude: 2.0,
            name: "Monas".to_owned(),
            address: String::new(),
        };
        assert_eq!(serde_json::from_value::<ForwardedContent>(data).expect("a location"), place);
        let poll = json!({"messageType": "poll", "content": {"name": "Lunch?", "options": [], "selectable": 1}});
        assert!(serde_json::from_value::<ForwardedContent>(poll).is_err());
    }

    #[test]
    fn a_file_is_forwarded_as_what_it_was() {
        let content = json!({"caption": "laut", "mimetype": "a/b", "fileName": "bill.pdf", "mediaDownloaded": true,
            "filename": "x_3EB0_1_ab.bin", "filepath": "media/x_3EB0_1_ab.bin", "fileSize": 3, "base64": "YWJj"});
        for (kind, media, expected) in [
            ("image", json!(null), MediaKind::Image),
            ("video", json!({"gif": true, "bytes": 3}), MediaKind::Video),
            ("video", json!({"round": true, "voiceNote": false}), MediaKind::Round),
            ("audio", json!({}), MediaKind::Audio),
            ("audio", json!({"voiceNote": true, "seconds": 3, "width": null}), MediaKind::Voice),
            ("document", json!({"caption": null}), MediaKind::Document),
            ("sticker", json!({"animated": true}), MediaKind::Sticker),
        ] {
            let media = forward(json!({"messageType": kind, "content": content}), media).as_media().expect("a file");
            assert_eq!((media.kind, media.gif_playback), (expected, kind == "video" && expected == MediaKind::Video));
            assert_eq!((media.caption.as_str(), media.file_name.as_deref()), ("laut", Some("bill.pdf")));
            assert_eq!((media.file.object.as_str(), media.file.received), ("x_3EB0_1_ab.bin", true));
        }
        let bare = json!({"messageType": "document", "content": {"mimetype": "a/b", "fileName": "a", "filename": "a"}});
        assert_eq!(forward(bare, json!({"caption": "bill"})).as_media().expect("a file").caption, "bill");
    }

    #[test]
    fn no_two_forwards_have_one_fingerprint() {
        let image = |name: &str| json!({"messageType": "image", "content": {"mimetype": "a/b", "filename": name}});
        let document = json!({"messageType": "document", "content": {"mimetype": "a/b", "filename": "a"}});
        let all = [
            forward(json!({"messageType": "text", "content": {"text": "x"}}), json!(null)),
            forward(json!({"messageType": "contact", "content": {"displayName": "x", "vcard": ""}}), json!(null)),
            forward(image("a"), json!(null)),
            forward(image("b"), json!(null)),
            forward(document, json!(null)),
            SendForward { forwarding_score: 1, ..forward(image("a"), json!(null)) },
        ];
        let different: std::collections::HashSet<_> = all.iter().map(SendForward::fingerprint).collect();
        assert_eq!(different.len(), all.len());
    }
}
