//! `/api/endpoints`: changed, switched, deleted, and a secret that is rotated.

use crate::{
    api::{Api, KEY, SOON, answer},
    endpoints::{PATH, URL, bucket, made, stored},
};
use async_nats::jetstream::kv::Operation;
use kurir_contract::endpoint::{BUCKET, STATES_BUCKET, SigningSecret};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

#[tokio::test]
async fn a_change_touches_what_it_names_and_null_takes_a_default_back() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let secret = SigningSecret::random();
    let body = json!({
        "url": URL, "secret": secret.reveal(), "description": "CRM", "concurrency": 4, "ordering": "chat",
        "headers": {"X-Api-Key": "k1", "x-tenant": "blue"}, "rateLimitPerSecond": 5,
    });
    let path = format!("{PATH}/{}", made(&api, &body).await);
    let id = path.rsplit('/').next().expect("an id");
    let before = stored(&nats, id).await;

    let change =
        json!({"description": "ERP", "concurrency": null, "headers": {"x-api-key": "••••", "x-tenant": "red"}});
    let (status, body) = api.patch(&path, &change).await;
    assert_eq!((status, &body["data"]["description"]), (200, &json!("ERP")), "{body}");
    assert_eq!(body["data"]["headers"], json!({"x-api-key": "••••", "x-tenant": "red"}));
    let after = stored(&nats, id).await;
    assert_eq!((after.concurrency, after.headers["x-api-key"].as_str()), (32, "k1"));
    assert_eq!(after.headers["x-tenant"], "red");
    assert_eq!(
        (&after.secrets, after.ordering, after.start_sequence),
        (&before.secrets, before.ordering, before.start_sequence)
    );
    assert_eq!(after.created_at, before.created_at);
    assert!(after.updated_at > before.updated_at);

    for wrong in
        [json!({"concurrency": 0}), json!({"url": "http://10.0.0.1/"}), json!({"headers": {"x-token": "••••"}})]
    {
        let (status, body) = api.patch(&path, &wrong).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_endpoint")), "{wrong}");
    }
    assert_eq!(stored(&nats, id).await, after);
}

#[tokio::test]
async fn of_changes_at_the_same_time_none_is_lost() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let path = format!("{PATH}/{id}");
    let changes = [json!({"description": "x"}), json!({"concurrency": 3}), json!({"timeoutSeconds": 7})];
    let asked = changes.iter().map(|change| api.patch(&path, change));
    for (status, body) in futures::future::join_all(asked).await {
        assert_eq!(status, 200, "{body}");
    }
    let stored = stored(&nats, &id).await;
    assert_eq!((stored.description.as_str(), stored.concurrency, stored.timeout_seconds), ("x", 3, 7));
}

#[tokio::test]
async fn enabled_again_an_endpoint_begins_anew() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let path = format!("{PATH}/{id}");
    assert_eq!(api.get(&path).await.0, 200);
    let states = bucket(&nats, STATES_BUCKET).await;
    for (way, change) in [("/enable", None), ("", Some(json!({"enabled": true}))), ("", Some(json!({"enabled": null})))]
    {
        // As a dispatcher leaves it.
        let mut disabled = stored(&nats, &id).await;
        disabled.enabled = false;
        disabled.disabled_reason = Some("it failed for 5 days".to_owned());
        let value = serde_json::to_vec(&disabled).expect("JSON");
        bucket(&nats, BUCKET).await.put(id.as_str(), value.into()).await.expect("stored");
        let state = json!({"circuit": "open", "failingSince": "2026-01-01T00:00:00.000Z"});
        states.put(id.as_str(), state.to_string().into()).await.expect("stored");
        let (_, shown) = api.get(&path).await;
        assert_eq!(
            (&shown["data"]["disabledReason"], &shown["data"]["circuit"]),
            (&json!("it failed for 5 days"), &json!("open"))
        );

        // A change that is refused leaves all as it is.
        assert_eq!(api.patch(&path, &json!({"enabled": true, "concurrency": 0})).await.0, 400);
        assert!(states.get(id.as_str()).await.expect("NATS").is_some());

        let (status, body) = match change {
            None => api.post(&format!("{path}{way}"), &json!({})).await,
            Some(change) => api.patch(&path, &change).await,
        };
        assert_eq!(
            (status, &body["data"]["enabled"], &body["data"]["disabledReason"]),
            (200, &json!(true), &Value::Null)
        );
        assert!(states.get(id.as_str()).await.expect("NATS").is_none());
    }
    // One that is enabled, too; the dispatchers see that something was done.
    states.put(id.as_str(), json!({"circuit": "open"}).to_string().into()).await.expect("stored");
    let endpoints = bucket(&nats, BUCKET).await;
    let before = endpoints.entry(id.as_str()).await.expect("NATS").expect("an endpoint").revision;
    assert_eq!(api.post(&format!("{path}/enable"), &json!({})).await.0, 200);
    assert!(states.get(id.as_str()).await.expect("NATS").is_none());
    assert!(endpoints.entry(id.as_str()).await.expect("NATS").expect("an endpoint").revision > before);

    let (status, body) = api.post(&format!("{path}/disable"), &json!({})).await;
    assert_eq!((status, &body["data"]["enabled"]), (200, &json!(false)));
    assert!(!stored(&nats, &id).await.enabled);
}

