//! Events about other messages: reactions, edits, deletions, votes, acknowledgements, undecryptable messages.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_test_harness::until;
use serde_json::{Value, json};

const ANI: &str = "6281230000002";
const CICI: &str = "6281230000003";

#[tokio::test]
async fn reactions_edits_and_deletions_name_their_message() {
    let world = World::connected(&[]).await;
    let account = world.account().await;
    let own = format!("{account}@s.whatsapp.net");
    for addressing in ["pn", "lid"] {
        let text = world.simulator.contact_sends(BUDI, json!({"text": "first", "addressing": addressing})).await;
        let say = async |message: Value| {
            let mut message = message;
            message["addressing"] = json!(addressing);
            world.simulator.contact_sends(BUDI, message).await
        };
        let reaction = say(json!({"type": "reaction", "target": text, "targetAuthor": BUDI, "text": "👍"})).await;
        let data = world.data("message.reaction", |data| data["reactionId"] == reaction.as_str()).await;
        assert_eq!((&data["messageId"], &data["emoji"]), (&json!(text), &json!("👍")));
        assert_eq!((&data["messageAuthor"]["jid"], &data["author"]["jid"]), (&json!(BUDI_JID), &json!(BUDI_JID)));
        assert_eq!(
            (&data["chat"]["jid"], &data["fromMe"], &data["session"]),
            (&json!(BUDI_JID), &json!(false), &json!("default"))
        );

        let other = say(json!({"type": "reaction", "target": "3EB0", "text": ""})).await;
        let data = world.data("message.reaction", |data| data["reactionId"] == other.as_str()).await;
        assert_eq!((&data["emoji"], &data["messageAuthor"]["jid"]), (&json!(""), &json!(own)));

        let edit = say(json!({"type": "edit", "target": text, "text": "second"})).await;
        let data = world.data("message.edited", |data| data["editId"] == edit.as_str()).await;
        assert_eq!((&data["messageId"], &data["content"]), (&json!(text), &json!({"text": "second"})));

        // In the format of newer apps.
        let edit = say(json!({"type": "edit", "target": text, "text": "third", "encrypted": true})).await;
        let data = world.data("message.edited", |data| data["editId"] == edit.as_str()).await;
        assert_eq!((&data["messageId"], &data["content"]), (&json!(text), &json!({"text": "third"})));

        let revoke = say(json!({"type": "revoke", "target": text})).await;
        let data = world.data("message.revoked", |data| data["revokeId"] == revoke.as_str()).await;
        assert_eq!((&data["messageId"], &data["byAdmin"]), (&json!(text), &json!(false)));
    }
    let kinds = world.events_of("message.received").await;
    assert_eq!(kinds.len(), 2, "none of these is a message of its own");
    world.finish().await;
}

#[tokio::test]
async fn an_administrator_deletes_what_another_wrote() {
    let world = World::connected(&[]).await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [BUDI, ANI]})).await;
    let text = world.simulator.contact_sends(ANI, json!({"text": "rude", "group": group["id"]})).await;
    let revoke = json!({"type": "revoke", "target": text, "targetAuthor": ANI, "group": group["id"]});
    world.simulator.contact_sends(BUDI, revoke).await;
    let data = world.data("message.revoked", |data| data["messageId"] == text.as_str()).await;
    assert_eq!((&data["byAdmin"], &data["participant"]), (&json!(true), &json!(BUDI_JID)));
    assert_eq!(data["messageAuthor"]["jid"], format!("{ANI}@s.whatsapp.net"));
    assert_eq!(data["chat"]["jid"], group["id"]);
    world.finish().await;
}

#[tokio::test]
async fn what_the_phone_does_is_told_as_well() {
    let world = World::connected(&[]).await;
    let account = world.account().await;
    let (own, chat) = (format!("{account}@s.whatsapp.net"), BUDI_JID);
    for addressing in ["pn", "lid"] {
        let sent = json!({"text": "from the phone", "to": BUDI, "addressing": addressing});
        let sent = world.simulator.contact_sends(&account, sent).await;
        let event = world.event("message.sent", |data| data["messageId"] == sent.as_str()).await;
        let data = &event.body["data"];
        assert_eq!((&data["to"], &data["fromDevice"], &data["fromMe"]), (&json!(chat), &json!(true), &json!(true)));
        assert_eq!((&data["content"], &data["author"]["jid"]), (&json!({"text": "from the phone"}), &json!(own)));
        assert_eq!((&data["chat"]["jid"], &data["participant"]), (&json!(chat), &Value::Null));
        let timestamp = data["timestamp"].as_str().expect("ISO 8601");
        assert!(timestamp.ends_with("Z") && timestamp.len() == 24, "{timestamp}");
    }
    let text = world.simulator.contact_writes(BUDI, "hello").await;
    let reaction = json!({"type": "reaction", "target": text, "text": "🙏", "to": BUDI});
    world.simulator.contact_sends(&account, reaction).await;
    let data = world.data("message.reaction", |data| data["messageId"] == text.as_str()).await;
    assert_eq!((&data["fromMe"], &data["messageAuthor"]["jid"]), (&json!(true), &json!(chat)));
    world.finish().await;
}

