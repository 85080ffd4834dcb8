//! The OpenAPI document: committed, complete, and usable to make clients.
//!
//! `KURIR_WRITE=1` writes `docs/openapi.json` anew.

use crate::api::{Api, KEY, answer};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::Value;
use std::{collections::BTreeSet, env, fs, path::Path};

/// A route of the document.
pub struct DocumentedOperation {
    pub method: Method,
    /// With its parameters in braces.
    pub path: String,
    pub operation: Value,
}

impl DocumentedOperation {
    /// The path with each parameter replaced; a session is `default`.
    pub fn path_with(&self, value: &str) -> String {
        let path = self.path.replace("{session}", "default");
        path.replace("{id}", value).replace("{file}", value)
    }

    /// Whether the route wants the key.
    pub fn is_keyed(&self) -> bool {
        self.operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty())
    }

    pub fn has_body(&self) -> bool {
        self.operation.get("requestBody").is_some()
    }
}

/// All operations of the document that the API serves.
pub async fn operations(api: &Api) -> Vec<DocumentedOperation> {
    let (status, document) = answer(api.request(Method::GET, "/openapi.json")).await;
    assert_eq!(status, 200);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let method = method.to_uppercase().parse().expect("a method");
            operations.push(DocumentedOperation { method, path: path.clone(), operation: operation.clone() });
        }
    }
    operations
}

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[tokio::test]
async fn the_committed_document_is_what_the_types_say() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let served = api.request(Method::GET, "/openapi.json").send().await.expect("an answer");
    let served = served.text().await.expect("a text");
    let path = repository().join("docs/openapi.json");
    if env::var_os("KURIR_WRITE").is_some() {
        fs::write(&path, &served).expect("a file");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == served, "docs/openapi.json is not what the types say: run this test with KURIR_WRITE=1");
}

#[tokio::test]
async fn each_operation_can_be_found_and_called_by_a_client() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let operations = operations(&api).await;
    let (_, document) = answer(api.request(Method::GET, "/openapi.json")).await;
    let ids: BTreeSet<_> = operations.iter().map(|one| one.operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), operations.len(), "two operations have one id");
    for one in &operations {
        let name = format!("{} {}", one.method, one.path);
        for field in ["operationId", "summary"] {
            assert!(one.operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert_eq!(one.operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
        assert!(one.operation["security"].is_array(), "{name}");
        let responses = one.operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} has no success");
        for (status, response) in responses {
            let shared = response["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
            let response = shared.unwrap_or(response);
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            if status.starts_with(['4', '5']) && one.is_keyed() {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorResponse", "{name} {status}");
            }
        }
        let parameters = one.operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, one.path.matches('{').count(), "{name}");
    }
}

#[tokio::test]
async fn no_reference_of_the_document_leads_nowhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let (_, document) = answer(api.request(Method::GET, "/openapi.json")).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// A route that is added past the documented router would not be in the document.
#[tokio::test]
async fn each_route_of_the_router_is_in_the_document() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source];
    let mut undocumented = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            undocumented
                .extend(text.lines().filter(|line| line.contains(".route(\"")).map(|line| line.trim().to_owned()));
        }
    }
    // The document itself and its page, which the document names too.
    undocumented.sort();
    assert_eq!(
        undocumented,
        [".route(\"/docs\", get(show_reader))", ".route(\"/openapi.json\", get(async || document))"]
    );

    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let operations = operations(&api).await;
    for path in ["/livez", "/readyz", "/openapi.json", "/docs"] {
        assert!(operations.iter().any(|one| one.path == path), "{path}");
    }
    // And nothing is in the document that is no route.
    for one in &operations {
        let response = api.request(one.method.clone(), &one.path_with("x")).send().await.expect("an answer");
        assert!(!matches!(response.status().as_u16(), 405 | 500), "{} {}: {}", one.method, one.path, response.status());
        let body = response.text().await.unwrap_or_default();
        let code = serde_json::from_str::<Value>(&body).unwrap_or_default()["code"].clone();
        assert_ne!(code, "route_not_found", "{} {}", one.method, one.path);
    }
}

#[tokio::test]
async fn the_page_asks_no_other_host_for_anything() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let response = api.request(Method::GET, "/docs").send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let page = response.text().await.expect("a page");
    assert!(page.contains("fetch(\"openapi.json\")"));
    for elsewhere in ["http://", "https://", "//cdn", "@import", "src="] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn each_send_of_the_document_takes_its_own_example() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut tried = 0;
    for one in operations(&api).await {
        let example = &one.operation["requestBody"]["content"]["application/json"]["example"];
        if example.is_null() || one.path.contains("/sessions/") {
            continue;
        }
        let request = api.request(one.method.clone(), &one.path_with("120363000000000001")).header("X-API-Key", KEY);
        let (status, body) = answer(request.json(example)).await;
        // No gateway and no dispatcher run, and there is no such endpoint.
        assert!(matches!(status, 200 | 201 | 202 | 404 | 503), "{} {}: {status} {body}", one.method, one.path);
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}