#[tokio::test]
async fn a_deleted_endpoint_leaves_a_marker_for_the_dispatchers() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let path = format!("{PATH}/{id}");
    let deleted = (200, json!({"success": true, "message": "Endpoint deleted"}));
    assert_eq!(api.delete(&path).await, deleted);
    let marker = bucket(&nats, BUCKET).await.entry(id.as_str()).await.expect("NATS").expect("a marker");
    assert_eq!(marker.operation, Operation::Delete);
    assert_eq!(api.get(&path).await.0, 404);
    assert_eq!(api.delete(&path).await.0, 404);
    assert_eq!(api.patch(&path, &json!({})).await.0, 404);
    assert_eq!(api.get(PATH).await.1["data"], json!([]));
}

#[tokio::test]
async fn the_endpoint_of_the_environment_is_changed_there() {
    let nats = Nats::start().await;
    let environment = [("WEBHOOK_URL", "http://127.0.0.1:9/"), ("WEBHOOK_RETRY", "patient")];
    let api = Api::start(&nats, &environment).await;
    let path = format!("{PATH}/default");
    let (status, body) = api.get(&path).await;
    assert_eq!((status, &body["data"]["managedBy"]), (200, &json!("environment")));
    for (method, way, change, variable) in [
        (Method::PATCH, "", json!({"url": "http://127.0.0.1:8/"}), "WEBHOOK_URL"),
        (Method::PATCH, "", json!({"retry": [1]}), "WEBHOOK_RETRY"),
        (Method::PATCH, "", json!({"timeoutSeconds": 5, "description": "mine"}), "WEBHOOK_TIMEOUT"),
        (Method::DELETE, "", json!({}), "WEBHOOK_URL"),
        (Method::POST, "/secret/rotate", json!({}), "WEBHOOK_URL"),
    ] {
        let request = api.request(method.clone(), &format!("{path}{way}")).header("X-API-Key", KEY).json(&change);
        let (status, body) = answer(request).await;
        assert_eq!((status, &body["code"]), (409, &json!("managed_by_environment")), "{method} {way} {change}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains(variable)), "{body}");
    }
}

#[tokio::test]
async fn what_the_environment_does_not_fix_of_its_endpoint_can_be_changed() {
    let nats = Nats::start().await;
    let environment = [("WEBHOOK_URL", "http://127.0.0.1:9/"), ("WEBHOOK_EVENTS", "message.*")];
    let api = Api::start(&nats, &environment).await;
    let path = format!("{PATH}/default");
    let (_, body) = api.get(&path).await;
    assert_eq!((&body["data"]["events"], &body["data"]["retry"]), (&json!(["message.*"]), &json!("default")));
    let changes = json!({"retry": [1, 2], "headers": {"X-Tenant": "blue"}, "ordering": "chat", "description": "mine"});
    let (status, body) = api.patch(&path, &changes).await;
    assert_eq!(status, 200, "{body}");
    for shown in [body, api.get(&path).await.1] {
        let data = &shown["data"];
        assert_eq!((&data["retry"], &data["ordering"]), (&json!([1, 2]), &json!("chat")), "{shown}");
        assert_eq!((&data["headers"], &data["description"]), (&json!({"x-tenant": "blue"}), &json!("mine")), "{shown}");
        assert_eq!((&data["url"], &data["events"]), (&json!("http://127.0.0.1:9/"), &json!(["message.*"])), "{shown}");
    }
    // Null is the contract's value.
    let (_, body) = api.patch(&path, &json!({"retry": null, "base64": null})).await;
    assert_eq!((&body["data"]["retry"], &body["data"]["base64"]), (&json!("default"), &json!(true)), "{body}");
    assert_eq!(api.patch(&path, &json!({"events": ["test"]})).await.0, 409);
    assert_eq!(api.patch(&path, &json!({"retry": "never"})).await.0, 400);
    for (way, enabled) in [("disable", false), ("enable", true)] {
        let (status, body) = api.post(&format!("{path}/{way}"), &json!({})).await;
        assert_eq!((status, &body["data"]["enabled"]), (200, &json!(enabled)), "{body}");
    }
}

#[tokio::test]
async fn a_rotated_secret_signs_at_once_and_the_old_one_for_a_while() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let first = SigningSecret::random();
    let id = made(&api, &json!({"url": URL, "secret": first.reveal()})).await;
    let path = format!("{PATH}/{id}/secret/rotate");
    let (status, body) = api.post(&path, &json!({"keepOldForSeconds": 3600})).await;
    assert_eq!(status, 200, "{body}");
    let second = body["data"]["secret"].as_str().expect("a secret").to_owned();
    let secrets = stored(&nats, &id).await.secrets;
    let revealed: Vec<String> = secrets.iter().map(|one| one.secret.reveal()).collect();
    assert_eq!(revealed, [second.clone(), first.reveal()]);
    assert_eq!((secrets[0].until.as_ref(), &body["data"]["oldSecretSignsUntil"]), (None, &json!(secrets[1].until)));
    let now = OffsetDateTime::now_utc();
    assert!(
        secrets[1].is_valid(now + time::Duration::minutes(59)) && !secrets[1].is_valid(now + time::Duration::hours(1))
    );

    let (_, body) = api.post(&path, &json!({})).await;
    let revealed: Vec<String> = stored(&nats, &id).await.secrets.iter().map(|one| one.secret.reveal()).collect();
    assert_eq!(revealed, [body["data"]["secret"].as_str().expect("a secret"), &second]);
    let (_, body) = api.post(&path, &json!({"keepOldForSeconds": 0})).await;
    assert_eq!((stored(&nats, &id).await.secrets.len(), &body["data"]["oldSecretSignsUntil"]), (1, &Value::Null));

    for wrong in [json!({"keepOldForSeconds": 604_801}), json!({"keepOldForSeconds": "1"}), json!({"keep": 1})] {
        let (status, body) = api.post(&path, &wrong).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_rotation")), "{wrong}");
    }
}

