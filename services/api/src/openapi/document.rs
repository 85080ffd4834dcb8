//! Puts the document together, and serves it at `/openapi.json`.

use super::documented_router::{GroupedDoc, RouteAccess};
use crate::{error_code::ErrorCode, response::ErrorResponse};
use aide::{generate::in_context, openapi::OpenApi};
use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document as JSON.
#[derive(Clone)]
pub struct OpenApiDocument(Bytes);

impl IntoResponse for OpenApiDocument {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

const DESCRIPTION: &str = "Sends and receives WhatsApp messages. `/api/whatsapp/…` is the session `default`; \
    `/api/sessions/{session}/whatsapp/…` is any other. Every error has a `message` for people and a `code` for programs.";

/// Codes of a route that reads a body.
const BODY_ERRORS: [ErrorCode; 6] = [
    ErrorCode::InvalidJson,
    ErrorCode::BodyIncomplete,
    ErrorCode::BodyTimeout,
    ErrorCode::UnknownField,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
];
const KEY_ERRORS: [ErrorCode; 6] = [
    ErrorCode::MissingApiKey,
    ErrorCode::InvalidApiKey,
    ErrorCode::InsufficientScope,
    ErrorCode::SessionNotAllowed,
    ErrorCode::InvalidCsrfToken,
    ErrorCode::RateLimited,
];

/// What can stand in a path, with its schema.
fn path_parameter(name: &str) -> (&'static str, Value) {
    match name {
        "session" => (
            "The name of the session.",
            json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "examples": ["default"]}),
        ),
        "file" => {
            ("The name of a received file, as `filename` of its event.", json!({"type": "string", "minLength": 1}))
        }
        _ => ("The id, as lists and answers name it.", json!({"type": "string", "minLength": 1})),
    }
}

/// Completes what `aide` derived from the handlers.
pub fn build_document(mut api: OpenApi, docs: &[GroupedDoc]) -> OpenApiDocument {
    in_context(|context| context.schema.subschema_for::<ErrorResponse>());
    // Takes the schemas that were collected, the one of errors included.
    let definitions = in_context(|context| context.schema.take_definitions(true));
    api.info.title = "Kurir".to_owned();
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    let schemas = &mut document["components"]["schemas"];
    let collected = schemas.as_object_mut().map(std::mem::take).unwrap_or_default();
    *schemas = collected.into_iter().chain(definitions).collect::<Map<_, _>>().into();
    document["info"] = json!({
        "title": "Kurir",
        "version": env!("CARGO_PKG_VERSION"),
        "description": DESCRIPTION,
        "license": {"name": "MIT", "identifier": "MIT"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["components"]["securitySchemes"] = json!({
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    });
    document["components"]["examples"] = error_examples();
    document["components"]["headers"] = header_docs();
    let tags: Vec<&str> = docs.iter().map(|doc| doc.tag).fold(Vec::new(), |mut tags, tag| {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        tags
    });
    document["tags"] = tags.into_iter().map(|tag| json!({"name": tag})).collect();
    let by_id: BTreeMap<&str, &GroupedDoc> = docs.iter().map(|doc| (doc.doc.id, doc)).collect();
    let mut errors = Map::new();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            if let Some(doc) = by_id.get(id) {
                complete_operation(path, operation, doc, &mut errors);
            }
        }
    }
    document["components"]["responses"] = errors.into();
    add_undocumented_routes(&mut document["paths"]);
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    OpenApiDocument(Bytes::from(text + "\n"))
}

/// `shared` collects the error answers, which most operations have in common.
fn complete_operation(path: &str, operation: &mut Value, group: &GroupedDoc, shared: &mut Map<String, Value>) {
    let doc = &group.doc;
    let is_named_session = path.contains("{session}/whatsapp/");
    operation["operationId"] = if is_named_session { format!("{}InSession", doc.id).into() } else { doc.id.into() };
    operation["tags"] = json!([group.tag]);
    operation["summary"] = doc.summary.into();
    if !doc.description.is_empty() {
        operation["description"] = doc.description.into();
    }
    operation["security"] = match group.access {
        RouteAccess::Open => json!([]),
        RouteAccess::Keyed => json!([{"header": []}, {"bearer": []}, {"query": []}]),
    };
    add_path_parameters(path, operation);
    if let (Some(example), Some(body)) = (&doc.request_example, operation.pointer_mut("/requestBody/content")) {
        body["application/json"]["example"] = example.clone();
    }
    let errors = error_codes(operation, group);
    let responses = &mut operation["responses"];
    complete_answers(responses, doc.answer_example.as_ref());
    for (status, codes) in errors {
        let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let name = format!("{status}.{}", names.join("."));
        responses[status.to_string()] = reference("responses", &name);
        shared.entry(name).or_insert_with(|| error_response(status, &codes));
    }
}

fn add_path_parameters(path: &str, operation: &mut Value) {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let (description, schema) = path_parameter(name);
            json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
        })
        .collect();
    parameters.extend(operation["parameters"].as_array().into_iter().flatten().cloned());
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

