//! In which shape an endpoint wants its events.

use serde::{Deserialize, Serialize};

/// The shape of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The contract's envelope, byte for byte as it is stored.
    #[default]
    Kurir,
    /// `CloudEvents` 1.0, binary mode: the attributes are headers, the body is the event's `data`.
    Cloudevents,
    /// As WAHA posts it.
    Waha,
    /// As Evolution API posts it.
    Evolution,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Kurir, Self::Cloudevents, Self::Waha, Self::Evolution];

    /// As it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kurir => "kurir",
            Self::Cloudevents => "cloudevents",
            Self::Waha => "waha",
            Self::Evolution => "evolution",
        }
    }
}
