//! Commands about people: whether a number is on WhatsApp, contacts, pictures, and blocked contacts.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

/// The longest picture in base64. NATS takes one megabyte, and the apps make pictures of 640 by 640 pixels, some 100 kB
/// of JPEG.
pub const LONGEST_PICTURE: usize = 700_000;
/// The most people in [`BlockedContacts`]: NATS takes one megabyte.
pub const MOST_BLOCKED_SHOWN: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckNumber {
    /// A person, not a group.
    pub number: ChatJid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NumberChecked {
    /// Whether WhatsApp knows the account.
    pub exists: bool,
    /// WhatsApp's address for the account, else the requested one.
    pub jid: ChatJid,
    /// Null if WhatsApp did not give it.
    pub lid: Option<ChatJid>,
}

/// The request of `contact`, `block` and `unblock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonRequest {
    /// A person, not a group.
    pub number: ChatJid,
}

/// What a person shows to this account. What they hide is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactDetails {
    /// The canonical address.
    pub jid: ChatJid,
    /// `…@s.whatsapp.net`; null if unknown.
    pub pn: Option<ChatJid>,
    /// `…@lid`; null if unknown.
    pub lid: Option<ChatJid>,
    /// The person's description of themselves.
    pub about: Option<String>,
    pub picture: Option<PictureLink>,
    pub business: bool,
    /// The name of a business that WhatsApp has verified.
    pub verified_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PictureLink {
    /// Changes with the picture.
    pub id: String,
    /// Works for some days.
    pub url: String,
}

/// Asks for the picture of a person or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureRequest {
    pub of: ChatJid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureLookup {
    /// Null if there is no picture, or none that this account may see.
    pub picture: Option<PictureLink>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetPicture {
    /// The group whose picture is set; null: the account's own.
    #[serde(default)]
    pub group: Option<ChatJid>,
    /// A JPEG in base64, at most [`LONGEST_PICTURE`] characters. Null removes the picture.
    #[serde(default)]
    pub picture: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PictureUpdate {
    /// The id of the new picture; null if the picture was removed.
    pub id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedContacts {
    pub people: Vec<BlockedContact>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockedContact {
    /// The canonical address.
    pub jid: ChatJid,
    /// `…@s.whatsapp.net`; null if unknown.
    pub pn: Option<ChatJid>,
    /// `…@lid`; null if unknown.
    pub lid: Option<ChatJid>,
}