/// All codes of an operation, by their status.
fn error_codes(operation: &Value, group: &GroupedDoc) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut codes: Vec<ErrorCode> = group.doc.errors.to_vec();
    codes.extend(group.common_errors);
    if group.access == RouteAccess::Keyed {
        codes.extend(KEY_ERRORS);
    }
    if operation.get("requestBody").is_some() {
        codes.extend(BODY_ERRORS);
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        match parameter["in"].as_str() {
            Some("query") => codes.push(ErrorCode::InvalidQuery),
            Some("header") => codes.push(ErrorCode::InvalidIdempotencyKey),
            _ => {}
        }
    }
    codes.push(ErrorCode::Internal);
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        let of_status = by_status.entry(code.status().as_u16()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    by_status
}

/// The codes are named here; `components/examples` says what each means.
fn error_response(status: u16, codes: &[ErrorCode]) -> Value {
    let names: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let mut headers = json!({"X-Request-Id": reference("headers", "RequestId")});
    if codes.iter().any(|code| code.retry_after().is_some() || *code == ErrorCode::Conflict) {
        headers["Retry-After"] = reference("headers", "RetryAfter");
    }
    if status == 401 {
        headers["WWW-Authenticate"] = reference("headers", "Authenticate");
    }
    let example = |code: &ErrorCode| (code.as_str().to_owned(), reference("examples", code.as_str()));
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    json!({
        "description": names.join(", "),
        "headers": headers,
        "content": {"application/json": {"schema": reference("schemas", "ErrorResponse"), "examples": examples}},
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// An example of each error, with its meaning.
fn error_examples() -> Value {
    let example = |code: &ErrorCode| {
        let body = json!({"success": false, "message": code.about(), "code": code.as_str()});
        (code.as_str().to_owned(), json!({"summary": code.about(), "value": body}))
    };
    ErrorCode::ALL.iter().map(example).collect::<Map<_, _>>().into()
}

fn header_docs() -> Value {
    let header = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "RequestId": header("The id of the request: the caller's own, or a new one."),
        "RetryAfter": header("Seconds until the request may succeed, if that is known."),
        "Authenticate": header("How to send the key."),
        "Location": header("The path of what was created, or of the work that goes on."),
    })
}

fn complete_answers(responses: &mut Value, example: Option<&Value>) {
    let answers = responses.as_object_mut().into_iter().flatten();
    for (index, (status, answer)) in answers.enumerate() {
        answer["headers"] = json!({"X-Request-Id": reference("headers", "RequestId")});
        if status == "201" || status == "202" {
            answer["headers"]["Location"] = reference("headers", "Location");
        }
        if answer["description"].as_str().is_none_or(str::is_empty) {
            answer["description"] = "The answer.".into();
        }
        if let (0, Some(example)) = (index, example)
            && let Some(content) = answer.pointer_mut("/content/application~1json")
        {
            content["example"] = example.clone();
        }
    }
}

/// Routes whose answers are no types: probes, the document itself, files.
fn add_undocumented_routes(paths: &mut Value) {
    let plain = |id: &str, tag: &str, summary: &str, content: &str, statuses: &[(&str, &str)]| {
        let responses: Map<String, Value> = statuses
            .iter()
            .map(|(status, description)| {
                let answer = json!({"description": description, "content": {content: {}}});
                ((*status).to_owned(), answer)
            })
            .collect();
        json!({"get": {"operationId": id, "tags": [tag], "summary": summary, "security": [], "responses": responses}})
    };
    let file = &mut paths["/media/{file}"]["get"]["responses"];
    for (status, description) in [("200", "The whole file."), ("206", "The bytes that `Range` names.")] {
        file[status] =
            json!({"description": description, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}});
    }
    let stream = &mut paths["/api/events/stream"]["get"]["responses"];
    stream["200"] = json!({"description": "Events until the caller goes away.", "content": {"text/event-stream": {"schema": {"type": "string"}}}});
    let file = &mut paths["/media/{file}"]["get"]["responses"];
    file["304"] = json!({"description": "The caller has the file already."});
    let alive = [("200", "The process runs.")];
    let ready = [("200", "NATS is there."), ("503", "NATS is not there yet, or no longer.")];
    paths["/livez"] = plain("livez", "Health", "Says whether the process runs", "application/json", &alive);
    paths["/readyz"] = plain("readyz", "Health", "Says whether the API can work", "application/json", &ready);
    let document = [("200", "This document.")];
    paths["/openapi.json"] = plain("showOpenApi", "Document", "Shows this document", "application/json", &document);
    let page = [("200", "The page.")];
    paths["/docs"] = plain("showDocs", "Document", "Shows this document as a page", "text/html", &page);
}
