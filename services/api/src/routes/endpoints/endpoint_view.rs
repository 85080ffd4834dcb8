//! An endpoint as its user sees it: no secret, and of headers that may hold one only the name. Pure.

use kurir_contract::endpoint::{EndpointId, EndpointSettings, StoredSecret};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Stands for a value that is not shown. No header's real value is this.
pub const MASK: &str = "••••";

pub fn endpoint(id: &EndpointId, settings: &EndpointSettings) -> Value {
    let mut shown = json!(settings);
    // An object: that is what a struct becomes.
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("secrets");
    }
    for (name, value) in &settings.headers {
        if is_secret(name) && !value.is_empty() {
            shown["headers"][name] = json!(MASK);
        }
    }
    let old = settings.secrets.get(1).filter(|old| old.is_valid(OffsetDateTime::now_utc()));
    shown["id"] = json!(id);
    shown["managedBy"] = json!("api");
    shown["signed"] = json!(!settings.secrets.is_empty());
    shown["oldSecretSignsUntil"] = json!(old.and_then(|old| old.until.as_deref()));
    if id.is_default() {
        shown["managedBy"] = json!("environment");
        // Settings of the dispatchers, which this process does not know.
        for field in ["signed", "timeoutSeconds", "concurrency", "createdAt", "updatedAt"] {
            shown[field] = Value::Null;
        }
    }
    shown
}

/// The same with the secret that signs from now on: shown once, in the answer to whoever made it.
pub fn with_secret(id: &EndpointId, settings: &EndpointSettings) -> Value {
    let mut shown = endpoint(id, settings);
    shown["secret"] = json!(settings.secrets.first().map(|StoredSecret { secret, .. }| secret.reveal()));
    shown
}

/// Whether a header's value may be one; names are in lower case.
pub fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "key", "token", "secret", "password"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::endpoint::SigningSecret;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let names = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-token", "x-secret-thing"];
        let headers = names.iter().map(|name| ((*name).to_owned(), "hidden".to_owned()));
        let (secret, plain) = (SigningSecret::random(), ("x-tenant".to_owned(), "blue".to_owned()));
        let settings = EndpointSettings {
            headers: headers.chain([plain]).collect::<BTreeMap<_, _>>(),
            secrets: vec![StoredSecret::new(secret.clone())],
            ..EndpointSettings::new("https://example.org/".to_owned())
        };
        let shown = endpoint(&EndpointId::random(), &settings);
        assert_eq!((&shown["headers"]["x-tenant"], &shown["signed"]), (&json!("blue"), &json!(true)));
        assert!(names.iter().all(|name| shown["headers"][*name] == MASK), "{shown}");
        let text = shown.to_string();
        assert!(!text.contains("hidden") && !text.contains("whsec_") && !text.contains("secrets"), "{text}");
        assert_eq!(with_secret(&EndpointId::random(), &settings)["secret"], secret.reveal());
    }
}
