//! The OpenAPI document of the control API, made of the types that the calls read and write.

use aide::{
    axum::ApiRouter,
    generate::{GenContext, in_context, reset_context},
    openapi::{MediaType, OpenApi, Operation, RequestBody, Response as Answer, SchemaObject, StatusCode as Status},
    operation::{OperationInput, OperationOutput, ParamLocation, add_parameters, parameters_from_schema, set_body},
    transform::TransformOperation,
};
use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::response::{Accepted, ApiError, Created, DialledPath, JsonBody, NumberPath, QueryParams};
use crate::state::SharedState;

const DESCRIPTION: &str = "Steers a simulated WhatsApp: pairs clients, lets people write, call and change groups, causes \
    faults, and shows what clients did. There is no key: it listens on loopback.";

/// The document as JSON.
#[derive(Clone)]
pub struct ControlDocument(Bytes);

impl IntoResponse for ControlDocument {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// Names an operation.
pub fn named(id: &'static str, summary: &'static str) -> impl Fn(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.id(id).summary(summary)
}

/// Starts a new document: schemas are collected from here on, in this thread.
pub fn begin() {
    reset_context();
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    in_context(|context| context.schema = settings.into_generator());
}

/// The router, and the document of all its calls.
pub fn finish(router: ApiRouter<SharedState>) -> (Router<SharedState>, ControlDocument) {
    let mut api = OpenApi::default();
    let router = router.finish_api(&mut api);
    let definitions = in_context(|context| context.schema.take_definitions(true));
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    let schemas = &mut document["components"]["schemas"];
    let collected = schemas.as_object_mut().map(std::mem::take).unwrap_or_default();
    *schemas = collected.into_iter().chain(definitions).collect::<Map<_, _>>().into();
    document["info"] = json!({"title": "WhatsApp simulator", "version": env!("CARGO_PKG_VERSION"),
        "description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}});
    document["servers"] = json!([{"url": "http://127.0.0.1:8080"}]);
    document["components"]["responses"] = json!({"Error": {
        "description": "What is wrong, and what is right.",
        "content": {"application/json": {"schema": {"type": "object", "required": ["error"],
            "properties": {"error": {"type": "string"}}}}},
    }});
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            complete(path, operation);
        }
    }
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    (router, ControlDocument(Bytes::from(text + "\n")))
}

fn complete(path: &str, operation: &mut Value) {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut parameters: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    parameters
        .extend(operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] != "path").cloned());
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    let responses = &mut operation["responses"];
    if responses.as_object().is_none_or(Map::is_empty) {
        // A file, or one of several answers.
        *responses = json!({"200": {}});
    }
    for (_, answer) in responses.as_object_mut().into_iter().flatten() {
        answer["description"] = "Done.".into();
    }
    responses["default"] = json!({"$ref": "#/components/responses/Error"});
}

fn with_status<T: JsonSchema>(
    context: &mut GenContext,
    operation: &mut Operation,
    status: u16,
) -> Vec<(Option<Status>, Answer)> {
    axum::Json::<T>::operation_response(context, operation)
        .map(|answer| (Some(Status::Code(status)), answer))
        .into_iter()
        .collect()
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Status>, Answer)> {
        with_status::<T>(context, operation, 201)
    }
}

impl<T: JsonSchema> OperationOutput for Accepted<T> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Status>, Answer)> {
        with_status::<T>(context, operation, 202)
    }
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let json_schema = context.schema.subschema_for::<T>();
        let required = context.resolve_schema(&json_schema).get("required").is_some();
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let content = MediaType { schema: Some(schema), ..MediaType::default() };
        let content = [("application/json".to_owned(), content)].into_iter().collect();
        set_body(context, operation, RequestBody { content, required, ..RequestBody::default() });
    }
}

impl<T: JsonSchema> OperationInput for QueryParams<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
    }
}

// `complete` describes what stands in a path.
impl OperationInput for NumberPath {}
impl OperationInput for DialledPath {}

impl OperationOutput for ApiError {
    type Inner = Self;
}
