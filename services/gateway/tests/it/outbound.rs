//! A text to WhatsApp: the send ends with the server's acknowledgement, and each try has the same id.

use crate::world::{SOON, World};
use kurir_contract::{
    command::{Command, CommandErrorCode, EmptyBody, SendText, SentMessage, SessionInfo},
    session::SessionId,
    subject,
};
use serde_json::json;
use std::time::{Duration, Instant};

const ANI: &str = "6281230000009";
const ANI_JID: &str = "6281230000009@s.whatsapp.net";
/// Shorter than the defaults.
const QUICK: [(&str, &str); 2] = [("WHATSAPP_SEND_TIMEOUT", "3s"), ("WHATSAPP_SEND_PAUSES", "200ms,400ms")];

#[tokio::test]
async fn a_text_reaches_the_contact_and_its_event_follows() {
    let world = World::connected(&[]).await;
    let sent = world.send(ANI, "selamat pagi").await.expect("sent");
    assert_eq!((sent.to.as_str(), sent.attempt), (ANI_JID, 1));
    let got =
        world.simulator.contact_receives(ANI, "the text", SOON, |got| got["id"] == sent.message_id.as_str()).await;
    assert_eq!((&got["text"], &got["copies"]), (&json!("selamat pagi"), &json!(1)));
    let event = world.event("message.sent", |data| data["messageId"] == sent.message_id.as_str()).await;
    let data = &event.body["data"];
    let own = world.status().await;
    assert_eq!(data["chat"]["pn"], ANI_JID);
    assert!(data["chat"]["lid"].as_str().is_some_and(|lid| lid.ends_with("@lid")), "{data}");
    assert_eq!(
        *data,
        json!({
            "messageId": sent.message_id,
            "to": ANI_JID,
            "from": ANI_JID,
            "messageType": "text",
            "content": {"text": "selamat pagi"},
            "timestamp": data["timestamp"],
            "fromDevice": false,
            "reply": null,
            "mentions": [],
            "mentioned": [],
            "mentionsAll": false,
            "related": null,
            "context": {"ad": null, "channel": null},
            "forwarded": false,
            "forwardingScore": 0,
            "viewOnce": false,
            "expiresAfter": null,
            "linkPreview": null,
            "media": null,
            "chat": {"jid": ANI_JID, "pn": ANI_JID, "lid": data["chat"]["lid"]},
            "author": {"jid": own.jid, "pn": own.jid, "lid": own.lid},
            "participant": null,
            "fromMe": true,
            "session": "default",
            "eventId": event.id,
        })
    );
    world.finish().await;
}

#[tokio::test]
async fn a_reply_names_the_message_that_it_answers() {
    let world = World::connected(&[]).await;
    let asked = world.simulator.contact_writes(ANI, "kapan?").await;
    world.event("message.received", |data| data["messageId"] == asked.as_str()).await;
    let request = SendText { quoted: Some(asked.clone()), ..SendText::new(ANI.parse().expect("a number"), "besok") };
    let sent: SentMessage = world.ask(Command::SendText, request).await.expect("sent");
    let got =
        world.simulator.contact_receives(ANI, "the reply", SOON, |got| got["id"] == sent.message_id.as_str()).await;
    assert_eq!((&got["text"], &got["quoted"]), (&json!("besok"), &json!(asked)), "{got}");
    world.finish().await;
}

#[tokio::test]
async fn a_text_reaches_a_group() {
    let world = World::connected(&[]).await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [ANI]})).await;
    let group = group["id"].as_str().expect("an id");
    let sent = world.send(group, "semua").await.expect("sent");
    assert_eq!(sent.to.as_str(), group);
    world.simulator.contact_receives(ANI, "the text", SOON, |got| got["text"] == "semua").await;
    world.finish().await;
}

#[tokio::test]
async fn a_swallowed_acknowledgement_means_another_try_under_the_same_id() {
    let world = World::connected(&QUICK).await;
    let fault = json!({"kind": "swallow-ack", "match": {"direction": "fromClient", "contact": ANI}, "times": 1});
    world.simulator.post("/faults", fault).await;
    let sent = world.send(ANI, "sekali").await.expect("sent");
    assert_eq!(sent.attempt, 2);
    let got = world.simulator.contact_receives(ANI, "both copies", SOON, |got| got["copies"] == 2).await;
    assert_eq!(got["id"], sent.message_id.as_str());
    assert_eq!(world.simulator.received_by(ANI).await.len(), 1);
    assert_eq!(world.events_of("error.occurred").await.len(), 0);
    world.finish().await;
}

#[tokio::test]
async fn three_swallowed_acknowledgements_are_a_timeout() {
    let world = World::connected(&[("WHATSAPP_SEND_TIMEOUT", "1s"), ("WHATSAPP_SEND_PAUSES", "100ms,200ms")]).await;
    let fault = json!({"kind": "swallow-ack", "match": {"direction": "fromClient", "contact": ANI}});
    world.simulator.post("/faults", fault).await;
    let refused = world.send(ANI, "hilang").await.expect_err("no acknowledgement comes");
    assert_eq!(refused.code, CommandErrorCode::TimedOut);
    assert_eq!(refused.message, "Message send timeout after multiple attempts. Please check your connection.");
    let event = world.event("error.occurred", |_| true).await;
    assert_eq!(event.body["data"]["errorType"], "message.send.failed");
    assert_eq!(event.body["data"]["context"], json!({"jid": ANI_JID, "attempts": 3}));
    world.finish().await;
}

