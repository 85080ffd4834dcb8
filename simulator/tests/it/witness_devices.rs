//! What several devices and people see of each other, when one of them is a client that nobody here wrote:
//! shared settings, presence and typing, status posts, reading on another device.

use serde_json::json;
use tempfile::tempdir;
use wacore::types::presence::{ChatPresence, ReceiptType};
use waproto::whatsapp::message::extended_text_message::FontType;
use whatsapp_rust::{Jid, types::events::Event};

use crate::{
    support::{Phone, Sim, until},
    witness::{Client, Witness, for_each_client},
};

const CONTACT: &str = "15550200001";
const OTHER: &str = "15550200002";

fn jid(number: &str) -> Jid {
    format!("{number}@s.whatsapp.net").parse().unwrap()
}

/// The client, and a second companion of its account if no name of another one is given.
async fn with_phone(
    client: Client,
    push_name: Option<&str>,
) -> Option<(Sim, tempfile::TempDir, Witness, String, Phone)> {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let mut witness = Witness::start(client, sim.base(), folder.path()).await?;
    let number = witness.pair(async |code| sim.scan(code).await).await;
    // The same name is the same account.
    let own = sim.get(&format!("/contacts/{number}")).await["pushName"].as_str().unwrap().to_owned();
    let phone = Phone::paired(&sim, folder.path(), Some(push_name.unwrap_or(&own))).await;
    Some((sim, folder, witness, number, phone))
}

