//! Fields of request bodies and queries: each type reads one JSON value and holds the text for a wrong one.
//!
//! A request type is a struct of [`Field`]s. Reading it never fails: each field keeps its value or its error, and the
//! route decides. The contract's routes answer with the first error, in the order of the contract
//! ([`Field::checked`]); Kurir's own routes answer with all of them ([`FieldErrors`]).

/// Gives the type of a field its schema, which is written where the field is.
macro_rules! inline_schema {
    ($name:ident, |$generator:pat_param| $schema:expr) => {
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}

mod address;
mod list_query;
mod message_reference;
mod options;
mod quoted;
mod text;

pub use address::{GroupJid, Participant, ParticipantList, Person, PhoneNumber, Recipient};
pub(crate) use inline_schema;
pub use list_query::{CursorText, PageLimit, PageQuery, QueryEndpoint};
pub use message_reference::MessageReference;
pub use options::{SendAt, SendOptions, options_or_default};
pub use quoted::Quoted;
pub use text::{Flag, MessageText, Text, Timestamp};

use crate::{error_code::ErrorCode, response::ApiError};
use kurir_contract::endpoint::FieldProblem;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A value that a request may hold.
pub trait FieldValue: Sized + JsonSchema {
    /// Reads the value; null stands for a missing one.
    ///
    /// # Errors
    /// With the text for the caller.
    fn parse(given: &Value) -> Result<Self, FieldError>;
}

/// What a request said about one field: a value, or why it cannot be one.
pub struct Field<T>(Result<T, FieldError>);

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// None: the code of the route.
    code: Option<ErrorCode>,
    text: FieldErrorText,
    /// What the text of the contract does not say; it stands in `problems`.
    detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FieldErrorText {
    /// A whole sentence, as the contract has it.
    Sentence(Cow<'static, str>),
    /// The end of "<field> …".
    Predicate(Cow<'static, str>),
}

impl FieldError {
    pub fn sentence(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Some(code), text: FieldErrorText::Sentence(text.into()), detail: None }
    }

    pub fn predicate(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: None, text: FieldErrorText::Predicate(text.into()), detail: None }
    }

    /// A predicate with a code of its own.
    pub fn coded_predicate(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Some(code), text: FieldErrorText::Predicate(text.into()), detail: None }
    }

    /// The answer to a request in which this is the only error.
    pub fn into_api_error(self, field: &str, code: ErrorCode) -> ApiError {
        let code = self.code.unwrap_or(code);
        let error = match self.text {
            FieldErrorText::Sentence(text) => ApiError::new(code, text),
            FieldErrorText::Predicate(text) => ApiError::new(code, format!("{field} {text}")),
        };
        ApiError { problems: self.detail.into_iter().map(|detail| field_problem(field, detail)).collect(), ..error }
    }

    pub fn with_detail(self, detail: Option<String>) -> Self {
        Self { detail, ..self }
    }

    /// The text, and what it does not say.
    pub fn detailed_text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} ({detail})", self.text()),
            None => self.text().to_owned(),
        }
    }

    pub fn text(&self) -> &str {
        match &self.text {
            FieldErrorText::Sentence(text) | FieldErrorText::Predicate(text) => text,
        }
    }
}

impl<T> Field<T> {
    /// The value.
    ///
    /// # Errors
    /// With the field's own text and code; `code` is for a field that has none.
    pub fn checked(self, name: &str, code: ErrorCode) -> Result<T, ApiError> {
        self.0.map_err(|error| error.into_api_error(name, code))
    }
}

/// The value of a field that may be missing.
///
/// # Errors
/// If it is there and wrong.
pub fn checked_optional<T>(field: Option<Field<T>>, name: &str, code: ErrorCode) -> Result<Option<T>, ApiError> {
    field.map(|field| field.checked(name, code)).transpose()
}

impl<'de, T: FieldValue> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A missing field comes as none too.
        let given = Option::<Value>::deserialize(deserializer)?;
        Ok(Self(T::parse(&given.unwrap_or_default())))
    }
}

impl<T: FieldValue> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// What is wrong with one field, for an answer.
pub fn field_problem(field: &str, message: impl Into<String>) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: message.into() }
}

/// Collects everything that is wrong with a request.
pub struct FieldErrors {
    code: ErrorCode,
    errors: Vec<(String, FieldError)>,
}

impl FieldErrors {
    /// `code` is the code of errors that have none of their own.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, errors: Vec::new() }
    }

    /// The value, or none and one more error.
    pub fn take<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        match field.0 {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(name, error);
                None
            }
        }
    }

    /// The value; none if it is missing, or wrong, which is one more error.
    pub fn take_optional<T>(&mut self, name: &str, field: Option<Field<T>>) -> Option<T> {
        field.and_then(|field| self.take(name, field))
    }

    pub fn add(&mut self, name: &str, error: FieldError) {
        self.errors.push((name.to_owned(), error));
    }

    /// Refuses fields that the route does not know: a misspelt one would be ignored.
    pub fn refuse_unknown(&mut self, unknown: &Map<String, Value>) {
        for name in unknown.keys() {
            self.add(name, FieldError::predicate("is not known"));
        }
    }

    /// What `build` makes of the values, if there was no error.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        match self.into_api_error() {
            Some(error) => Err(error),
            // A value that is missing has left an error.
            None => build().ok_or_else(ApiError::internal),
        }
    }

    fn into_api_error(self) -> Option<ApiError> {
        let problems: Vec<FieldProblem> =
            self.errors.iter().map(|(field, error)| field_problem(field, error.detailed_text())).collect();
        let code = self.code;
        let mut answers = self.errors.into_iter().map(|(field, error)| error.into_api_error(&field, code));
        let first = answers.next()?;
        let texts: Vec<Cow<'static, str>> =
            std::iter::once(first.message).chain(answers.map(|answer| answer.message)).collect();
        Some(ApiError { problems, ..ApiError::new(first.code, texts.join("; ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Deserialize)]
    struct TwoFields {
        to: Field<Recipient>,
        name: Option<Field<Text<0, 3>>>,
    }

    fn read(body: Value) -> Result<(), ApiError> {
        let TwoFields { to, name } = serde_json::from_value(body).expect("reading never fails");
        let mut errors = FieldErrors::new(ErrorCode::InvalidContact);
        let to = errors.take("to", to);
        errors.take_optional("name", name);
        errors.finish(|| to.map(drop))
    }

    #[test]
    fn all_errors_come_at_once_and_each_names_its_field() {
        assert_eq!(read(json!({"to": "6281234567890", "name": null})), Ok(()));
        let error = read(json!({"name": "long"})).expect_err("two errors");
        assert_eq!(error.code, ErrorCode::MissingRecipient);
        assert_eq!(error.message, "Phone number is required; name must be a string of at most 3 characters");
        let fields: Vec<_> = error.problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["to", "name"]);
    }
}
