//! A protobuf message as protobuf's JSON: lower camel case names, bytes as base64, 64-bit numbers as texts, enums by name.
//! Without keys at any depth. Pure.
//!
//! The client's types are written with serde, whose form follows Rust's structures. This serializer turns that form into
//! protobuf's.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{
    Serialize,
    ser::{self, Error as _, Impossible},
};
use serde_json::{Error, Map, Number, Value, json};

/// A message's JSON. Unset fields are left out.
pub fn to_proto_json<M: Serialize>(message: &M) -> Value {
    match message.serialize(ProtoJson) {
        Ok(written) => written.into_value(),
        // Cannot fail for a protobuf message. If it did, the message must still be published.
        Err(error) => Value::String(error.to_string()),
    }
}

/// Names that protobuf writes in a way that cannot be read from Rust's.
const IRREGULAR: [(&str, &str); 6] = [
    ("message_c2s_timestamp", "messageC2STimestamp"),
    ("favicon_mms_metadata", "faviconMMSMetadata"),
    ("supports_e2e_image", "supportsE2EImage"),
    ("supports_e2e_document", "supportsE2EDocument"),
    ("supports_e2e_video", "supportsE2EVideo"),
    ("supports_e2e_audio", "supportsE2EAudio"),
];

/// Who has these can read files or forge additions to messages.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("mediakey")
        || name.ends_with("secret")
        || name.ends_with("senderkeydistributionmessage")
        || name == "keydata"
}

/// What a value became.
enum Written {
    Value(Value),
    /// One byte of a field of bytes.
    Byte(u8),
    /// The field of a `oneof` that is set, with its own name.
    Oneof(String, Value),
    Unset,
}

impl Written {
    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Byte(byte) => json!(byte),
            Self::Oneof(name, value) => Value::Object(Map::from_iter([(name, value)])),
            Self::Unset => Value::Null,
        }
    }
}

struct ProtoJson;

struct Items(Vec<Written>);

struct Fields {
    fields: Map<String, Value>,
    /// The key of a map, until its value comes.
    key: Option<String>,
}

fn value(value: impl Into<Value>) -> Result<Written, Error> {
    Ok(Written::Value(value.into()))
}

fn number(number: f64) -> Result<Written, Error> {
    value(match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => json!("NaN"),
        None if number > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    })
}

impl ser::Serializer for ProtoJson {
    type Ok = Written;
    type Error = Error;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Impossible<Written, Error>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<Written, Error>;

    fn serialize_bool(self, written: bool) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_i8(self, written: i8) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_i16(self, written: i16) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_i32(self, written: i32) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_i64(self, written: i64) -> Result<Written, Error> {
        value(written.to_string())
    }

    fn serialize_u8(self, written: u8) -> Result<Written, Error> {
        Ok(Written::Byte(written))
    }

    fn serialize_u16(self, written: u16) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_u32(self, written: u32) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_u64(self, written: u64) -> Result<Written, Error> {
        value(written.to_string())
    }

    fn serialize_f32(self, written: f32) -> Result<Written, Error> {
        // By its shortest text, because 0.1 is another number with more digits.
        number(written.to_string().parse().unwrap_or(f64::from(written)))
    }

    fn serialize_f64(self, written: f64) -> Result<Written, Error> {
        number(written)
    }

    fn serialize_char(self, written: char) -> Result<Written, Error> {
        value(written.to_string())
    }

    fn serialize_str(self, written: &str) -> Result<Written, Error> {
        value(written)
    }

    fn serialize_bytes(self, written: &[u8]) -> Result<Written, Error> {
        value(BASE64_STANDARD.encode(written))
    }

    fn serialize_none(self) -> Result<Written, Error> {
        Ok(Written::Unset)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, written: &T) -> Result<Written, Error> {
        written.serialize(self)
    }

    fn serialize_unit(self) -> Result<Written, Error> {
        Ok(Written::Unset)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Written, Error> {
        Ok(Written::Unset)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Written, Error> {
        value(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, written: &T) -> Result<Written, Error> {
        written.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        written: &T,
    ) -> Result<Written, Error> {
        let mut name = variant.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Ok(Written::Oneof(name, written.serialize(self)?.into_value()))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Error> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Error> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, Error> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom("no protobuf message has a variant with several values"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Error> {
        Ok(Fields { fields: Map::new(), key: None })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Error> {
        Ok(Fields { fields: Map::new(), key: None })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom("no protobuf message has a variant with fields"))
    }
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.0.push(item.serialize(ProtoJson)?);
        Ok(())
    }

    fn into_written(self) -> Written {
        let bytes: Option<Vec<u8>> =
            self.0.iter().map(|item| if let Written::Byte(byte) = item { Some(*byte) } else { None }).collect();
        match bytes {
            Some(bytes) if bytes.is_empty() => Written::Unset,
            Some(bytes) => Written::Value(BASE64_STANDARD.encode(bytes).into()),
            None => Written::Value(self.0.into_iter().map(Written::into_value).collect()),
        }
    }
}

macro_rules! items {
    ($($kind:ident $push:ident),*) => {
        $(impl ser::$kind for Items {
            type Ok = Written;
            type Error = Error;

            fn $push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.push(item)
            }

            fn end(self) -> Result<Written, Error> {
                Ok(self.into_written())
            }
        })*
    };
}

items!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field);

impl Fields {
    fn insert(&mut self, name: String, written: Written) {
        let (name, value) = match written {
            Written::Unset => return,
            Written::Oneof(name, value) => (name, value),
            other => (name, other.into_value()),
        };
        if !is_secret(&name) {
            self.fields.insert(name, value);
        }
    }
}

impl ser::SerializeStruct for Fields {
    type Ok = Written;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, field: &T) -> Result<(), Error> {
        let written = field.serialize(ProtoJson)?;
        self.insert(proto_name(name), written);
        Ok(())
    }

    fn end(self) -> Result<Written, Error> {
        value(self.fields)
    }
}

impl ser::SerializeMap for Fields {
    type Ok = Written;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(match key.serialize(ProtoJson)?.into_value() {
            Value::String(key) => key,
            other => other.to_string(),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), Error> {
        let written = field.serialize(ProtoJson)?;
        if let Some(key) = self.key.take() {
            self.insert(key, written);
        }
        Ok(())
    }

    fn end(self) -> Result<Written, Error> {
        value(self.fields)
    }
}

fn proto_name(name: &str) -> String {
    if let Some((_, irregular)) = IRREGULAR.iter().find(|(rust, _)| *rust == name) {
        return (*irregular).to_owned();
    }
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests;