#[tokio::test]
async fn a_nack_is_a_failed_try_and_the_last_one_is_the_answer() {
    let world = World::connected(&QUICK).await;
    let nack = |times: u32| json!({"kind": "nack", "code": 479, "times": times, "match": {"direction": "fromClient", "contact": ANI}});
    world.simulator.post("/faults", nack(2)).await;
    let sent = world.send(ANI, "akhirnya").await.expect("the third try goes through");
    assert_eq!(sent.attempt, 3);
    world.simulator.post("/faults", nack(3)).await;
    let refused = world.send(ANI, "tidak").await.expect_err("three nacks");
    assert_eq!((refused.code, refused.whatsapp_code), (CommandErrorCode::RefusedByWhatsapp, Some(479)));
    assert_eq!(refused.message, "WhatsApp refused the message");
    let event = world.event("error.occurred", |_| true).await;
    assert_eq!(event.body["data"]["context"], json!({"jid": ANI_JID, "attempts": 3}));
    world.finish().await;
}

#[tokio::test]
async fn nobody_is_written_to_who_is_not_on_whatsapp() {
    let world = World::connected(&QUICK).await;
    world.simulator.patch(&format!("/contacts/{ANI}"), json!({"registered": false})).await;
    let refused = world.send(ANI, "halo").await.expect_err("nobody is there");
    assert_eq!(refused.code, CommandErrorCode::NotOnWhatsapp);
    world.simulator.patch(&format!("/contacts/{ANI}"), json!({"registered": true})).await;
    world.send(ANI, "halo").await.expect("he has joined");
    world.finish().await;
}

#[tokio::test]
async fn a_session_that_is_not_paired_refuses_at_once() {
    let world = World::unpaired(&[]).await;
    world.qr(None).await;
    let begun = Instant::now();
    let refused = world.send(ANI, "halo").await.expect_err("nobody is paired");
    assert_eq!((refused.code, refused.message.as_str()), (CommandErrorCode::NotConnected, "WhatsApp is not connected"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    world.finish().await;
}

#[tokio::test]
async fn a_send_waits_for_a_connection_that_comes_back() {
    let world = World::connected(&[]).await;
    world.simulator.post("/connections/drop", json!({})).await;
    world.send(ANI, "tetap sampai").await.expect("sent after the reconnect");
    world.simulator.contact_receives(ANI, "the text", SOON, |got| got["text"] == "tetap sampai").await;
    world.finish().await;
}

#[tokio::test]
async fn a_slow_chat_holds_up_its_own_messages_and_nothing_else() {
    let world = World::connected(&[]).await;
    let fault =
        json!({"kind": "delay", "delayMs": 4000, "times": 1, "match": {"direction": "fromClient", "contact": ANI}});
    world.simulator.post("/faults", fault).await;
    let begun = Instant::now();
    let slow = async {
        let answers = tokio::join!(world.send(ANI, "1"), world.send(ANI, "2"), world.send(ANI, "3"));
        for answer in [answers.0, answers.1, answers.2] {
            answer.expect("sent");
        }
    };
    let others = async {
        world.send("6281230000010", "cepat").await.expect("sent");
        world.status().await;
        begun.elapsed()
    };
    let ((), took) = tokio::join!(slow, others);
    assert!(took < Duration::from_secs(4), "the other chat took {took:?}");
    let texts: Vec<_> = world.simulator.received_by(ANI).await.iter().map(|got| got["text"].clone()).collect();
    assert_eq!(texts, ["1", "2", "3"]);
    world.finish().await;
}

#[tokio::test]
async fn messages_to_different_chats_go_a_gap_apart() {
    let world = World::connected(&[("SEND_GAP", "1s"), ("SEND_JITTER", "0s")]).await;
    let begun = Instant::now();
    let (first, second, third) =
        tokio::join!(world.send(ANI, "1"), world.send("6281230000010", "2"), world.send("6281230000011", "3"));
    for sent in [first, second, third] {
        sent.expect("sent");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2), "three messages took {took:?}");
    world.finish().await;
}

#[tokio::test]
async fn a_malformed_command_is_refused_with_what_was_wrong() {
    let world = World::connected(&[]).await;
    let session = SessionId::default();
    let send = subject::command(&session, Command::SendText);
    for (subject, body) in [
        (send.clone(), "no JSON"),
        (send.clone(), r#"{"text": "nobody"}"#),
        (send.clone(), r#"{"to": "6281230000009@s.whatsapp.net", "text": "  "}"#),
        (subject::command(&session, Command::Status), "[1]"),
        (subject::command(&session, Command::PairingCode), "{}"),
        ("whatsapp.commands.default.dance".to_owned(), "{}"),
    ] {
        let refused = world.ask_raw::<SessionInfo>(subject.clone(), body.into()).await.expect_err("malformed");
        assert_eq!(refused.code, CommandErrorCode::InvalidRequest, "{subject} {body}: {refused:?}");
    }
    let long = SendText::new(ANI.parse().expect("a number"), "x".repeat(4097));
    let refused = world.ask::<SentMessage>(Command::SendText, long).await.expect_err("too long");
    assert_eq!(refused.message, "Message is too long (max 4096 characters)");
    world.ask::<SessionInfo>(Command::Status, EmptyBody {}).await.expect("it goes on");
    world.finish().await;
}
