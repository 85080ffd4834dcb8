//! Commands for calls that ring.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectCall {
    /// The `callId` of the call's `call.received` event.
    pub call: String,
    /// The caller, as the event names them.
    pub from: ChatJid,
}

/// The call was rejected. The event `call.ended` follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRejected {}
