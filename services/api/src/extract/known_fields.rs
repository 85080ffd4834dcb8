//! Which fields a request type knows. What it does not know is refused with the name that was meant, and options are found
//! where callers put them: in `options` or in the body itself.
//!
//! Whether a field is ignored matters most where the act cannot be undone: a text whose `sendAt` is not seen goes out now.

use crate::{
    error_code::ErrorCode,
    fields::{SendOptions, field_problem},
    response::ApiError,
};
use kurir_contract::endpoint::FieldProblem;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value::Error};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// Whether a field that a route does not know refuses the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    Refused,
    /// On the contract's routes, which always ignored them.
    Ignored,
}

/// The names of a type's fields; none for a type that takes any.
pub struct KnownFields {
    names: Option<&'static [&'static str]>,
}

const OPTIONS: &str = "options";
/// Texts that count as absent when they are empty: tools send them for a field that was left empty.
const ABSENT_IF_EMPTY: [&str; 7] =
    ["quoted", "quotedParticipant", "mentions", "sendAt", "participant", "options", "linkPreview"];
/// Names under which other programs schedule a message, in lower case and without `_` and `-`. Ignored, each of them would
/// send it at once.
const SCHEDULES: [&str; 9] = [
    "sendat",
    "sendtime",
    "senddate",
    "sendlater",
    "scheduleat",
    "scheduledat",
    "scheduledfor",
    "scheduletime",
    "deliverat",
];
/// A name as near as this to a known one was meant to be it.
const NEAR: f64 = 0.8;

impl KnownFields {
    pub fn of<T: DeserializeOwned>() -> Self {
        let mut names = None;
        // It ends with an error as soon as the type has said what its fields are.
        let _ = T::deserialize(FieldNameReader(&mut names));
        Self { names }
    }

    /// Refuses what is not known, drops what is empty, and moves options that stand beside `options` into it.
    ///
    /// # Errors
    /// With every name that is not known, or that is given twice with different values.
    pub fn check(&self, fields: &mut Map<String, Value>, unknown: UnknownFields) -> Result<(), ApiError> {
        let Some(names) = self.names else { return Ok(()) };
        let send_options = Self::of::<SendOptions>().names.unwrap_or_default();
        let has_options = names.contains(&OPTIONS);
        let is_list = fields.get(OPTIONS).is_some_and(Value::is_array);
        if let (true, Some(Value::String(text))) = (has_options, fields.get(OPTIONS)) {
            // A form has no objects.
            if let Ok(options @ Value::Object(_)) = serde_json::from_str(text) {
                fields.insert(OPTIONS.to_owned(), options);
            }
        }
        let may_move = |name: &str| has_options && !is_list && send_options.contains(&name) && !names.contains(&name);
        let known = if has_options { [names, send_options].concat() } else { names.to_vec() };
        let mut problems = Vec::new();
        for name in fields.keys() {
            if !names.contains(&name.as_str()) && !may_move(name) {
                problems.extend(unknown_problem("", name, &known, unknown, has_options));
            }
        }
        drop_empty(fields);
        if let Some(Value::Object(options)) = fields.get_mut(OPTIONS).filter(|_| has_options) {
            for name in options.keys().filter(|name| !send_options.contains(&name.as_str())) {
                problems.extend(unknown_problem("options.", name, send_options, unknown, true));
            }
            drop_empty(options);
        }
        if !problems.is_empty() {
            return Err(ApiError::invalid(ErrorCode::UnknownField, problems));
        }
        let moved: Vec<String> = fields.keys().filter(|name| may_move(name)).cloned().collect();
        for name in moved {
            let value = fields.remove(&name).unwrap_or_default();
            let options = fields.entry(OPTIONS).or_insert(Value::Null);
            if options.is_null() {
                *options = Value::Object(Map::new());
            }
            // Anything else is refused where options are read.
            let Some(options) = options.as_object_mut() else { continue };
            let given = options.entry(name.as_str()).or_insert(Value::Null);
            if given.is_null() {
                *given = value;
            } else if !value.is_null() && *given != value {
                let text = format!("is given twice, and options.{name} says something else");
                return Err(ApiError::invalid(ErrorCode::InvalidOptions, vec![field_problem(&name, text)]));
            }
        }
        Ok(())
    }
}

