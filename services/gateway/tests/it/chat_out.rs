//! Commands in chats besides sending content. Their events are the same as if the phone had acted.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command, CommandErrorCode, EmptyBody, ForwardedContent, MarkRead, SendEdit, SendForward, SendPoll,
        SendReaction, SendRevoke, SendText, SentMessage,
    },
};
use serde_json::{Value, json};

const ANI: &str = "6281230000002";

fn to(address: &str) -> ChatJid {
    address.parse().expect("a recipient")
}

fn poll(chat: &str, key: Option<&str>) -> SendPoll {
    SendPoll {
        to: to(chat),
        name: "Lunch?".to_owned(),
        options: vec!["Rice".to_owned(), "Soup".to_owned()],
        selectable: 1,
        idempotency_key: key.map(|key| key.parse().expect("a key")),
    }
}

fn reaction(chat: &str, message_id: &str, participant: Option<&str>) -> SendReaction {
    SendReaction {
        to: to(chat),
        message_id: message_id.to_owned(),
        emoji: "👍".to_owned(),
        from_me: false,
        participant: participant.map(to),
        idempotency_key: None,
    }
}

async fn group(world: &World, members: &[&str]) -> String {
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": members})).await;
    group["id"].as_str().expect("an id").to_owned()
}

/// The message that a contact received under the id of a send.
async fn arrives(world: &World, contact: &str, sent: &SentMessage) -> Value {
    world.simulator.contact_receives(contact, "the send", SOON, |got| got["id"] == sent.message_id.as_str()).await
}

