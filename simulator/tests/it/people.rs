//! What people do beside writing texts: polls and votes, edits, calls, presence, profiles, changes of groups, the past.

use serde_json::{Value, json};
use tempfile::tempdir;
use wacore::{stanza::groups::GroupNotificationAction as Action, types::call::CallAction};
use waproto::whatsapp::{Message, message::protocol_message::Type};
use whatsapp_rust::types::events::Event;

use crate::support::{Phone, Sim};

const ACCOUNT: &str = "15550100001";
const ANNA: &str = "15550200001";
const BEN: &str = "15550200002";

/// The message that came under this id.
async fn message(phone: &Phone, id: &str) -> Message {
    phone
        .until(|event| match event {
            Event::Messages(batch) => {
                batch.messages.iter().find(|one| one.info.id == id).map(|one| (*one.message).clone())
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_asks_votes_edits_and_deletes() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let write = async |from: &str, body: Value| {
        let answer = sim.post(&format!("/contacts/{from}/messages"), body).await;
        answer["id"].as_str().unwrap().to_owned()
    };
    let poll = write(ACCOUNT, json!({"type": "poll", "name": "Soup?", "options": ["yes", "no"], "to": ANNA})).await;
    let heard = message(&phone, &poll).await;
    let sent = heard.device_sent_message.as_option().and_then(|sent| sent.message.as_option()).unwrap_or(&heard);
    assert_eq!(sent.poll_creation_message_v3.as_option().unwrap().options.len(), 2);
    let vote = write(ANNA, json!({"type": "vote", "target": poll, "options": ["yes"]})).await;
    assert!(message(&phone, &vote).await.poll_update_message.as_option().unwrap().vote.is_set());

    let text = write(ANNA, json!({"text": "first"})).await;
    let edit = write(ANNA, json!({"type": "edit", "target": text, "text": "second"})).await;
    let edited = message(&phone, &edit).await.edited_message.into_option().unwrap().message.into_option().unwrap();
    assert_eq!(edited.protocol_message.as_option().unwrap().r#type, Some(Type::MESSAGE_EDIT));
    let revoke = write(ANNA, json!({"type": "revoke", "target": text})).await;
    let protocol = message(&phone, &revoke).await.protocol_message.into_option().unwrap();
    assert_eq!((protocol.r#type, protocol.key.as_option().unwrap().id.clone()), (Some(Type::REVOKE), Some(text)));

    let once = write(ANNA, json!({"type": "image", "base64": "aGVsbG8=", "viewOnce": true})).await;
    assert!(message(&phone, &once).await.view_once_message_v2.is_set());
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_a_client_that_is_away() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let call = sim.post(&format!("/contacts/{ANNA}/calls"), json!({"video": true})).await["id"].clone();
    let rings = phone.until(|event| match event {
        Event::IncomingCall(call) => match &call.action {
            CallAction::Offer { call_id, is_video, .. } => Some((call_id.clone(), *is_video)),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(rings.await, (call.as_str().unwrap().to_owned(), true));
    let (status, _) = sim.call("POST", &format!("/contacts/{ANNA}/calls"), Some(json!({"action": "terminate"}))).await;
    assert_eq!(status, 400, "which call?");
    phone.shutdown().await;

    let missed = sim.post(&format!("/contacts/{ANNA}/calls"), json!({})).await["id"].clone();
    let store = folder.path().join("default.db");
    let setup = crate::support::Setup { store: store.to_str().unwrap(), push_name: None };
    let phone = Phone::run(&sim, setup).await;
    // The first call may come once more: the client perhaps left before its acknowledgement went out.
    let is_missed = |event: &Event| matches!(event, Event::MissedCall(call) if json!(call.call_id) == missed);
    phone.until(|event| is_missed(event).then_some(())).await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_profiles_and_groups_are_told() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let presence = |state: &str| json!({"state": state});
    sim.post(&format!("/contacts/{ANNA}/presence"), presence("unavailable")).await;
    phone.until(|event| matches!(event, Event::Presence(presence) if presence.unavailable).then_some(())).await;
    sim.post(&format!("/contacts/{ANNA}/presence"), presence("recording")).await;
    phone.until(|event| matches!(event, Event::ChatPresence(_)).then_some(())).await;
    sim.post(&format!("/contacts/{ANNA}/profile"), json!({"about": "busy", "picture": false})).await;
    phone.until(|event| matches!(event, Event::UserAboutUpdate(about) if about.status == "busy").then_some(())).await;
    phone.until(|event| matches!(event, Event::PictureUpdate(picture) if picture.removed).then_some(())).await;

    let group = sim.post("/groups", json!({"subject": "Lunch", "participants": [ANNA]})).await;
    let path = format!("/groups/{}", group["id"].as_str().unwrap());
    let (status, shown) = sim.call("PATCH", &path, Some(json!({"by": ANNA, "subject": "Dinner", "add": [BEN]}))).await;
    assert_eq!(
        (status, &shown["subject"], shown["participants"].as_array().unwrap().len()),
        (200, &json!("Dinner"), 3)
    );
    let subject = phone.until(|event| match event {
        Event::GroupUpdate(update) => match &update.action {
            Action::Subject { subject, .. } => Some(subject.clone()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(subject.await, "Dinner");
    let added =
        |event: &Event| matches!(event, Event::GroupUpdate(update) if matches!(update.action, Action::Add { .. }));
    phone.until(|event| added(event).then_some(())).await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_tells_of_earlier_chats() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let past = json!({"contact": ANNA, "messages": [{"id": "OLD", "text": "long ago"}], "progress": 40});
    sim.post(&format!("/accounts/{ACCOUNT}/history"), past).await;
    let (progress, text) = phone
        .until(|event| match event {
            Event::HistorySync(past) if past.progress() == Some(40) => {
                let chat = past.stream().next_conversation().unwrap()?;
                let message = chat.messages.first()?.message.as_option()?.message.as_option()?.conversation.clone();
                Some((past.progress(), message))
            }
            _ => None,
        })
        .await;
    assert_eq!((progress, text.as_deref()), (Some(40), Some("long ago")));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_makes_no_sense_is_refused_with_what_is_right() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    for (body, status, said) in [
        (json!({"type": "vote", "target": "nothing", "options": []}), 404, "no poll"),
        (json!({"type": "poll", "options": ["yes"]}), 400, "`name` is missing"),
        (json!({"type": "edit", "text": "new"}), 400, "`target` is missing"),
        (json!({"type": "raw", "base64": "!"}), 400, "not base64"),
        (json!({"type": "dance"}), 400, "unknown variant"),
    ] {
        let (got, answer) = sim.call("POST", &format!("/contacts/{ANNA}/messages"), Some(body)).await;
        assert_eq!(got, status, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(said), "{answer}");
    }
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_check_answers_with_the_registered_number() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.call("PATCH", "/contacts/4915550200001", Some(json!({"aliases": ["49015550200001"]}))).await;
    sim.call("PATCH", "/contacts/525512345679", Some(json!({"aliases": ["5215512345679"]}))).await;
    let table = [
        ("5531987654321", "553187654321"),
        ("551187654321", "5511987654321"),
        ("525512345678", "5215512345678"),
        ("541112345678", "5491112345678"),
        ("49015550200001", "4915550200001"),
        // This one is registered the other way round.
        ("5215512345679", "525512345679"),
        (ANNA, ANNA),
    ];
    for (dialled, registered) in table {
        let asked = format!("{dialled}@s.whatsapp.net").parse().unwrap();
        let found = phone.client.contacts().is_on_whatsapp(&[asked]).await.unwrap();
        let found: Vec<(String, bool)> =
            found.iter().map(|one| (one.jid.user.to_string(), one.is_registered)).collect();
        assert_eq!(found, [(registered.to_owned(), true)], "{dialled}");
        // The control API takes either.
        assert_eq!(sim.get(&format!("/contacts/{dialled}")).await["number"], registered);
    }
    let id = phone.send("553187654321@s.whatsapp.net", "to the address").await;
    assert_eq!(sim.until_received("5531987654321", "to the address").await["id"], id);
    // Nobody has the dialled number as an address.
    let id = phone.send("5531987654321@s.whatsapp.net", "to nobody").await;
    phone.until_acked(&id).await;
    sim.until_received(ACCOUNT, "to nobody").await;
    let received = sim.get("/contacts/553187654321/messages").await;
    assert_eq!(received.as_array().unwrap().len(), 1, "{received}");
    let (status, answer) = sim.call("PATCH", "/contacts/4915550200001", Some(json!({"aliases": [ANNA]}))).await;
    assert_eq!(status, 409, "{answer}");
    phone.shutdown().await;
    sim.stop().await;
}