/// What is wrong with a name that is not known; none if it may be ignored.
fn unknown_problem(
    within: &str,
    name: &str,
    known: &[&str],
    unknown: UnknownFields,
    is_send: bool,
) -> Option<FieldProblem> {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let schedules = is_send && SCHEDULES.contains(&plain.as_str());
    if unknown == UnknownFields::Ignored && !schedules {
        return None;
    }
    let meant = if schedules { Some("sendAt") } else { nearest_name(name, known) };
    let text = meant.map_or_else(|| "is not known".to_owned(), |meant| format!("is not known; {meant} is"));
    Some(field_problem(&format!("{within}{name}"), text))
}

/// The known name that was probably meant.
fn nearest_name<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |one: &str| strsim::jaro_winkler(&name.to_lowercase(), &one.to_lowercase());
    let near = known.iter().copied().map(|one| (likeness(one), one)).filter(|(likeness, _)| *likeness >= NEAR);
    near.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

fn drop_empty(fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        !(ABSENT_IF_EMPTY.contains(&name.as_str()) && value.as_str().is_some_and(|text| text.trim().is_empty()))
    });
}

/// Learns the names of a struct's fields from what its `Deserialize` asks for.
struct FieldNameReader<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for FieldNameReader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Some(fields);
        Err(Error::custom("the names are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only the names are read")]
    struct Request {
        to: Value,
        display_name: Option<Value>,
        options: Option<Value>,
    }

    fn check(mut fields: Value, unknown: UnknownFields) -> Result<Value, String> {
        let map = fields.as_object_mut().expect("an object");
        KnownFields::of::<Request>().check(map, unknown).map_err(|error| error.message.into_owned())?;
        Ok(fields)
    }

    #[test]
    fn an_option_is_found_where_it_stands() {
        let expected = json!({"to": "1", "options": {"sendAt": "x", "quoted": "3EB0"}});
        for fields in [
            json!({"to": "1", "options": {"sendAt": "x", "quoted": "3EB0"}}),
            json!({"to": "1", "sendAt": "x", "options": {"quoted": "3EB0"}}),
            json!({"to": "1", "sendAt": "x", "quoted": "3EB0"}),
            json!({"to": "1", "sendAt": "x", "quoted": "3EB0", "options": null}),
            json!({"to": "1", "sendAt": "x", "quoted": "3EB0", "options": ""}),
            json!({"to": "1", "sendAt": "x", "options": "{\"quoted\":\"3EB0\"}"}),
            json!({"to": "1", "sendAt": "x", "options": {"sendAt": "x", "quoted": "3EB0"}}),
        ] {
            for unknown in [UnknownFields::Refused, UnknownFields::Ignored] {
                assert_eq!(check(fields.clone(), unknown), Ok(expected.clone()), "{fields}");
            }
        }
        let twice = json!({"to": "1", "sendAt": "x", "options": {"sendAt": "y"}});
        assert_eq!(
            check(twice, UnknownFields::Ignored),
            Err("sendAt is given twice, and options.sendAt says something else".to_owned())
        );
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_the_one_that_was_meant() {
        for (fields, text) in [
            (json!({"to": "1", "send_at": "x"}), "send_at is not known; sendAt is"),
            (json!({"to": "1", "options": {"SendAt": "x"}}), "options.SendAt is not known; sendAt is"),
            (json!({"to": "1", "scheduledAt": "x"}), "scheduledAt is not known; sendAt is"),
        ] {
            for unknown in [UnknownFields::Refused, UnknownFields::Ignored] {
                assert_eq!(check(fields.clone(), unknown), Err(text.to_owned()), "{fields}");
            }
        }
        for (fields, text) in [
            (json!({"to": "1", "dispalyName": "x"}), "dispalyName is not known; displayName is"),
            (json!({"to": "1", "xyz": 1, "b": 2}), "b is not known; xyz is not known"),
            (json!({"to": "1", "options": {"quote": "x"}}), "options.quote is not known; quoted is"),
        ] {
            assert_eq!(check(fields.clone(), UnknownFields::Refused), Err(text.to_owned()), "{fields}");
            assert_eq!(check(fields.clone(), UnknownFields::Ignored), Ok(fields));
        }
    }

    #[test]
    fn an_empty_text_counts_as_absent() {
        let fields = json!({"to": "1", "quoted": "", "sendAt": " ", "displayName": "", "options": {"mentions": ""}});
        let left = json!({"to": "1", "displayName": "", "options": {}});
        assert_eq!(check(fields, UnknownFields::Refused), Ok(left));
    }
}
