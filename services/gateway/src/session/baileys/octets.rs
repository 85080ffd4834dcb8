//! Bytes in Baileys' JSON: `{"type":"Buffer","data":"<base64>"}`, and what older versions and other parts of it write.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

/// Node reads base64 with and without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes in any of Baileys' forms: a `Buffer`, an array of numbers, an object with an entry for each byte, base64.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    pub fn decode(base64: &str) -> Option<Self> {
        BASE64.decode(base64).ok().map(Self)
    }

    /// # Errors
    /// A text that says how many bytes there are.
    pub fn exactly<const N: usize>(&self) -> Result<[u8; N], String> {
        self.0.as_slice().try_into().map_err(|_| format!("has {} bytes, not {N}", self.0.len()))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Value::deserialize(deserializer)?).map(Self).ok_or_else(|| D::Error::custom("bytes in no known form"))
    }
}

fn read(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Octets::decode(text).map(|octets| octets.0),
        Value::Array(bytes) => bytes.iter().map(read_byte).collect(),
        Value::Object(object) => match object.get("data") {
            Some(data) if object.get("type").is_some_and(|kind| kind == "Buffer") => read(data),
            _ => read_numbered(object),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// `{"0":5,"1":17}`, as a `Uint8Array` is written.
fn read_numbered(object: &Map<String, Value>) -> Option<Vec<u8>> {
    (0..object.len()).map(|index| object.get(&index.to_string()).and_then(read_byte)).collect()
}

fn read_byte(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

/// A whole number, also as text or as protobuf's `Long`.
pub fn read_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::String(text) => text.parse().ok(),
        Value::Object(long) => read_long(long),
        other => other.as_i64(),
    };
    number.ok_or_else(|| D::Error::custom("no whole number"))
}

fn read_long(long: &Map<String, Value>) -> Option<i64> {
    let (low, high) = (long.get("low")?.as_i64()?, long.get("high")?.as_i64()?);
    Some((high << 32) | (low & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_form_of_bytes_is_read() {
        for (form, expected) in [
            (json!({"type": "Buffer", "data": "BRH/"}), Some(vec![5, 17, 255])),
            (json!({"type": "Buffer", "data": [5, 17, 255]}), Some(vec![5, 17, 255])),
            (json!({"0": 5, "1": 17, "2": 255}), Some(vec![5, 17, 255])),
            (json!([5, 17, 255]), Some(vec![5, 17, 255])),
            (json!("BRH/"), Some(vec![5, 17, 255])),
            (json!("BRE="), Some(vec![5, 17])),
            (json!("BRE"), Some(vec![5, 17])),
            (json!(""), Some(Vec::new())),
            (json!({"type": "Buffer", "data": []}), Some(Vec::new())),
            (json!([256]), None),
            (json!({"1": 5}), None),
            (json!("not base64!"), None),
            (json!(7), None),
            (json!(null), None),
        ] {
            let read = serde_json::from_value::<Octets>(form.clone()).ok().map(|octets| octets.0);
            assert_eq!(read, expected, "{form}");
        }
    }

    #[test]
    fn each_form_of_a_number_is_read() {
        #[derive(Deserialize)]
        struct Row(#[serde(deserialize_with = "read_number")] i64);
        for (form, expected) in [
            (json!(1_700_000_000_123_i64), Some(1_700_000_000_123)),
            (json!("1700000000123"), Some(1_700_000_000_123)),
            (json!({"low": -1, "high": 0, "unsigned": false}), Some(4_294_967_295)),
            (json!({"low": 1, "high": 1, "unsigned": true}), Some(4_294_967_297)),
            (json!("soon"), None),
            (json!(1.5), None),
        ] {
            let read = serde_json::from_value::<Row>(form.clone()).ok().map(|row| row.0);
            assert_eq!(read, expected, "{form}");
        }
    }
}
