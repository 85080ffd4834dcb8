//! The JSON object in a request's body, and one of its fields exactly as the caller wrote it: keys in their order, numbers with
//! all their digits.

use super::json_body::{LenientJsonBody, document_json_body};
use crate::{error_code::ErrorCode, response::ApiError};
use aide::{OperationInput, generate::GenContext, openapi::Operation};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The body as the type `T`, and the text of its field `data`; none if the body has none, or is not plain JSON.
pub struct JsonBodyWithData<T>(pub T, pub Option<Box<RawValue>>);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBodyWithData<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        // Its bounds were kept where it was read.
        let body = to_bytes(body, usize::MAX).await;
        let body = body.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
        let data = data_text(&body);
        let LenientJsonBody(read) =
            LenientJsonBody::from_request(Request::from_parts(parts, Body::from(body)), state).await?;
        Ok(Self(read, data))
    }
}

impl<T: JsonSchema> OperationInput for JsonBodyWithData<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        document_json_body::<T>(context, operation);
    }
}

#[derive(Deserialize)]
struct DataField<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

fn data_text(body: &Bytes) -> Option<Box<RawValue>> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    serde_json::from_slice::<DataField<'_>>(body).ok()?.data.map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_taken_as_it_was_written() {
        for (body, expected) in [
            (
                r#"{"eventType":"a","data":{"b": 1.0,"a":12345678901234567890.10}}"#,
                Some(r#"{"b": 1.0,"a":12345678901234567890.10}"#),
            ),
            ("\u{feff}{\"data\":{ }}", Some("{ }")),
            (r#"{"data":null}"#, None),
            (r#"{"eventType":"a"}"#, None),
            ("data=x", None),
            ("", None),
        ] {
            let read = data_text(&Bytes::from(body.to_owned()));
            assert_eq!(read.as_ref().map(|read| read.get()), expected, "{body}");
        }
    }
}
