//! The format of the requests that an endpoint receives.

use serde::{Deserialize, Serialize};

/// The format of the requests that an endpoint receives. `docs/formats.md` shows each format, event by event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PayloadFormat {
    /// The contract's format: the stored bytes, unchanged.
    #[default]
    Kurir,
    /// CloudEvents 1.0 over HTTP in binary mode: the attributes are headers, the body is the event's `data`.
    Cloudevents,
    /// The webhooks of WAHA, for the events that both programs know.
    Waha,
    /// The webhooks of Evolution API v2, for the events that both programs know.
    Evolution,
}

impl PayloadFormat {
    pub const ALL: [Self; 4] = [Self::Kurir, Self::Cloudevents, Self::Waha, Self::Evolution];

    /// The format as it is written in JSON.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_called_in_text_as_in_json() {
        for format in PayloadFormat::ALL {
            assert_eq!(serde_json::to_value(format).ok(), Some(format.as_str().into()));
        }
        assert_eq!(PayloadFormat::default(), PayloadFormat::Kurir);
        assert!(serde_json::from_str::<PayloadFormat>("\"Kurir\"").is_err());
    }
}
