//! The body of a route that sends a file, for the OpenAPI document: a form, or JSON.

use super::media_command::MediaFields;
use crate::extract::document_json_body;
use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{MediaType, Operation, ReferenceOr, SchemaObject},
};
use axum::extract::{FromRequest, Request};
use schemars::{JsonSchema, Schema, json_schema};
use std::convert::Infallible;

/// The whole request: its body is read piece by piece.
pub struct UploadBody(pub Request);

impl<S: Sync> FromRequest<S> for UploadBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request))
    }
}

/// The fields with a file in JSON: as `base64`, or the name of a received `file`.
#[derive(JsonSchema)]
struct SendFileRequest {
    #[serde(flatten)]
    _fields: MediaFields,
    /// The file itself, in base64, or as a data URI.
    #[schemars(rename = "base64", extend("contentEncoding" = "base64"))]
    _base64: Option<String>,
    /// Where the file is: http or https, at most 3 redirects; a private network only if `MEDIA_ALLOWED_NETWORKS` opens it.
    #[schemars(rename = "url")]
    _url: Option<String>,
    /// The name of a received file, as `filename` of its event.
    #[schemars(rename = "file")]
    _file: Option<String>,
}

impl OperationInput for UploadBody {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        document_json_body::<SendFileRequest>(context, operation);
        let json_schema = form_schema(context.schema.subschema_for::<MediaFields>());
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let form = MediaType { schema: Some(schema), ..MediaType::default() };
        let bare = json_schema!({"type": "string", "format": "binary", "description": "The file itself; its fields are in the query."});
        let bare = SchemaObject { json_schema: bare, external_docs: None, example: None };
        let bare = MediaType { schema: Some(bare), ..MediaType::default() };
        if let Some(ReferenceOr::Item(body)) = &mut operation.request_body {
            body.content.insert("multipart/form-data".to_owned(), form);
            body.content.insert("application/octet-stream".to_owned(), bare);
        }
    }
}

fn form_schema(fields: Schema) -> Schema {
    let file = json_schema!({
        "type": "object",
        "properties": {"media": {"type": "string", "format": "binary", "description": "The file."}},
        "required": ["media"],
    });
    json_schema!({"allOf": [fields, file]})
}
