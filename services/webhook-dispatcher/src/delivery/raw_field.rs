//! Takes `raw` out of an event that has it only for other endpoints. The other bytes stay as they are. Pure.

use crate::event::StoredEvent;
use async_nats::HeaderMap;
use kurir_contract::header;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// The event without `raw`; none if nothing is to be taken out.
pub fn without_raw(event: &StoredEvent) -> Option<StoredEvent> {
    let is_on_request = |headers: &HeaderMap| headers.get(header::RAW_ON_REQUEST).is_some();
    if !event.headers.as_ref().is_some_and(is_on_request) {
        return None;
    }
    let body: Fields<'_> = serde_json::from_slice(&event.payload).ok()?;
    let data: Fields<'_> = serde_json::from_str(body.get("data")?).ok()?;
    data.get("raw")?;
    let data = data.write(|name, value| (name != "raw").then_some(value));
    let payload = body.write(|name, value| Some(if name == "data" { &data } else { value }));
    Some(StoredEvent { payload: payload.into(), ..event.clone() })
}

/// The fields of an object in their order, each value as its text.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    /// The object with these values; without a field whose value is none.
    fn write<'b>(&'b self, value: impl Fn(&str, &'b str) -> Option<&'b str>) -> String {
        let kept = self.0.iter().filter_map(|(name, raw)| Some((name, value(name, raw.get())?)));
        // A text is always JSON.
        let fields: Vec<String> =
            kept.map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap_or_default())).collect();
        format!("{{{}}}", fields.join(","))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raw_is_taken_out_and_only_if_others_asked_for_it() {
        let event = |payload: &str, headers: &[&str]| {
            let mut map = HeaderMap::new();
            headers.iter().for_each(|name| map.insert(*name, "1"));
            let payload = payload.to_owned().into();
            StoredEvent::new("whatsapp.events.default.message.received".into(), 1, Some(map), payload)
        };
        let whole = r#"{"event":"x","data":{"b":1.0,"raw":{"raw":"\"}"},"a":"raw","content":{"raw":2}},"z":1}"#;
        let expected = r#"{"event":"x","data":{"b":1.0,"a":"raw","content":{"raw":2}},"z":1}"#;
        let stripped =
            |payload: &str, headers: &[&str]| without_raw(&event(payload, headers)).map(|event| event.payload);
        assert_eq!(stripped(whole, &[header::RAW_ON_REQUEST]).as_deref(), Some(expected.as_bytes()));
        assert_eq!(stripped(whole, &[]), None);
        for other in [expected, "[]", "", r#"{"data":[]}"#] {
            assert_eq!(stripped(other, &[header::RAW_ON_REQUEST]), None, "{other}");
        }
    }
}
