//! People: who somebody is, pictures, and whom the account blocks.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

/// A picture in base64: NATS takes one megabyte, and the apps make pictures of 640 by 640 pixels, 100 kB of JPEG.
pub const LONGEST_PICTURE: usize = 700_000;
/// People that [`BlockedContacts`] shows at most, since NATS takes one megabyte.
pub const MOST_BLOCKED_SHOWN: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckNumber {
    /// A person; no group.
    pub number: ChatJid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NumberChecked {
    /// Whether WhatsApp knows the account.
    pub exists: bool,
    /// The address that WhatsApp has for it, else the one that was asked for.
    pub jid: ChatJid,
    /// Null if WhatsApp did not tell it.
    pub lid: Option<ChatJid>,
}

/// Of `contact`, `block` and `unblock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonRequest {
    /// A person; no group.
    pub number: ChatJid,
}

/// What somebody shows to this account; what he hides is null.
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
    /// What he says of himself.
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
    /// Good for some days.
    pub url: String,
}

/// The picture of a person or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureRequest {
    pub of: ChatJid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureLookup {
    /// Null if there is none, or none for this account to see.
    pub picture: Option<PictureLink>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetPicture {
    /// Whose; the account's own if null.
    #[serde(default)]
    pub group: Option<ChatJid>,
    /// A JPEG in base64, at most [`LONGEST_PICTURE`] characters; null removes the picture.
    #[serde(default)]
    pub picture: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PictureUpdate {
    /// The new picture's; null if it was removed.
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
