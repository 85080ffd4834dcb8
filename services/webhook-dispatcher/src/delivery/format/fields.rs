//! Lenient reading of an event's `data`: a field of another kind counts as missing.

use kurir_contract::clock;
use serde_json::Value;

/// A JSON value whose fields are read by name. Of several names the first with a value counts: Kurir's own name comes
/// first.
#[derive(Clone, Copy)]
pub struct JsonFields<'a>(pub &'a Value);

/// Greater numbers are milliseconds: as seconds they would be after the year 5138.
const GREATEST_SECONDS: i64 = 100_000_000_000;

impl<'a> JsonFields<'a> {
    /// The value of a field; none if it is missing or null.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The fields of a field; none of them exists if it is missing.
    pub fn within(self, name: &str) -> Self {
        Self(self.get(name).unwrap_or(&Value::Null))
    }

    pub fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// The first text that is not empty.
    pub fn first_text(self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.text(name).filter(|text| !text.is_empty()))
    }

    pub fn is_true(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn list(self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.get(name).and_then(Value::as_array).into_iter().flatten()
    }

    /// The canonical address of a person or a chat: a text, or an object with `jid`. Of several names the first counts.
    pub fn address(self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| address_of(self.get(name)?))
    }

    /// The addresses in a list.
    pub fn addresses(self, name: &str) -> Vec<&'a str> {
        self.list(name).filter_map(address_of).collect()
    }

    /// A time in seconds since 1970, from milliseconds, seconds or ISO 8601.
    pub fn seconds(self, name: &str) -> Option<i64> {
        self.milliseconds(name).map(|milliseconds| milliseconds.div_euclid(1000))
    }

    pub fn milliseconds(self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Number(number) => {
                let number = number.as_i64().or_else(|| number.as_f64().map(|number| number as i64))?;
                let are_seconds = number.checked_abs().is_some_and(|size| size < GREATEST_SECONDS);
                Some(if are_seconds { number * 1000 } else { number })
            }
            Value::String(text) => iso_milliseconds(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn address_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(jid) => Some(jid.as_str()).filter(|jid| !jid.is_empty()),
        party => JsonFields(party).first_text(&["jid"]),
    }
}

/// Milliseconds since 1970.
pub fn iso_milliseconds(text: &str) -> Option<i64> {
    let at = clock::parse(text)?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_moment_is_read_in_each_of_its_forms() {
        for (written, milliseconds) in [
            (json!(1_795_526_845_042_i64), Some(1_795_526_845_042)),
            (json!(1_795_526_845), Some(1_795_526_845_000)),
            (json!("2026-11-24T13:27:25.042Z"), Some(1_795_526_845_042)),
            (json!("2026-11-24T20:27:25+07:00"), Some(1_795_526_845_000)),
            (json!(i64::MIN), Some(i64::MIN)),
            (json!("yesterday"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            let data = json!({ "at": written });
            assert_eq!(JsonFields(&data).milliseconds("at"), milliseconds, "{written}");
        }
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_not_there() {
        let data = json!({ "text": "a", "empty": "", "null": null, "number": 1, "list": ["a", {"jid": "b"}, 3] });
        let fields = JsonFields(&data);
        assert_eq!(fields.first_text(&["number", "null", "empty", "gone", "text"]), Some("a"));
        assert_eq!(fields.addresses("list"), ["a", "b"]);
        assert!(fields.addresses("text").is_empty());
        assert_eq!(fields.address(&["gone", "empty", "list", "text"]), Some("a"));
        assert!(fields.within("text").within("gone").get("x").is_none());
        assert!(!fields.is_true("number"));
    }
}
