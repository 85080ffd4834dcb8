//! Each way in which a session ends or is interrupted has its own state and event, and no end becomes a reconnect loop.

use crate::world::{SOON, World};
use kurir_contract::command::{Command, EmptyBody, LoggedOut, SessionInfo};
use kurir_test_harness::until;
use serde_json::{Value, json};
use std::time::Duration;

/// A client that reconnects by itself would have done so by then: its first pause is one second.
const LOOP: Duration = Duration::from_secs(4);

async fn logins(world: &World) -> Value {
    world.simulator.get("/statistics").await["connections"].clone()
}

/// Checks that the session is at this end, has reported it once, and stays away.
async fn has_ended(world: &World, status: &str) -> SessionInfo {
    let at_end = world.is(status).await;
    let event = world.event("connection.status", |data| data["status"] == status).await;
    let data = &event.body["data"];
    assert!(data["isConnected"] == false && data["qrCode"] == Value::Null, "{data}");
    assert!(data["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{data}");
    tokio::time::sleep(LOOP).await;
    assert_eq!(logins(world).await, 0, "it came back by itself");
    let told = world.told().await;
    assert_eq!(told.last().map(String::as_str), Some(status), "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == status).count(), 1, "{told:?}");
    at_end
}

async fn restart(world: &World) -> SessionInfo {
    world.ask(Command::Restart, EmptyBody {}).await.expect("a restart is never refused")
}

#[tokio::test]
async fn a_logout_on_the_phone_wants_a_new_pairing() {
    let world = World::unpaired(&[]).await;
    let first = world.qr(None).await;
    world.simulator.scan(&first).await;
    world.is("connected").await;
    world.simulator.post("/sessions/logout", json!({})).await;
    has_ended(&world, "logged_out").await;
    restart(&world).await;
    let code = world.qr(Some(&first)).await;
    world.simulator.scan(&code).await;
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn a_logout_on_request_wipes_the_keys() {
    let world = World::connected(&[]).await;
    let folder = world.gateway.folder().join("sessions/default");
    let answer: LoggedOut = world.ask(Command::Logout, EmptyBody {}).await.expect("logged out");
    assert!(answer.was_paired);
    assert!(!folder.join("whatsapp.db").exists(), "the keys are still there");
    let status = has_ended(&world, "logged_out").await;
    assert_eq!((status.jid, status.lid), (None, None));
    until("WhatsApp to have forgotten the device", SOON, || async {
        let accounts = world.simulator.get("/accounts").await;
        if accounts[0]["devices"] == json!([]) { Ok(()) } else { Err(accounts) }
    })
    .await;
    let again: LoggedOut = world.ask(Command::Logout, EmptyBody {}).await.expect("answered");
    assert!(!again.was_paired);
    restart(&world).await;
    // The simulated phone may scan the new code before the test sees it.
    until("a new pairing", SOON, || async {
        let status = world.status().await;
        if status.qr_code.is_some() || status.is_connected { Ok(()) } else { Err(status) }
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn a_logout_without_a_session_changes_nothing() {
    let world = World::unpaired(&[]).await;
    let code = world.qr(None).await;
    let answer: LoggedOut = world.ask(Command::Logout, EmptyBody {}).await.expect("answered");
    assert!(!answer.was_paired);
    assert_eq!(world.status().await.qr_code, Some(code));
    world.finish().await;
}

#[tokio::test]
async fn a_replaced_client_stays_away_until_it_is_told_to_come_back() {
    let world = World::connected(&[]).await;
    world.simulator.post("/connections/drop", json!({"streamError": "replaced"})).await;
    has_ended(&world, "replaced").await;
    restart(&world).await;
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn each_refusal_of_the_login_is_an_end_of_its_own() {
    let world = World::connected(&[]).await;
    for (refusal, status) in [
        (json!({"failure": 402, "code": 101, "expire": 3600, "times": 1}), "banned"),
        (json!({"failure": 403, "times": 1}), "locked"),
        (json!({"failure": 405, "times": 1}), "outdated"),
        (json!({"failure": 418, "times": 1}), "refused"),
    ] {
        world.simulator.post("/connections/refuse", refusal).await;
        world.simulator.post("/connections/drop", json!({})).await;
        let at_end = has_ended(&world, status).await;
        assert_eq!(at_end.until.is_some(), status == "banned", "{at_end:?}");
        // The keys are still valid.
        restart(&world).await;
        world.is("connected").await;
    }
    world.simulator.post("/connections/refuse", json!({"failure": 401, "times": 1})).await;
    world.simulator.post("/connections/drop", json!({})).await;
    has_ended(&world, "logged_out").await;
    world.finish().await;
}

#[tokio::test]
async fn an_interruption_says_why_and_passes_by_itself() {
    let world = World::connected(&[]).await;
    for (interruption, reason) in [
        (json!({"streamError": 503}), "not available (503)"),
        (json!({"streamError": "xmlstreamend"}), "closed the stream"),
        (json!({}), "connection was lost"),
    ] {
        world.simulator.post("/connections/drop", interruption).await;
        reconnects(&world, reason).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_login_that_is_turned_away_is_tried_again() {
    let world = World::connected(&[]).await;
    world.simulator.post("/connections/refuse", json!({"failure": 503, "times": 1})).await;
    world.simulator.post("/connections/drop", json!({})).await;
    reconnects(&world, "not available (503)").await;
    // The client waits longer then, because WhatsApp asked for it.
    world.simulator.post("/connections/drop", json!({"streamError": 429})).await;
    reconnects(&world, "slow down (429)").await;
    world.finish().await;
}

async fn reconnects(world: &World, reason: &str) {
    let fits = |data: &Value| data["reason"].as_str().is_some_and(|text| text.contains(reason));
    let event = world.event("connection.status", fits).await;
    assert_eq!(event.body["data"]["status"], "reconnecting");
    world.is("connected").await;
}
