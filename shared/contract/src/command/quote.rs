//! What a send says about the message that it replies to, besides its id. WhatsApp's apps show a reply with what the reply
//! itself holds: without an author and a content it looks empty.

use super::ForwardedContent;
use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Quote {
    /// Its author; null if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<ChatJid>,
    /// Whether this account wrote it, whatever `author` says.
    pub from_me: bool,
    /// Its content, in the form of events; null if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ForwardedContent>,
}
