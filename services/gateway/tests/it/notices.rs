//! Events besides messages: groups, calls, presence, contacts, ends of the session, and the history.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_test_harness::until;
use serde_json::{Value, json};
use std::time::Duration;

const ANI: &str = "6281230000002";

#[tokio::test]
async fn a_changed_group_is_told_change_by_change() {
    let world = World::connected(&[]).await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [BUDI]})).await;
    let id = group["id"].as_str().expect("an id").to_owned();
    let change = json!({"by": BUDI, "subject": "Crew", "description": "all of us", "announcement": true, "add": [ANI]});
    world.simulator.patch(&format!("/groups/{id}"), change).await;
    for (change, details) in [
        ("subject", json!({"subject": "Crew"})),
        ("description", json!({"description": "all of us"})),
        ("announcement", json!({"announcement": true})),
    ] {
        let data = world.data("group.updated", |data| data["change"] == change).await;
        assert_eq!((&data["details"], &data["chat"]["jid"]), (&details, &json!(id)));
        assert_eq!((&data["participant"], &data["fromMe"]), (&json!(BUDI_JID), &json!(false)));
    }
    for (change, action) in [("promote", "promote"), ("demote", "demote"), ("remove", "remove")] {
        world.simulator.patch(&format!("/groups/{id}"), json!({"by": BUDI, (change): [ANI]})).await;
        world.data("group.participants", |data| data["action"] == action).await;
    }
    let told = world.events_of("group.participants").await;
    let actions: Vec<_> = told.iter().map(|event| event.body["data"]["action"].as_str()).collect();
    assert_eq!(actions, [Some("add"), Some("promote"), Some("demote"), Some("remove")]);
    for event in &told {
        let participant = &event.body["data"]["participants"][0];
        assert_eq!(participant["jid"], format!("{ANI}@s.whatsapp.net"));
        assert!(participant["lid"].as_str().is_some_and(|lid| lid.ends_with("@lid")), "{participant}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_call_rings_and_is_missed_or_taken_elsewhere() {
    let world = World::connected(&[]).await;
    let calls = format!("/contacts/{BUDI}/calls");
    for (reason, end) in [(Some("timeout"), "call.missed"), (Some("accepted_elsewhere"), "call.ended")] {
        let call = world.simulator.post(&calls, json!({"video": true})).await["id"].clone();
        let data = world.data("call.received", |data| data["callId"] == call).await;
        assert_eq!((&data["video"], &data["author"]["jid"]), (&json!(true), &json!(BUDI_JID)));
        assert_eq!((&data["chat"]["jid"], &data["group"]), (&json!(BUDI_JID), &Value::Null));
        world.simulator.post(&calls, json!({"action": "terminate", "id": call, "reason": reason})).await;
        let data = world.data(end, |data| data["callId"] == call).await;
        assert_eq!((&data["reason"], &data["video"]), (&json!(reason), &json!(true)));
    }
    assert_eq!(world.events_of("call.received").await.len(), 2);
    world.finish().await;
}

#[tokio::test]
async fn presence_and_typing_are_told_under_one_address() {
    let world = World::connected(&[]).await;
    // A message tells the client which addresses belong together.
    world.simulator.contact_writes(BUDI, "hello").await;
    world.event("message.received", |_| true).await;
    for addressing in ["pn", "lid"] {
        for state in ["available", "unavailable", "composing", "recording", "paused"] {
            let before = world.events_of("presence.updated").await.len();
            let presence = json!({"state": state, "addressing": addressing});
            world.simulator.post(&format!("/contacts/{BUDI}/presence"), presence).await;
            let told = until(format!("presence {state}"), SOON, || async {
                let told = world.events_of("presence.updated").await;
                told.get(before).cloned().ok_or(told)
            })
            .await;
            let data = &told.body["data"];
            assert_eq!((&data["presence"], &data["author"]["jid"]), (&json!(state), &json!(BUDI_JID)));
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn a_contacts_new_profile_and_new_phone_are_told() {
    let world = World::connected(&[]).await;
    world.simulator.contact_writes(BUDI, "hello").await;
    world.event("message.received", |_| true).await;
    world.simulator.post(&format!("/contacts/{BUDI}/profile"), json!({"about": "busy", "picture": true})).await;
    let data = world.data("contact.updated", |data| data["change"] == "about").await;
    assert_eq!((&data["details"], &data["author"]["jid"]), (&json!({"about": "busy"}), &json!(BUDI_JID)));
    let data = world.data("contact.updated", |data| data["change"] == "picture").await;
    assert_eq!((&data["details"], &data["author"]["jid"]), (&json!({"removed": false}), &json!(BUDI_JID)));

    world.simulator.post(&format!("/contacts/{BUDI}/reinstall"), json!({})).await;
    world.simulator.contact_writes(BUDI, "from a new phone").await;
    world.event("message.received", |data| data["content"]["text"] == "from a new phone").await;
    let data = world.data("contact.identity_changed", |_| true).await;
    assert_eq!(data["author"]["jid"], BUDI_JID);
    world.finish().await;
}

#[tokio::test]
async fn an_end_of_the_session_is_an_event_of_its_own() {
    let world = World::connected(&[]).await;
    for (refusal, kind) in [
        (json!({"failure": 402, "code": 101, "expire": 3600, "times": 1}), "session.banned"),
        (json!({"failure": 403, "times": 1}), "session.locked"),
        (json!({"failure": 405, "times": 1}), "session.outdated"),
        (json!({"failure": 418, "times": 1}), "session.refused"),
        (json!({"failure": 401, "times": 1}), "session.logged_out"),
    ] {
        world.simulator.post("/connections/refuse", refusal).await;
        world.simulator.post("/connections/drop", json!({})).await;
        let data = world.data(kind, |_| true).await;
        assert!(data["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{data}");
        assert_eq!((data["until"].is_string(), &data["session"]), (kind == "session.banned", &json!("default")));
        if kind != "session.logged_out" {
            world.restart().await;
            world.is("connected").await;
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn the_past_is_told_only_if_it_was_asked_for() {
    for asked in [false, true] {
        let world = World::connected(&[("WHATSAPP_HISTORY_SYNC", &asked.to_string())]).await;
        let account = world.account().await;
        let messages: Vec<Value> = (0..60)
            .map(|n| json!({"id": format!("OLD{n}"), "text": format!("past {n}"), "fromMe": n == 0, "timestamp": 1_700_000_000 + n}))
            .collect();
        let history = json!({"contact": BUDI, "messages": messages, "progress": 50});
        world.simulator.post(&format!("/accounts/{account}/history"), history).await;
        world.simulator.contact_writes(BUDI, "now").await;
        world.event("message.received", |data| data["content"]["text"] == "now").await;
        if asked {
            let data =
                world.data("history.sync", |data| data["messages"].as_array().is_some_and(|all| all.len() == 10)).await;
            assert_eq!((&data["chat"]["jid"], &data["progress"]), (&json!(BUDI_JID), &json!(50)));
            let first = &world.events_of("history.sync").await[0].body["data"]["messages"][0];
            assert_eq!((&first["messageId"], &first["content"]), (&json!("OLD0"), &json!({"text": "past 0"})));
            assert_eq!((&first["fromMe"], &first["timestamp"]), (&json!(true), &json!(1_700_000_000_000_i64)));
        } else {
            assert!(world.events_of("history.sync").await.is_empty());
        }
        assert_eq!(world.events_of("message.received").await.len(), 1, "the past is no new message");
        world.finish().await;
    }
}

#[tokio::test]
async fn a_receipt_waits_for_nats_and_one_that_comes_meanwhile_waits_at_whatsapp() {
    let mut world = World::connected(&[("BROKER_WAIT", "4s")]).await;
    world.simulator.patch(&format!("/contacts/{BUDI}"), json!({"receipts": "manual"})).await;
    let id = world.send(BUDI, "hello").await.expect("sent").message_id;
    world.data("message.ack", |data| data["status"] == "server").await;
    world.simulator.contact_receives(BUDI, "the text", SOON, |message| message["id"] == id.as_str()).await;
    let confirm = async |world: &World, kind: &str| {
        world.simulator.post(&format!("/contacts/{BUDI}/receipts"), json!({"id": id, "type": kind})).await;
    };
    // The notice waits out a short outage.
    world.nats.stop().await;
    confirm(&world, "delivered").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.nats.start_again().await;
    world.data("message.ack", |data| data["status"] == "delivered").await;
    // In a long outage the gateway leaves WhatsApp, which keeps what arrives.
    world.nats.stop().await;
    until("the gateway to leave WhatsApp", SOON, || async {
        let accounts = world.simulator.get("/accounts").await;
        if accounts[0]["devices"][0]["connected"] == false { Ok(()) } else { Err(accounts) }
    })
    .await;
    confirm(&world, "read").await;
    world.nats.start_again().await;
    world.data("message.ack", |data| data["status"] == "read").await;
    world.finish().await;
}

#[tokio::test]
async fn a_number_once_learnt_is_in_every_later_event() {
    let world = World::connected(&[]).await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [BUDI]})).await;
    let group = group["id"].as_str().expect("an id").to_owned();
    // People of whom nothing was heard before: each is introduced by another notice.
    let (caller, member, writer) = ("6281230000021", "6281230000022", "6281230000023");
    let call =
        world.simulator.post(&format!("/contacts/{caller}/calls"), json!({"action": "offer"})).await["id"].clone();
    world.data("call.received", |data| data["callId"] == call).await;
    let end = json!({"action": "terminate", "id": call});
    world.simulator.post(&format!("/contacts/{caller}/calls"), end).await;
    let missed = world.data("call.missed", |data| data["callId"] == call).await;
    assert_eq!(missed["author"]["pn"], format!("{caller}@s.whatsapp.net"));
    world.simulator.patch(&format!("/groups/{group}"), json!({"by": BUDI, "add": [member]})).await;
    world.data("group.participants", |data| data["action"] == "add").await;
    world.simulator.contact_sends(writer, json!({"text": "hello", "addressing": "lid"})).await;
    world.data("message.received", |_| true).await;
    // What is learnt outlasts a connection.
    for round in ["at once", "after a restart"] {
        for person in [caller, member, writer] {
            let before = world.events_of("presence.updated").await.len();
            let presence = json!({"state": "composing", "addressing": "lid"});
            world.simulator.post(&format!("/contacts/{person}/presence"), presence).await;
            let told = until(format!("the presence of {person} {round}"), SOON, || async {
                let told = world.events_of("presence.updated").await;
                told.get(before).cloned().ok_or(told)
            })
            .await;
            let number = format!("{person}@s.whatsapp.net");
            assert_eq!(told.body["data"]["author"]["jid"], number, "{round}");
            assert_eq!(told.body["data"]["chat"]["pn"], number, "{round}");
        }
        world.restart().await;
        world.is("connected").await;
    }
    world.finish().await;
}
