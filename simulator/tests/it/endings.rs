//! How a session ends, and that the client takes each ending for what it is.

use serde_json::{Value, json};
use tempfile::tempdir;
use whatsapp_rust::types::events::Event;

use crate::support::{Phone, Setup, Sim};

/// The event that an ending is to become.
type Wanted = fn(&Event) -> bool;

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_code_is_understood() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    Phone::paired(&sim, folder.path(), None).await.shutdown().await;
    let store = folder.path().join("default.db");
    let table: [(Value, Wanted, bool); 8] = [
        (json!({"failure": 401}), |event| matches!(event, Event::LoggedOut(_)), true),
        (json!({"failure": 403}), |event| matches!(event, Event::LoggedOut(_)), true),
        (json!({"failure": 406}), |event| matches!(event, Event::LoggedOut(_)), true),
        (json!({"failure": 405}), |event| matches!(event, Event::ClientOutdated(_)), true),
        (json!({"failure": 402, "code": 101, "expire": 3600}), |event| matches!(event, Event::TemporaryBan(_)), true),
        (json!({"failure": 409}), |event| matches!(event, Event::ConnectFailure(_)), true),
        (json!({"failure": 500}), |event| matches!(event, Event::ConnectFailure(_)), false),
        (json!({"failure": 503}), |event| matches!(event, Event::ConnectFailure(_)), false),
    ];
    for (refusal, wanted, ends) in table {
        sim.post("/connections/refuse", refusal.clone()).await;
        let mut phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
        phone.until(|event| wanted(event).then_some(())).await;
        if ends {
            phone.until_ended().await;
        } else {
            phone.connected().await;
        }
        phone.shutdown().await;
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stream_error_is_understood() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    for (nth, error) in (2..).zip([json!(503), json!("xmlstreamend"), json!(515)]) {
        sim.post("/connections/drop", json!({"streamError": error})).await;
        phone.until_nth(nth, |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }
    phone.shutdown().await;
    for (error, wanted) in [
        (json!("replaced"), (|event| matches!(event, Event::StreamReplaced(_))) as Wanted),
        (json!(409), |event| matches!(event, Event::StreamReplaced(_))),
        (json!(401), |event| matches!(event, Event::LoggedOut(_))),
        (json!("device_removed"), |event| matches!(event, Event::LoggedOut(_))),
    ] {
        let store = folder.path().join("default.db");
        let mut phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
        phone.connected().await;
        sim.post("/connections/drop", json!({"streamError": error})).await;
        phone.until(|event| wanted(event).then_some(())).await;
        phone.until_ended().await;
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_holds_as_often_as_told_and_can_be_taken_back() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/connections/refuse", json!({"streamError": 503, "times": 2})).await;
    sim.post("/connections/drop", json!({})).await;
    phone.until_nth(2, |event| matches!(event, Event::Connected(_)).then_some(())).await;
    assert_eq!(sim.get("/statistics").await["refusals"], 0, "two used up");
    sim.post("/connections/refuse", json!({"failure": 503, "seconds": 3600})).await;
    assert_eq!(sim.call("DELETE", "/connections/refuse", None).await.0, 204);
    sim.post("/connections/drop", json!({})).await;
    phone.until_nth(3, |event| matches!(event, Event::Connected(_)).then_some(())).await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_logs_a_companion_out_connected_or_not() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let mut phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/sessions/logout", json!({})).await;
    phone.until(|event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    phone.until_ended().await;
    assert_eq!(sim.get("/accounts").await[0]["devices"], json!([]));
    assert_eq!(sim.call("POST", "/sessions/logout", Some(json!({}))).await.0, 404);

    let phone = Phone::paired(&sim, folder.path(), Some("Other")).await;
    phone.shutdown().await;
    sim.post("/sessions/logout", json!({})).await;
    let store = folder.path().join("Other.db");
    let mut phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: Some("Other") }).await;
    phone
        .until(|event| match event {
            Event::LoggedOut(out) => out.on_connect.then_some(()),
            _ => None,
        })
        .await;
    phone.until_ended().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_logs_itself_out() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let mut phone = Phone::paired(&sim, folder.path(), None).await;
    phone.client.logout().await;
    phone.until_ended().await;
    sim.until("/accounts", |accounts| accounts[0]["devices"] == json!([])).await;
    assert_eq!(phone.count(|event| matches!(event, Event::LoggedOut(_))), 1);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_of_the_same_companion_replaces_the_first() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let mut first = Phone::paired(&sim, folder.path(), None).await;
    let copy = folder.path().join("copy.db");
    first.client.persistence_manager().flush().await.unwrap();
    std::fs::copy(folder.path().join("default.db"), &copy).unwrap();
    let _ = std::fs::copy(folder.path().join("default.db-wal"), folder.path().join("copy.db-wal"));
    let second = Phone::run(&sim, Setup { store: copy.to_str().unwrap(), push_name: None }).await;
    second.connected().await;
    first.until(|event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    first.until_ended().await;
    assert_eq!(sim.get("/accounts").await[0]["devices"][0]["connected"], true);
    second.shutdown().await;
    sim.stop().await;
}
