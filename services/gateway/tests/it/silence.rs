//! The gateway notices a connection that is open and dead, opens a new one, and gets what arrived meanwhile.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_test_harness::{Port, http, until};
use serde_json::json;

/// Far shorter than the client's own pings, which come every 15 to 30 s.
const SILENCE: (&str, &str) = ("WHATSAPP_SILENCE", "2s");
const PROBE: (&str, &str) = ("WHATSAPP_PROBE_EVERY", "3s");

#[tokio::test]
async fn a_silent_connection_is_made_anew_and_what_waited_arrives() {
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let world = World::connected(&[SILENCE, ("HEALTH_LISTEN", &listen)]).await;
    world.simulator.post("/faults", json!({"kind": "silence"})).await;
    world.simulator.contact_writes(BUDI, "are you there?").await;
    let silent = world.data("session.silent", |data| data["noticedBy"] == "ping").await;
    assert!(silent["silentForSeconds"].as_u64().is_some_and(|seconds| seconds >= 2), "{silent}");
    let told = world.data("connection.status", |data| data["status"] == "reconnecting").await;
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("was silent")), "{told}");
    world.simulator.delete("/faults").await;
    until("the message", SOON, || async {
        let texts = world.texts_from(BUDI_JID).await;
        if texts == ["are you there?"] { Ok(()) } else { Err(texts) }
    })
    .await;
    world.is("connected").await;
    let metrics = http::client().get(format!("http://{listen}/metrics")).send().await.expect("the gateway serves them");
    let metrics = metrics.text().await.expect("text");
    for line in [
        r#"kurir_session_status{session="default",status="connected"} 1"#,
        r#"kurir_session_status{session="default",status="reconnecting"} 0"#,
        r#"kurir_session_silences_total{session="default",noticed_by="ping"} 1"#,
        r#"kurir_events_published_total{type="message.received"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_connection_that_answers_only_pings_is_made_anew() {
    let world = World::connected(&[SILENCE, PROBE]).await;
    world.simulator.post("/faults", json!({"kind": "half-deaf"})).await;
    world.data("session.silent", |data| data["noticedBy"] == "probe").await;
    world.simulator.delete("/faults").await;
    world.is("connected").await;
    world.simulator.contact_writes(BUDI, "and now?").await;
    world.data("message.received", |data| data["content"]["text"] == "and now?").await;
    world.finish().await;
}

#[tokio::test]
async fn a_login_without_an_answer_is_tried_anew() {
    let world = World::connected(&[SILENCE]).await;
    world.simulator.post("/faults", json!({"kind": "silence"})).await;
    world.simulator.post("/connections/drop", json!({})).await;
    world.data("session.silent", |data| data["noticedBy"] == "login").await;
    world.simulator.delete("/faults").await;
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn an_account_to_which_nobody_writes_stays_connected() {
    let world = World::connected(&[SILENCE, PROBE]).await;
    until("both questions to be asked several times", SOON, || async {
        let heard = world.simulator.get("/statistics").await["fromClient"]["iq"].as_u64();
        if heard > Some(20) { Ok(()) } else { Err(heard) }
    })
    .await;
    assert!(world.events_of("session.silent").await.is_empty());
    assert_eq!(world.told().await.last().map(String::as_str), Some("connected"));
    world.finish().await;
}