#[tokio::test]
async fn no_log_shows_a_path_a_header_or_a_secret() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[("LOG_LEVEL", "debug")]).await;
    let body = json!({"url": URL, "headers": {"x-plain": "plain-value", "authorization": "Bearer hidden"}});
    let id = made(&api, &body).await;
    let path = format!("{PATH}/{id}");
    let (_, rotated) = api.post(&format!("{path}/secret/rotate"), &json!({})).await;
    api.patch(&path, &json!({"url": "http://10.0.0.1/very-private", "headers": {"x-plain": 7}})).await;
    // What cannot be read is told of without its content.
    bucket(&nats, BUCKET)
        .await
        .put(id.as_str(), json!({"url": URL, "enabled": "plain-value"}).to_string().into())
        .await
        .expect("stored");
    assert_eq!(api.get(&path).await.0, 500);
    assert_eq!(api.get(PATH).await.1["data"], json!([]));
    api.delete(&format!("{PATH}/none")).await;
    api.process.wait_for_line(|line| line.contains("DELETE /api/endpoints/{id}: 404"), SOON).await;
    let log = api.process.output();
    let secret = rotated["data"]["secret"].as_str().expect("a secret");
    assert!(log.contains(&format!("what is stored about the endpoint {id} cannot be read")), "{log}");
    for hidden in ["very-private", "plain-value", "Bearer", "whsec_", &secret[6..]] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}
