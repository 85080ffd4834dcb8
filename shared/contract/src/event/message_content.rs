//! The content of a message: `messageType`, and the `content` that belongs to it.
//!
//! The contract has the first ten types; they never change. Kurir adds the others.

use super::business_card::{BusinessCard, EventAnswer, PaymentAction};
use crate::media::MediaFile;
use serde::Serialize;

/// `messageType`, and the `content` that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "messageType", content = "content", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MessageContent {
    Text {
        text: String,
    },
    Image {
        #[serde(flatten)]
        caption: Caption,
        mimetype: String,
        /// Only of a file that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Video {
        #[serde(flatten)]
        caption: Caption,
        mimetype: String,
        /// Only of a file that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Audio {
        /// Only of a file that was sent through Kurir: the caption that was asked for. WhatsApp's apps show none.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        caption: Option<Caption>,
        mimetype: String,
        /// Only of a file that was sent through Kurir.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    Document {
        /// Only of a file that was sent through Kurir.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        caption: Option<Caption>,
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
        /// A link that belongs to the place; absent if it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// What the writer says about the place; absent if they say nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        /// In metres; absent if it is unknown.
        #[serde(skip_serializing_if = "Option::is_none")]
        accuracy: Option<u32>,
    },
    GroupInvite {
        raw: serde_json::Value,
    },
    /// A kind that Kurir does not know, as WhatsApp sent it. It is no error: an error would make WhatsApp send it again and
    /// again.
    Unknown {
        raw: serde_json::Value,
    },

    /// Several contacts in one message.
    Contacts {
        display_name: String,
        contacts: Vec<ContactCard>,
    },
    /// A place that moves; each later place is another message.
    LiveLocation {
        latitude: f64,
        longitude: f64,
        #[serde(flatten)]
        caption: Caption,
        /// In metres; null if it is unknown.
        accuracy: Option<u32>,
        /// In metres per second; null if it is unknown.
        speed: Option<f64>,
        /// The number of this place since the sharing began.
        sequence: Option<i64>,
    },
    Poll {
        name: String,
        options: Vec<String>,
        /// How many options a person may choose; 0 is any number.
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
    /// A choice from a list that a business sent.
    ListReply {
        title: String,
        description: String,
        row_id: String,
    },
    /// A tap on a button that a business sent, of any kind.
    ButtonReply {
        text: String,
        button_id: String,
    },
    /// The result of a form that a business sent.
    FormReply {
        text: String,
        name: String,
        /// JSON, as WhatsApp wrote it.
        parameters: String,
    },
    /// A product of a catalogue. `text` and `footer` are what the business wrote about it.
    Product {
        title: String,
        description: String,
        product_id: String,
        url: String,
        text: String,
        footer: Option<String>,
        /// The seller's own number of the product; null if it has none.
        sku: Option<String>,
        /// In units of the currency; null if the product has no price.
        price: Option<f64>,
        /// The price while the product is on sale; null if it is not.
        sale_price: Option<f64>,
        /// ISO 4217; null if there is no price.
        currency: Option<String>,
        /// The MIME type of the product's picture; absent if it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        mimetype: Option<String>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    /// A shopping cart.
    Order {
        order_id: String,
        title: String,
        message: String,
        /// How many pieces it has; null if the app did not say.
        items: Option<u32>,
        /// The word with which WhatsApp shows the order's products; null if there is none.
        token: Option<String>,
        /// In units of the currency; null if the app did not say.
        total: Option<f64>,
        /// ISO 4217; null if the app did not say.
        currency: Option<String>,
    },
    /// A message of a business with buttons that WhatsApp's newer apps show.
    Interactive {
        #[serde(flatten)]
        card: Box<BusinessCard>,
    },
    /// A message of a business from a template.
    Template {
        #[serde(flatten)]
        card: Box<BusinessCard>,
    },
    /// A message of a business with buttons in their older form.
    Buttons {
        #[serde(flatten)]
        card: Box<BusinessCard>,
    },
    /// A list of a business to choose from; `sections` has its rows.
    List {
        #[serde(flatten)]
        card: Box<BusinessCard>,
    },
    /// Somebody asks for money, or sends some, or takes such a request back.
    Payment {
        action: PaymentAction,
        /// What they write about it.
        text: String,
        /// In units of the currency; null if the message does not say.
        amount: Option<f64>,
        /// ISO 4217; null if the message does not say.
        currency: Option<String>,
        /// The JID of the person who is asked, as WhatsApp wrote it; null if the message does not say.
        from: Option<String>,
        /// Seconds since 1970; null if it does not expire.
        expires_at: Option<i64>,
        /// The request that this message answers; null if it answers none.
        request_id: Option<String>,
    },
    /// An answer to a calendar event; `related` names the event.
    EventResponse {
        response: EventAnswer,
        /// How many more people the person brings.
        extra_guests: u32,
    },
    /// Somebody added an option to a poll; `related` names the poll.
    PollOption {
        option: String,
    },
    /// The announcement of several pictures and videos, which follow as messages.
    Album {
        images: u32,
        videos: u32,
    },
    /// A message was pinned in the chat, or unpinned.
    Pin {
        message_id: String,
        pinned: bool,
    },
}

impl MessageContent {
    /// The kind and the MIME type of the content's file; none if it has no file.
    #[must_use]
    pub fn file_type(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Image { mimetype, .. } => Some(("image", mimetype)),
            Self::Video { mimetype, .. } => Some(("video", mimetype)),
            Self::Audio { mimetype, .. } => Some(("audio", mimetype)),
            Self::Document { mimetype, .. } => Some(("document", mimetype)),
            Self::Sticker { mimetype, .. } => Some(("sticker", mimetype)),
            Self::Product { mimetype, .. } => Some(("image", mimetype.as_deref()?)),
            Self::Interactive { card } | Self::Template { card } | Self::Buttons { card } | Self::List { card } => {
                Some((card.file_kind?.as_str(), card.mimetype.as_deref()?))
            }
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
            | Self::Order { .. }
            | Self::Payment { .. }
            | Self::EventResponse { .. }
            | Self::PollOption { .. }
            | Self::Album { .. }
            | Self::Pin { .. } => None,
        }
    }

    /// Adds the result of the download; does nothing for a content without a file.
    pub fn set_file(&mut self, received: ReceivedFile) {
        if let Self::Image { file, .. }
        | Self::Video { file, .. }
        | Self::Audio { file, .. }
        | Self::Document { file, .. }
        | Self::Sticker { file, .. }
        | Self::Product { file, .. } = self
        {
            *file = Some(received);
        } else if let Self::Interactive { card }
        | Self::Template { card }
        | Self::Buttons { card }
        | Self::List { card } = self
        {
            card.file = Some(received);
        }
    }

    /// The name that the sender's app gives the file; none if it gives none.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        match self {
            Self::Document { file_name, .. } => Some(file_name),
            Self::Interactive { card } | Self::Template { card } | Self::Buttons { card } | Self::List { card } => {
                card.file_name.as_deref()
            }
            _ => None,
        }
    }
}

