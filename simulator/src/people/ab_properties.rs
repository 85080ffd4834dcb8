//! The AB properties of an account: switches by which WhatsApp turns features of a client on and off.
//! Promises that a property is found by its name in the client's registry, or by its number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore::iq::abprops::{ALL, AbProp, web};

/// Switched on for everybody, as on WhatsApp today.
const ON: [AbProp; 1] = [web::PRIVACY_TOKEN_SENDING_ON_ALL_1_ON_1_MESSAGES];

/// The values by the numbers of the properties.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AbProperties(BTreeMap<u32, String>);

impl Default for AbProperties {
    fn default() -> Self {
        Self(ON.iter().map(|property| (property.code, "1".to_owned())).collect())
    }
}

impl AbProperties {
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.0.iter().map(|(code, value)| (*code, value.as_str()))
    }

    /// By name or number; gives the number. None if there is no such property. An absent value takes it away.
    pub fn set(&mut self, property: &str, value: Option<String>) -> Option<u32> {
        let code = code_of(property)?;
        match value {
            Some(value) => self.0.insert(code, value),
            None => self.0.remove(&code),
        };
        Some(code)
    }

    pub fn switch_on(&mut self, property: AbProp) {
        self.0.insert(property.code, "1".to_owned());
    }
}

fn code_of(property: &str) -> Option<u32> {
    let named = ALL.iter().flat_map(|registry| registry.iter()).find(|known| known.name == property);
    named.map(|known| known.code).or_else(|| property.parse().ok().filter(|code| *code > 0))
}

/// The name of a property, if it is known.
pub fn name_of(code: u32) -> Option<&'static str> {
    ALL.iter().flat_map(|registry| registry.iter()).find(|known| known.code == code).map(|known| known.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_has_a_name_and_a_number() {
        let mut properties = AbProperties::default();
        let code = web::WA_NCT_TOKEN_SEND_ENABLED.code;
        assert_eq!(properties.set("wa_nct_token_send_enabled", Some("1".to_owned())), Some(code));
        assert_eq!(properties.iter().find(|(known, _)| *known == code), Some((code, "1")));
        assert_eq!(name_of(code), Some("wa_nct_token_send_enabled"));
        assert_eq!(properties.set(&code.to_string(), None), Some(code));
        assert_eq!(properties.iter().find(|(known, _)| *known == code), None);
        for nonsense in ["", "0", "-1", "no_such_property"] {
            assert_eq!(properties.set(nonsense, Some("1".to_owned())), None, "{nonsense}");
        }
    }
}