#[tokio::test]
async fn a_vote_on_an_own_poll_is_read_also_after_a_restart() {
    let mut world = World::connected(&[]).await;
    let group = group(&world, &[BUDI, ANI]).await;
    let mut polls = Vec::new();
    for chat in [BUDI, &group] {
        let sent: SentMessage = world.ask(Command::SendPoll, poll(chat, None)).await.expect("sent");
        let got = arrives(&world, BUDI, &sent).await;
        assert_eq!((&got["type"], &got["text"]), (&json!("poll"), &json!("Lunch?")), "{got}");
        assert_eq!((&got["options"], &got["selectable"]), (&json!(["Rice", "Soup"]), &json!(1)), "{got}");
        polls.push((sent.message_id, (chat == group).then_some(&group)));
    }
    for chosen in ["Soup", "Rice"] {
        for (id, group) in &polls {
            let vote = json!({"type": "vote", "target": id, "options": [chosen], "group": group, "addressing": "lid"});
            let vote = world.simulator.contact_sends(BUDI, vote).await;
            let data = world.data("poll.vote", |data| data["voteId"] == vote.as_str()).await;
            assert_eq!((&data["messageId"], &data["pollName"]), (&json!(id), &json!("Lunch?")));
            assert_eq!((&data["selectedOptions"], &data["author"]["jid"]), (&json!([chosen]), &json!(BUDI_JID)));
        }
        world.gateway.kill_9().await;
        world.gateway.start_again();
        world.gateway.wait_ready(SOON).await;
        world.is("connected").await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_poll_that_goes_out_again_under_its_key_keeps_its_secret() {
    let world = World::connected(&[("WHATSAPP_SEND_TIMEOUT", "1s"), ("WHATSAPP_SEND_PAUSES", "100ms")]).await;
    let lost = json!({"kind": "lose", "times": 2, "match": {"direction": "fromClient", "stanza": "message"}});
    world.simulator.post("/faults", lost).await;
    let refused =
        world.ask::<SentMessage>(Command::SendPoll, poll(BUDI, Some("lunch"))).await.expect_err("both are lost");
    assert_eq!(refused.code, CommandErrorCode::TimedOut);
    let sent: SentMessage = world.ask(Command::SendPoll, poll(BUDI, Some("lunch"))).await.expect("sent");
    arrives(&world, BUDI, &sent).await;
    let vote = json!({"type": "vote", "target": sent.message_id, "options": ["Rice"]});
    world.simulator.contact_sends(BUDI, vote).await;
    let data = world.data("poll.vote", |data| data["messageId"] == sent.message_id.as_str()).await;
    assert_eq!(data["selectedOptions"], json!(["Rice"]));
    world.finish().await;
}

#[tokio::test]
async fn a_change_is_one_message_over_all_tries_and_once_for_its_key() {
    let world = World::connected(&[("WHATSAPP_SEND_TIMEOUT", "3s"), ("WHATSAPP_SEND_PAUSES", "100ms,100ms")]).await;
    let text = world.send(BUDI, "first").await.expect("sent");
    let edit = SendEdit {
        to: to(BUDI),
        message_id: text.message_id.clone(),
        text: "second".to_owned(),
        idempotency_key: Some("edit-1".parse().expect("a key")),
    };
    for fault in [json!({"kind": "swallow-ack", "times": 1}), json!({"kind": "nack", "code": 500, "times": 1})] {
        let mut fault = fault;
        fault["match"] = json!({"direction": "fromClient", "stanza": "message"});
        world.simulator.post("/faults", fault).await;
    }
    let sent: SentMessage = world.ask(Command::SendEdit, edit.clone()).await.expect("the third try goes through");
    let again: SentMessage = world.ask(Command::SendEdit, edit.clone()).await.expect("answered");
    assert_eq!((sent.attempt, &again), (3, &sent));
    let got = arrives(&world, BUDI, &sent).await;
    assert_eq!(
        (&got["type"], &got["target"], &got["text"]),
        (&json!("edit"), &json!(text.message_id), &json!("second"))
    );
    let told = world.data("message.edited", |data| data["editId"] == sent.message_id.as_str()).await;
    assert_eq!((&told["messageId"], &told["content"]), (&json!(text.message_id), &json!({"text": "second"})));
    let other = SendEdit { text: "third".to_owned(), ..edit };
    let refused = world.ask::<SentMessage>(Command::SendEdit, other).await.expect_err("another edit");
    assert_eq!(refused.code, CommandErrorCode::Conflict);

    let nacks = json!({"kind": "nack", "code": 479, "times": 3, "match": {"direction": "fromClient", "contact": BUDI}});
    world.simulator.post("/faults", nacks).await;
    let refused =
        world.ask::<SentMessage>(Command::SendReaction, reaction(BUDI, "3EB0", None)).await.expect_err("nacks");
    assert_eq!((refused.code, refused.whatsapp_code), (CommandErrorCode::RefusedByWhatsapp, Some(479)));
    world.event("error.occurred", |data| data["context"]["attempts"] == 3).await;
    assert_eq!(world.events_of("message.edited").await.len(), 1);
    assert_eq!(world.events_of("message.reaction").await.len(), 0);
    world.finish().await;
}

#[tokio::test]
async fn each_command_has_the_event_that_the_phone_s_own_would_be() {
    let world = World::connected(&[]).await;
    let group = group(&world, &[BUDI, ANI]).await;
    let asked = world.simulator.contact_writes(BUDI, "when?").await;
    let in_group = world.simulator.contact_sends(BUDI, json!({"text": "rude", "group": group})).await;
    let mut names = vec![(asked.clone(), "<asked>".to_owned()), (in_group.clone(), "<in group>".to_owned())];
    names.push((group.clone(), "<group>".to_owned()));
    let own = world.send(BUDI, "first").await.expect("sent").message_id;
    names.push((own.clone(), "<own>".to_owned()));
    let mention = SendText {
        quoted: Some(in_group.clone()),
        quoted_participant: Some(to(BUDI)),
        mentions: vec![to(BUDI)],
        ..SendText::new(to(&group), format!("@{BUDI} no"))
    };
    let edit = SendEdit { to: to(BUDI), message_id: own.clone(), text: "second".to_owned(), idempotency_key: None };
    let revoke = SendRevoke { to: to(BUDI), message_id: own.clone(), participant: None, idempotency_key: None };
    let by_admin =
        SendRevoke { to: to(&group), message_id: in_group.clone(), participant: Some(to(BUDI)), idempotency_key: None };
    let taken_back = SendReaction { emoji: String::new(), from_me: true, ..reaction(&group, &own, None) };
    let forward = SendForward {
        to: to(BUDI),
        message: ForwardedContent::Text { text: "when?".to_owned() },
        media: None,
        forwarding_score: 4,
        idempotency_key: None,
    };
    let mut told = serde_json::Map::new();
    for (name, command, body, event, id) in [
        ("poll", Command::SendPoll, json(poll(BUDI, None)), "message.sent", "messageId"),
        ("reaction", Command::SendReaction, json(reaction(BUDI, &asked, None)), "message.reaction", "reactionId"),
        (
            "reaction in a group",
            Command::SendReaction,
            json(reaction(&group, &in_group, Some(BUDI))),
            "message.reaction",
            "reactionId",
        ),
        ("reaction taken back", Command::SendReaction, json(taken_back), "message.reaction", "reactionId"),
        ("edit", Command::SendEdit, json(edit), "message.edited", "editId"),
        ("revoke", Command::SendRevoke, json(revoke), "message.revoked", "revokeId"),
        ("revoke by an administrator", Command::SendRevoke, json(by_admin), "message.revoked", "revokeId"),
        ("forward", Command::SendForward, json(forward), "message.sent", "messageId"),
        ("reply with a mention", Command::SendText, json(mention), "message.sent", "messageId"),
    ] {
        let sent: SentMessage = world.ask(command, body).await.unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        let got = arrives(&world, BUDI, &sent).await;
        let event = world.event(event, |data| data[id] == sent.message_id.as_str()).await;
        names.push((sent.message_id, format!("<{name}>")));
        told.insert(name.to_owned(), json!({"event": stable(&event.body, &names), "arrived": arrived(&got, &names)}));
    }
    insta::assert_json_snapshot!("chat_out", told);
    world.finish().await;
}

#[tokio::test]
async fn a_group_is_told_of_a_writer_by_his_lid() {
    let world = World::connected(&[]).await;
    let group = group(&world, &[BUDI, ANI]).await;
    let text = world.simulator.contact_sends(BUDI, json!({"text": "hi", "group": group})).await;
    world.data("message.received", |data| data["messageId"] == text.as_str()).await;
    let lid = world.simulator.get(&format!("/contacts/{BUDI}")).await["lid"].as_str().expect("a LID").to_owned();
    let sent: SentMessage = world.ask(Command::SendReaction, reaction(&group, &text, Some(BUDI))).await.expect("sent");
    let got = arrives(&world, ANI, &sent).await;
    assert_eq!((&got["target"], &got["targetAuthor"]), (&json!(text), &json!(format!("{lid}@lid"))), "{got}");
    let read = MarkRead { to: to(&group), message_ids: vec![text.clone()], participant: Some(to(BUDI)) };
    let EmptyBody {} = world.ask(Command::MarkRead, read).await.expect("done");
    let receipts = format!("/contacts/{BUDI}/receipts");
    kurir_test_harness::until("Budi to see that it was read", SOON, || async {
        let got = world.simulator.get(&receipts).await;
        let found = got.as_array().is_some_and(|all| all.iter().any(|one| one["id"] == text && one["type"] == "read"));
        if found { Ok(()) } else { Err(got) }
    })
    .await;
    world.finish().await;
}

/// The event without the fields that differ from run to run.
fn stable(body: &Value, names: &[(String, String)]) -> Value {
    let mut text = body.to_string();
    for (id, name) in names {
        text = text.replace(id.as_str(), name);
    }
    let mut body: Value = serde_json::from_str(&text).expect("JSON");
    body["timestamp"] = json!("<time>");
    body["data"]["timestamp"] = json!("<time>");
    body["data"]["eventId"] = json!("<event>");
    body
}

/// The received message without the fields that differ from run to run.
fn arrived(got: &Value, names: &[(String, String)]) -> Value {
    let mut got = stable(&json!({"data": got}), names)["data"].take();
    if let Some(fields) = got.as_object_mut() {
        for unstable in ["raw", "timestamp", "eventId"] {
            fields.remove(unstable);
        }
    }
    got
}

fn json(request: impl serde::Serialize) -> Value {
    serde_json::to_value(request).expect("a command is JSON")
}