#[tokio::test]
async fn a_vote_is_read_also_after_a_restart() {
    let mut world = World::connected(&[]).await;
    let account = world.account().await;
    let poll = json!({"type": "poll", "name": "Lunch?", "options": ["Rice", "Soup"], "to": BUDI});
    let poll = world.simulator.contact_sends(&account, poll).await;
    world.event("message.sent", |data| data["messageId"] == poll.as_str()).await;
    let vote = json!({"type": "vote", "target": poll, "options": ["Soup"], "addressing": "lid"});
    let vote = world.simulator.contact_sends(BUDI, vote).await;
    let data = world.data("poll.vote", |data| data["voteId"] == vote.as_str()).await;
    assert_eq!((&data["messageId"], &data["pollName"]), (&json!(poll), &json!("Lunch?")));
    assert_eq!((&data["selectedOptions"], &data["author"]["jid"]), (&json!(["Soup"]), &json!(BUDI_JID)));

    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    let vote = world
        .simulator
        .contact_sends(BUDI, json!({"type": "vote", "target": poll, "options": [], "addressing": "pn"}))
        .await;
    let data = world.data("poll.vote", |data| data["voteId"] == vote.as_str()).await;
    assert_eq!(data["selectedOptions"], json!([]), "taken back");
    world.finish().await;
}

#[tokio::test]
async fn a_sent_message_is_acknowledged_step_by_step() {
    let world = World::connected(&[]).await;
    world.simulator.patch(&format!("/contacts/{BUDI}"), json!({"receipts": "manual"})).await;
    let id = world.send(BUDI, "hello").await.expect("sent").message_id;
    world.data("message.ack", |data| data["messageId"] == id.as_str() && data["status"] == "server").await;
    for status in ["delivered", "read", "played"] {
        until("Budi to have it", SOON, || async {
            let received = world.simulator.received_by(BUDI).await;
            if received.iter().any(|message| message["id"] == id.as_str()) { Ok(()) } else { Err(received) }
        })
        .await;
        world.simulator.post(&format!("/contacts/{BUDI}/receipts"), json!({"id": id, "type": status})).await;
        let data = world.data("message.ack", |data| data["messageId"] == id.as_str() && data["status"] == status).await;
        assert_eq!((&data["chat"]["jid"], &data["author"]["jid"]), (&json!(BUDI_JID), &json!(BUDI_JID)));
        assert_eq!(data["fromMe"], false);
    }
    let acks = world.events_of("message.ack").await;
    let told: Vec<_> = acks.iter().map(|ack| ack.body["data"]["status"].as_str()).collect();
    assert_eq!(told, [Some("server"), Some("delivered"), Some("read"), Some("played")]);
    world.finish().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_of_once_it_is_certain() {
    let world = World::connected(&[("WHATSAPP_UNDECRYPTABLE_AFTER", "5s")]).await;
    world.simulator.contact_writes(BUDI, "before").await;
    world.event("message.received", |data| data["content"]["text"] == "before").await;
    let damage = |contact: &str, times: u32| json!({"kind": "corrupt", "times": times, "match": {"direction": "toClient", "stanza": "message", "contact": contact}});
    // This message comes again and is decrypted then.
    world.simulator.post("/faults", damage(BUDI, 1)).await;
    world.simulator.contact_writes(BUDI, "damaged once").await;
    world.event("message.received", |data| data["content"]["text"] == "damaged once").await;
    // This message is damaged each time, and the account's phone has it.
    world.simulator.post("/faults", damage(CICI, 100)).await;
    world.simulator.contact_writes(CICI, "only the phone can read it").await;
    world.event("message.received", |data| data["content"]["text"] == "only the phone can read it").await;
    // This one is damaged each time as well, and the phone is off.
    world.simulator.post("/admin/mock-phone/power", json!({"number": world.account().await, "on": false})).await;
    world.simulator.post("/faults", damage(ANI, 100)).await;
    let lost = world.simulator.contact_writes(ANI, "always damaged").await;
    let data = world.data("message.undecryptable", |data| data["messageId"] == lost.as_str()).await;
    assert_eq!((&data["reason"], &data["hidden"]), (&json!("not_sent_again"), &json!(false)));
    assert_eq!(data["chat"]["jid"], format!("{ANI}@s.whatsapp.net"));
    assert_eq!(world.events_of("message.undecryptable").await.len(), 1, "the others were read");
    world.finish().await;
}