async fn shares_its_settings(client: Client) {
    let Some((sim, folder, mut witness, number, phone)) = with_phone(client, None).await else { return };
    let path = format!("/accounts/{number}/app-state");
    let is_of = |seen: &Jid, number: &str| seen.user == number;

    phone.client.chat_actions().pin_chat(&jid(CONTACT)).await.unwrap();
    witness.until_fits("setting", |event| event["setting"] == "pin" && event["on"] == true).await;
    witness.order(json!({"do": "set", "name": "mute", "to": CONTACT, "on": true}));
    witness.until("set").await;
    let muted = |event: &Event| match event {
        Event::MuteUpdate(update) if is_of(&update.jid, CONTACT) => update.action.muted,
        _ => None,
    };
    assert!(phone.until(muted).await);
    // One after the other: of two changes at once in one collection a client may give up its own.
    witness.order(json!({"do": "set", "name": "pin", "to": OTHER, "on": true}));
    witness.until("set").await;
    let pinned = |event: &Event| match event {
        Event::PinUpdate(update) if is_of(&update.jid, OTHER) => update.action.pinned,
        _ => None,
    };
    assert!(phone.until(pinned).await);
    phone.client.chat_actions().unpin_chat(&jid(CONTACT)).await.unwrap();
    sim.until(&path, |all| all[3]["version"].as_u64() >= Some(3)).await;
    sim.post(&path, json!({"setting": "archive", "chat": format!("{OTHER}@s.whatsapp.net"), "on": true})).await;
    witness.until_fits("setting", |event| event["setting"] == "archive" && event["on"] == true).await;
    let archived = |event: &Event| match event {
        Event::ArchiveUpdate(update) if is_of(&update.jid, OTHER) => update.action.archived,
        _ => None,
    };
    assert!(phone.until(archived).await);
    let contact = json!({"setting": "contact", "chat": format!("{CONTACT}@s.whatsapp.net"), "name": "Anna A"});
    sim.post(&path, contact).await;
    witness.until_fits("setting", |event| event["setting"] == "contact" && event["text"] == "Anna A").await;
    witness.order(json!({"do": "set", "name": "push_name", "text": "Renamed"}));
    witness.until("set").await;
    sim.until("/accounts", |all| all[0]["pushName"] == "Renamed").await;

    // Whoever comes later gets what is in force.
    let late = Phone::run(
        &sim,
        crate::support::Setup { store: folder.path().join("late.db").to_str().unwrap(), push_name: Some("Renamed") },
    )
    .await;
    late.scan(&sim).await;
    late.connected().await;
    assert!(late.until(muted).await && late.until(archived).await);
    late.until(|event| match event {
        Event::PinUpdate(update) if is_of(&update.jid, OTHER) && update.action.pinned == Some(true) => Some(()),
        _ => None,
    })
    .await;
    let unreadable = &sim.get("/statistics").await["unreadablePatches"];
    assert_eq!(*unreadable, 0);

    // What the client reads, the account's others learn.
    let id = sim.text(CONTACT, "read me", json!({"to": number})).await;
    witness.until_text("read me").await;
    witness.order(json!({"do": "read", "to": CONTACT, "id": id}));
    phone
        .until(|event| match event {
            Event::Receipt(receipt)
                if receipt.message_ids.contains(&id)
                    && matches!(receipt.r#type, ReceiptType::Read | ReceiptType::ReadSelf) =>
            {
                Some(())
            }
            _ => None,
        })
        .await;
    late.shutdown().await;
    phone.shutdown().await;
    sim.stop().await;
}

async fn sees_presence_typing_and_names(client: Client) {
    let Some((sim, _folder, mut witness, number, phone)) = with_phone(client, Some("Anna")).await else { return };
    let anna = phone.client.pn().unwrap().user.to_string();
    let seen = |nth: usize| {
        let phone = &phone;
        async move {
            phone
                .until_nth(nth, |event| match event {
                    Event::Presence(presence) => Some((presence.unavailable, presence.last_seen.is_some())),
                    _ => None,
                })
                .await
        }
    };
    witness.order(json!({"do": "available"}));
    sim.until(&format!("/contacts/{anna}/presence"), |all| {
        all.as_array().unwrap().iter().any(|one| one["from"] == number && one["state"] == "available")
    })
    .await;
    phone.client.presence().subscribe(jid(&number)).await.unwrap();
    assert_eq!(seen(1).await, (false, false));

    phone.client.presence().set_unavailable().await.unwrap();
    witness.order(json!({"do": "subscribe", "to": anna}));
    witness.until_fits("presence", |event| event["unavailable"] == true).await;
    phone.client.presence().set_available().await.unwrap();
    witness.until_fits("presence", |event| event["unavailable"] == false).await;

    witness.order(json!({"do": "typing", "to": anna, "state": "composing"}));
    phone
        .until(|event| match event {
            Event::ChatPresence(update) if update.state == ChatPresence::Composing => Some(()),
            _ => None,
        })
        .await;
    phone.client.chatstate().send_composing(&jid(&number)).await.unwrap();
    witness.until_fits("typing", |event| event["state"] == "composing").await;

    phone.client.profile().set_push_name("Anna B").await.unwrap();
    sim.until(&format!("/contacts/{anna}"), |contact| contact["pushName"] == "Anna B").await;
    let id = phone.send(&format!("{number}@s.whatsapp.net"), "from Anna B").await;
    assert_eq!(witness.until_text("from Anna B").await["pushName"], "Anna B");
    // The client confirms what another client wrote, and names its device.
    sim.until_state(&id, "acknowledged").await;

    // A lost connection is the end of being online.
    witness.order(json!({"do": "disconnect"}));
    witness.until("disconnected").await;
    assert_eq!(seen(2).await, (true, true));
    phone.shutdown().await;
    sim.stop().await;
}

async fn posts_and_reads_status(client: Client) {
    let Some((sim, _folder, mut witness, number, phone)) = with_phone(client, Some("Anna")).await else { return };
    let anna = phone.client.pn().unwrap().user.to_string();
    // One of the clients shows its status to the contacts that it knows by name.
    for (who, name) in [(anna.as_str(), "Anna"), (CONTACT, "Ben")] {
        let contact = json!({"setting": "contact", "chat": format!("{who}@s.whatsapp.net"), "name": name});
        sim.post(&format!("/accounts/{number}/app-state"), contact).await;
        witness.until_fits("setting", |event| event["setting"] == "contact" && event["text"] == name).await;
    }
    for text in ["my day", "my night"] {
        witness.order(json!({"do": "status_post", "text": text, "with": [anna, CONTACT]}));
        let id = witness.until("sent").await["id"].clone();
        let heard = phone.until_heard(text).await;
        assert_eq!((heard.chat.to_string().as_str(), json!(heard.id)), ("status@broadcast", id.clone()));
        let received = sim.until_received(CONTACT, text).await;
        assert_eq!((&received["id"], &received["group"]), (&id, &json!("status@broadcast")));
    }
    let audience = [jid(&number), jid(CONTACT)];
    // It leaves out who has no LID that it knows.
    phone.client.contacts().is_on_whatsapp(&audience).await.unwrap();
    let options = Default::default();
    phone.client.status().send_text("her day", 0xFF1E_6E4F, FontType::SYSTEM, &audience, options).await.unwrap();
    assert_eq!(witness.until_text("her day").await["chat"], "status@broadcast");
    sim.until_received(CONTACT, "her day").await;

    witness.order(json!({"do": "privacy", "name": "last", "state": "none"}));
    witness.until("privacy").await;
    assert_eq!(sim.get(&format!("/contacts/{number}")).await["privacy"]["last"], "none");
    phone.client.presence().subscribe(jid(&number)).await.unwrap();
    let hidden = |event: &Event| match event {
        Event::Presence(presence) => Some((presence.unavailable, presence.last_seen)),
        _ => None,
    };
    let (_, last_seen) = phone.until(hidden).await;
    assert_eq!(last_seen, None);
    phone.shutdown().await;
    sim.stop().await;
}

async fn survives_messages_that_it_cannot_read(client: Client) {
    let Some((sim, _folder, mut witness, number, phone)) = with_phone(client, None).await else { return };
    // Text, a field of the far future, and a text that is no UTF-8.
    let newer = [b"\x0a\x05newer".as_slice(), b"\xfa\xff\x7f\x03abc"].concat();
    let broken = b"\x0a\x04\xff\xfe\xfd\xfc".to_vec();
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    for bytes in [&broken, &newer] {
        let raw = json!({"type": "raw", "base64": BASE64_STANDARD.encode(bytes), "to": number});
        sim.post(&format!("/contacts/{CONTACT}/messages"), raw).await;
    }
    witness.until_text("newer").await;
    phone.until_heard("newer").await;
    let once = json!({"text": "once", "unavailable": "view_once", "to": number});
    let once = sim.post(&format!("/contacts/{CONTACT}/messages"), once).await["id"].clone();
    // The other one says nothing of it, and asks the phone.
    if matches!(client, Client::Whatsmeow) {
        witness.until_fits("undecryptable", |event| event["id"] == once).await;
    }
    phone
        .until(|event| match event {
            Event::UndecryptableMessage(unread) if json!(unread.info.id) == once && unread.is_unavailable => Some(()),
            _ => None,
        })
        .await;
    // By a broadcast list, and from somebody without a number.
    sim.text(CONTACT, "to all of you", json!({"broadcast": "1633027200", "to": number})).await;
    assert_eq!(witness.until_text("to all of you").await["chat"].as_str().unwrap(), "1633027200@broadcast");
    until(|| phone.heard().into_iter().find(|heard| heard.text == "to all of you"), || phone.heard()).await;
    sim.call("PATCH", &format!("/contacts/{OTHER}"), Some(json!({"hidesNumber": true}))).await;
    let lid = sim.get(&format!("/contacts/{OTHER}")).await["lid"].as_str().unwrap().to_owned();
    sim.text(OTHER, "guess who", json!({"to": number})).await;
    assert_eq!(witness.until_text("guess who").await["chat"], format!("{lid}@lid"));
    assert_eq!(phone.until_heard("guess who").await.sender_alt, None);
    witness.order(json!({"do": "send", "to": format!("{lid}@lid"), "text": "a stranger"}));
    witness.until("sent").await;
    sim.until_received(OTHER, "a stranger").await;
    phone.shutdown().await;
    sim.stop().await;
}

for_each_client! {
    shares_its_settings: whatsmeow_shares_its_settings, baileys_shares_its_settings;
    sees_presence_typing_and_names: whatsmeow_sees_presence_typing_and_names, baileys_sees_presence_typing_and_names;
    posts_and_reads_status: whatsmeow_posts_and_reads_status, baileys_posts_and_reads_status;
    survives_messages_that_it_cannot_read:
        whatsmeow_survives_messages_that_it_cannot_read, baileys_survives_messages_that_it_cannot_read;
}
