//! Calls that ring.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectCall {
    /// `callId` of its `call.received`.
    pub call: String,
    /// Who calls, as the event names him.
    pub from: ChatJid,
}

/// The call was turned down; `call.ended` tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRejected {}
