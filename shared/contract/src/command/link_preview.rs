//! The preview of a link in a text that is sent. The maker of the command has fetched the page.

use super::Base64Bytes;
use serde::{Deserialize, Serialize};

/// What the apps show of a page below a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PagePreview {
    /// The link as it is written in the text.
    pub url: String,
    pub title: String,
    /// Empty if the page has none.
    #[serde(default)]
    pub description: String,
    /// A small JPEG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Base64Bytes>,
}
