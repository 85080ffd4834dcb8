//! What a business writes: a text with a header, a footer and buttons, and the rows of its lists.

use super::ReceivedFile;
use serde::Serialize;

/// The content of `interactive`, `template`, `buttons` and `list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BusinessCard {
    /// The header's text; null if it has none.
    pub title: Option<String>,
    /// The text, as a person reads it.
    pub text: String,
    pub footer: Option<String>,
    pub buttons: Vec<CardButton>,
    /// The rows of a list; empty for other kinds.
    pub sections: Vec<CardSection>,
    /// The cards of a carousel, which have no files here; empty for other kinds.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<serde_json::Value>"))]
    pub cards: Vec<Self>,
    /// The order that the business wants to have paid; null if there is none.
    pub order: Option<CardOrder>,
    /// The kind of the header's file; null if it has none.
    pub file_kind: Option<FileKind>,
    /// The MIME type of the header's file; null if it has none.
    pub mimetype: Option<String>,
    /// The name of the header's document; null if it has none.
    pub file_name: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub file: Option<ReceivedFile>,
}

/// A button. What it does is in the field that is not null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardButton {
    /// What a tap on it says in `button_reply`; null if a tap says nothing.
    pub id: Option<String>,
    pub text: String,
    /// The page that it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The number that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The code that it copies, for example a one-time password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_code: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardSection {
    pub title: String,
    pub rows: Vec<CardRow>,
}

/// A row of a list; `id` is what a choice of it says in `list_reply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardRow {
    pub id: String,
    pub title: String,
    pub description: String,
}

/// An order that a business wants to have paid. What WhatsApp does not say is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardOrder {
    /// The business's own number of the order.
    pub reference_id: Option<String>,
    /// In units of the currency.
    pub total: Option<f64>,
    /// ISO 4217.
    pub currency: Option<String>,
    pub items: Vec<CardOrderItem>,
}

/// A position of an order. What WhatsApp does not say is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardOrderItem {
    /// The seller's own number of the product.
    pub sku: Option<String>,
    pub name: Option<String>,
    /// Of one piece, in units of the currency.
    pub price: Option<f64>,
    pub quantity: Option<u32>,
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FileKind {
    Image,
    Video,
    Document,
}

impl FileKind {
    /// The kind as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Document => "document",
        }
    }
}

/// What happens with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PaymentAction {
    /// Money is asked for.
    Request,
    /// Money is sent.
    Send,
    /// A request is declined.
    Decline,
    /// A request is taken back.
    Cancel,
}

/// An answer to a calendar event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventAnswer {
    Going,
    NotGoing,
    Maybe,
    /// An answer that this version does not know.
    Unknown,
}