/// What somebody wrote under a file or a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Caption {
    /// Empty if there is none.
    caption: String,
    /// The same, where the text of a text stands; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<String> for Caption {
    fn from(caption: String) -> Self {
        Self { text: Some(caption.clone()).filter(|text| !text.is_empty()), caption }
    }
}

/// The result of a file's download. The fields are absent if Kurir tried no download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceivedFile {
    media_downloaded: bool,
    /// Why it was not downloaded; absent if it was. `media.downloaded` follows if a later try succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    file: Option<ServedFile>,
}

/// A file that the API serves at `downloadUrl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ServedFile {
    filename: MediaFile,
    /// `media/<file>`.
    filepath: String,
    /// In bytes.
    file_size: u64,
    mime_type: String,
    /// `/media/<file>` of the API. It holds 128 random bits; everybody who knows it may fetch the file.
    download_url: String,
    /// The file itself. The dispatcher adds it for endpoints that ask for it, up to a size. In NATS it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl ReceivedFile {
    #[must_use]
    /// A file that was downloaded and stored.
    pub fn stored(filename: MediaFile, file_size: u64, mime_type: String) -> Self {
        let (filepath, download_url) = (filename.path(), filename.url());
        let file = ServedFile { filename, filepath, file_size, mime_type, download_url, base64: None };
        Self { media_downloaded: true, error: None, file: Some(file) }
    }

    #[must_use]
    /// A file that could not be downloaded.
    pub fn not_downloaded(error: String) -> Self {
        Self { media_downloaded: false, error: Some(error), file: None }
    }
}

/// One contact of a message with several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactCard {
    pub display_name: String,
    pub vcard: String,
}

/// The place of a calendar event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventLocation {
    /// In degrees; null if the app did not say.
    pub latitude: Option<f64>,
    /// In degrees; null if the app did not say.
    pub longitude: Option<f64>,
    pub name: String,
    pub address: String,
}
