//! `POST send-location`: a place on the map.

use super::{
    send::{SendResult, send_request},
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, Recipient, SendOptions, Text, options_or_default},
    response::ApiError,
};
use axum::extract::State;
use kurir_contract::command::{IdempotencyKey, Quote, SendLocation, spec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// A place and where it goes.
#[derive(Deserialize, JsonSchema)]
pub struct SendLocationRequest {
    to: Field<Recipient>,
    /// Degrees.
    latitude: Field<Degrees<90>>,
    /// Degrees.
    longitude: Field<Degrees<180>>,
    name: Option<Field<Text<0, 1000>>>,
    address: Option<Field<Text<0, 1000>>>,
    options: Option<Field<SendOptions>>,
}

/// A number from -`MAX` to `MAX`.
struct Degrees<const MAX: u32>(f64);

impl<const MAX: u32> FieldValue for Degrees<MAX> {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        // A form has only texts.
        let degrees = given.as_f64().or_else(|| given.as_str().and_then(|degrees| degrees.trim().parse().ok()));
        let degrees = degrees.filter(|degrees| degrees.abs() <= f64::from(MAX));
        degrees.map(Self).ok_or_else(|| FieldError::predicate(format!("must be a number from -{MAX} to {MAX}")))
    }
}

impl<const MAX: u32> JsonSchema for Degrees<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Degrees{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": -i64::from(MAX), "maximum": MAX})
    }
}

impl SendRequest for SendLocationRequest {
    type Command = spec::SendLocation;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendLocation>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidLocation);
        let to = errors.take("to", self.to);
        let latitude = errors.take("latitude", self.latitude);
        let longitude = errors.take("longitude", self.longitude);
        let name = errors.take_optional("name", self.name).map(|Text(name)| name);
        let address = errors.take_optional("address", self.address).map(|Text(address)| address);
        let message = errors.finish(|| {
            let (Recipient(to), Degrees(latitude), Degrees(longitude)) = (to?, latitude?, longitude?);
            let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
            Some(SendLocation { to, latitude, longitude, name, address, quoted: None, quote: None, idempotency_key })
        })?;
        let mut options = options_or_default(self.options)?;
        let (quoted, quote) = options.quoted_with_quote()?;
        let message = SendLocation { quoted, quote, ..message };
        Ok(RequestedSend { to: message.to.clone(), message, at: options.send_at()? })
    }

    fn quoting(message: &mut SendLocation) -> Option<(&str, &mut Option<Quote>)> {
        Some((message.quoted.as_deref()?, &mut message.quote))
    }
}

pub async fn send_location(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendLocationRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
}
