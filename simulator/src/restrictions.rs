//! Accounts that may not write to strangers for a while: by a time lock, or by a cap on new chats.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phone_number::PhoneNumber;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestrictionKind {
    TimeLock,
    NewChatCap,
}

impl RestrictionKind {
    /// The number of the nack.
    pub fn code(self) -> u16 {
        match self {
            Self::TimeLock => 463,
            Self::NewChatCap => 475,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct AccountRestriction {
    pub kind: RestrictionKind,
    /// Unix seconds by this WhatsApp's clock.
    pub until: i64,
}

/// The restriction of each account that has one.
#[derive(Debug, Default)]
pub struct RestrictionTable(pub HashMap<PhoneNumber, AccountRestriction>);
