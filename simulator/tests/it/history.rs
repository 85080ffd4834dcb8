//! The past as phones send it: at the first login in WhatsApp's parts, and later what a companion asks for.

use serde_json::json;
use tempfile::tempdir;
use waproto::whatsapp::{HistorySync, WebMessageInfo, history_sync::HistorySyncType};
use whatsapp_rust::{Jid, types::events::Event};

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";

/// The first part of this kind that fits.
async fn part(phone: &Phone, kind: HistorySyncType, fits: impl Fn(&HistorySync) -> bool) -> HistorySync {
    phone
        .until(|event| match event {
            Event::HistorySync(past) => past.get().filter(|past| past.sync_type == kind && fits(past)).cloned(),
            _ => None,
        })
        .await
}

fn messages(part: &HistorySync, chat: &str) -> Vec<WebMessageInfo> {
    let chat = part.conversations.iter().filter(|conversation| conversation.id == chat);
    chat.flat_map(|chat| chat.messages.iter().filter_map(|message| message.message.as_option().cloned())).collect()
}

fn texts(messages: &[WebMessageInfo]) -> Vec<String> {
    let text = |message: &WebMessageInfo| {
        let message = message.message.as_option()?;
        let extended = message.extended_text_message.as_option().and_then(|text| text.text.clone());
        message.conversation.clone().or(extended)
    };
    messages.iter().filter_map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_companion_gets_the_parts_that_phones_send() {
    let (sim, one, two) = (Sim::start().await, tempdir().unwrap(), tempdir().unwrap());
    let first = Phone::paired(&sim, one.path(), Some("Shop")).await;
    let account = first.client.pn().unwrap().user.to_string();
    let chat = format!("{ANNA}@s.whatsapp.net");
    let bootstrap = part(&first, HistorySyncType::INITIAL_BOOTSTRAP, |_| true).await;
    assert!(bootstrap.conversations.is_empty(), "a new account has no past");

    sim.text(ANNA, "a question", json!({"to": account, "pushName": "Anna"})).await;
    first.until_heard("a question").await;
    let image = json!({"type": "image", "base64": "aGVsbG8=", "to": account});
    sim.post(&format!("/contacts/{ANNA}/messages"), image).await;
    let poll = json!({"type": "poll", "name": "Soup?", "options": ["yes", "no"], "to": account});
    sim.post(&format!("/contacts/{ANNA}/messages"), poll).await;
    first.send(&chat, "an answer").await;
    sim.until_received(&account, "an answer").await;
    sim.text(&account, "from the phone", json!({"to": ANNA})).await;

    let second = Phone::paired(&sim, two.path(), Some("Shop")).await;
    let bootstrap = part(&second, HistorySyncType::INITIAL_BOOTSTRAP, |_| true).await;
    let settings = bootstrap.global_settings.as_option().unwrap();
    assert!(settings.chat_db_lid_migration_timestamp.is_some());
    let mapped = bootstrap.phone_number_to_lid_mappings.iter().find(|pair| pair.pn_jid.as_deref() == Some(&*chat));
    let lid = sim.get(&format!("/contacts/{ANNA}")).await["lid"].as_str().unwrap().to_owned();
    assert_eq!(mapped.unwrap().lid_jid.as_deref(), Some(&*format!("{lid}@lid")));
    assert_eq!(texts(&messages(&bootstrap, &chat)), ["from the phone"], "the newest message of each chat");
    let names = part(&second, HistorySyncType::PUSH_NAME, |part| !part.pushnames.is_empty()).await;
    assert!(names.pushnames.iter().any(|name| name.id.as_deref() == Some(&*chat)));
    part(&second, HistorySyncType::NON_BLOCKING_DATA, |_| true).await;

    let recent = part(&second, HistorySyncType::RECENT, |_| true).await;
    let all = messages(&recent, &chat);
    assert_eq!(texts(&all), ["a question", "an answer", "from the phone"]);
    assert_eq!(all.len(), 5);
    let own: Vec<bool> = all.iter().filter_map(|message| message.key.as_option()?.from_me).filter(|own| *own).collect();
    assert_eq!(own.len(), 2);
    assert!(all.iter().any(|message| message.message.as_option().is_some_and(|inner| inner.image_message.is_set())));
    let is_poll = |message: &WebMessageInfo| {
        message.message.as_option().is_some_and(|inner| inner.poll_creation_message_v3.is_set())
    };
    assert!(all.iter().any(is_poll));
    first.shutdown().await;
    second.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_answers_what_a_companion_asks_for() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let chat: Jid = format!("{ANNA}@s.whatsapp.net").parse().unwrap();
    let mut ids = Vec::new();
    for n in 1..=5 {
        ids.push(sim.text(ANNA, &format!("message {n}"), json!({})).await);
    }
    phone.until_heard("message 5").await;
    let request = phone.client.fetch_message_history(&chat, &ids[3], false, i64::MAX, 2).await.unwrap();
    let answer = phone
        .until(|event| match event {
            Event::HistorySync(past) if past.peer_data_request_session_id() == Some(&*request) => past.get().cloned(),
            _ => None,
        })
        .await;
    assert_eq!(answer.sync_type, HistorySyncType::ON_DEMAND);
    assert_eq!(texts(&messages(&answer, &chat.to_string())), ["message 2", "message 3"]);

    // What the server could not give the companion, the phone does.
    let unread = json!({"text": "only on the phone", "unavailable": "fanout"});
    sim.post(&format!("/contacts/{ANNA}/messages"), unread).await;
    phone.until_heard("only on the phone").await;
    // Whatever is to be seen once stays there.
    let once = json!({"text": "seen once", "unavailable": "view_once"});
    sim.post(&format!("/contacts/{ANNA}/messages"), once).await;
    sim.text(ANNA, "afterwards", json!({})).await;
    phone.until_heard("afterwards").await;
    assert!(phone.heard().iter().all(|heard| heard.text != "seen once"));

    // A phone that is off answers nothing, until it is on again.
    let number = phone.client.pn().unwrap().user.to_string();
    sim.post("/admin/mock-phone/power", json!({"number": number, "on": false})).await;
    let unread = json!({"text": "the phone is off", "unavailable": "fanout"});
    sim.post(&format!("/contacts/{ANNA}/messages"), unread).await;
    sim.text(ANNA, "later", json!({})).await;
    phone.until_heard("later").await;
    assert!(phone.heard().iter().all(|heard| heard.text != "the phone is off"));
    phone.shutdown().await;
    sim.stop().await;
}
