//! What a message holds: `messageType` and the `content` that belongs to it.
//!
//! The first ten are the contract's and stay as they are. The others are Kurir's own.

use crate::media::MediaFile;
use serde::Serialize;

/// `messageType` and the `content` that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "messageType", content = "content", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MessageContent {
    Text {
        text: String,
    },
    Image {
        caption: String,
        mimetype: String,
        /// Of one that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Video {
        caption: String,
        mimetype: String,
        /// Of one that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Audio {
        /// Of one that was sent through Kurir, as asked for; the apps show none.
        #[serde(skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        mimetype: String,
        /// Of one that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Document {
        /// Of one that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        file_name: String,
        mimetype: String,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Sticker {
        mimetype: String,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Contact {
        display_name: String,
        vcard: String,
    },
    Location {
        latitude: f64,
        longitude: f64,
        name: String,
        address: String,
    },
    GroupInvite {
        raw: serde_json::Value,
    },
    /// What has no mapping keeps the raw message: it is never an error, which would bring it back for ever.
    Unknown {
        raw: serde_json::Value,
    },

    /// Several contacts in one message.
    Contacts {
        display_name: String,
        contacts: Vec<ContactCard>,
    },
    /// A place that moves; each later one is a message of its own.
    LiveLocation {
        latitude: f64,
        longitude: f64,
        caption: String,
        /// Metres; null if unknown.
        accuracy: Option<u32>,
        /// Metres a second; null if unknown.
        speed: Option<f64>,
        /// Counts the places of one sharing.
        sequence: Option<i64>,
    },
    Poll {
        name: String,
        options: Vec<String>,
        /// How many options one may choose; 0 is any number.
        selectable: u32,
    },
    /// A calendar event in a chat.
    Event {
        name: String,
        description: String,
        /// Seconds since 1970; null if it has none.
        starts_at: Option<i64>,
        /// Seconds since 1970; null if it has none.
        ends_at: Option<i64>,
        location: Option<EventLocation>,
        join_link: Option<String>,
        cancelled: bool,
    },
    /// An answer to a list of a business.
    ListReply {
        title: String,
        description: String,
        row_id: String,
    },
    /// An answer to a button of a business, of whatever sort.
    ButtonReply {
        text: String,
        button_id: String,
    },
    /// The result of a form of a business.
    FormReply {
        text: String,
        name: String,
        /// JSON as WhatsApp wrote it.
        parameters: String,
    },
    /// An article of a catalogue.
    Product {
        title: String,
        description: String,
        product_id: String,
        url: String,
    },
    /// A shopping cart.
    Order {
        order_id: String,
        title: String,
        message: String,
        items: u32,
    },
    /// The head of several pictures that follow as messages of their own.
    Album {
        images: u32,
        videos: u32,
    },
    /// A message was pinned in the chat, or no longer is.
    Pin {
        message_id: String,
        pinned: bool,
    },
}

impl MessageContent {
    /// The kind and the MIME type of the file that it tells of; none of other kinds.
    #[must_use]
    pub fn file_type(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Image { mimetype, .. } => Some(("image", mimetype)),
            Self::Video { mimetype, .. } => Some(("video", mimetype)),
            Self::Audio { mimetype, .. } => Some(("audio", mimetype)),
            Self::Document { mimetype, .. } => Some(("document", mimetype)),
            Self::Sticker { mimetype, .. } => Some(("sticker", mimetype)),
            Self::Text { .. }
            | Self::Contact { .. }
            | Self::Location { .. }
            | Self::GroupInvite { .. }
            | Self::Unknown { .. }
            | Self::Contacts { .. }
            | Self::LiveLocation { .. }
            | Self::Poll { .. }
            | Self::Event { .. }
            | Self::ListReply { .. }
            | Self::ButtonReply { .. }
            | Self::FormReply { .. }
            | Self::Product { .. }
            | Self::Order { .. }
            | Self::Album { .. }
            | Self::Pin { .. } => None,
        }
    }

    /// Says what became of the file that it tells of; other kinds have none.
    pub fn set_file(&mut self, received: ReceivedFile) {
        if let Self::Image { file, .. }
        | Self::Video { file, .. }
        | Self::Audio { file, .. }
        | Self::Document { file, .. }
        | Self::Sticker { file, .. } = self
        {
            *file = Some(received);
        }
    }
}

/// What became of a message's file: it can be fetched, or why it cannot. Absent where no download was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceivedFile {
    media_downloaded: bool,
    /// Why it was not downloaded; absent if it was. If it comes later, `media.downloaded` tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    file: Option<KeptFile>,
}

/// A file that the API serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct KeptFile {
    filename: MediaFile,
    /// `media/<file>`.
    filepath: String,
    /// Bytes.
    file_size: u64,
    mime_type: String,
    /// `/media/<file>` of the API. Whoever has it may fetch the file: it holds 128 random bits.
    download_url: String,
    /// The file itself. Never in NATS: it is added at delivery, for endpoints that want it, up to a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl ReceivedFile {
    #[must_use]
    pub fn kept(filename: MediaFile, file_size: u64, mime_type: String) -> Self {
        let (filepath, download_url) = (filename.path(), filename.url());
        let file = KeptFile { filename, filepath, file_size, mime_type, download_url, base64: None };
        Self { media_downloaded: true, error: None, file: Some(file) }
    }

    #[must_use]
    pub fn missing(error: String) -> Self {
        Self { media_downloaded: false, error: Some(error), file: None }
    }
}

/// One of several contacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactCard {
    pub display_name: String,
    pub vcard: String,
}

/// Where a calendar event happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventLocation {
    pub latitude: f64,
    pub longitude: f64,
    pub name: String,
    pub address: String,
}
