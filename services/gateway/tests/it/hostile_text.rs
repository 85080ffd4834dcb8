//! Texts of users on their way through WhatsApp's encoder: whatever they look like, they stay texts and the connection
//! stays.

use crate::world::{BUDI, SOON, World};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command, CommandErrorCode, EmptyBody, MarkRead, SendContact, SendLocation, SendPoll, SendText, SentMessage,
        group::{ChangeGroup, CreateGroup, GroupCreated, GroupDetails, GroupJoined, JoinGroup},
    },
};
use kurir_test_harness::until;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

/// What an encoder may take for something else than text.
const PIECES: [&str; 22] = [
    "@",
    "@",
    "@",
    ".",
    ":",
    "_",
    "-",
    "0",
    "17",
    "255",
    "6281230000001",
    "s.whatsapp.net",
    "g.us",
    "lid",
    "hosted",
    "newsletter",
    "A",
    "ü",
    "😀",
    "\0",
    " ",
    "admin",
];

/// A text that is not blank.
fn text(random: &mut StdRng) -> String {
    loop {
        let pieces = random.random_range(1..7);
        let text: String = (0..pieces).map(|_| PIECES[random.random_range(0..PIECES.len())]).collect();
        if !text.trim().is_empty() {
            return text;
        }
    }
}

fn jid(text: &str) -> ChatJid {
    text.parse().expect("an address")
}

/// How many connections the simulator has accepted.
async fn connections(world: &World) -> Value {
    world.simulator.get("/statistics").await["connectionsAccepted"].clone()
}

async fn group_at_whatsapp(world: &World, id: &ChatJid) -> Value {
    let groups = world.simulator.get("/groups").await;
    let groups = groups.as_array().cloned().unwrap_or_default();
    groups.into_iter().find(|group| group["id"] == id.as_str()).expect("the group is there")
}

#[tokio::test]
async fn every_text_of_a_group_reaches_whatsapp_as_it_was_written() {
    let world = World::connected(&[]).await;
    let before = connections(&world).await;
    let mut random = StdRng::seed_from_u64(15);
    let first = ["me@home", "@", "a@s.whatsapp.net", "1:5@lid", "x@g.us\0y"].map(str::to_owned);
    let texts: Vec<String> = first.into_iter().chain((0..20).map(|_| text(&mut random))).collect();
    for text in &texts {
        let subject = text.trim().to_owned();
        let request = CreateGroup { subject: text.clone(), participants: vec![jid(BUDI)] };
        let made: GroupCreated = world.ask(Command::CreateGroup, request).await.expect("a group");
        assert_eq!(made.group.subject, subject);
        let id = made.group.id;
        assert_eq!(group_at_whatsapp(&world, &id).await["subject"], subject);
        let description = format!("{text}{text}");
        let change = ChangeGroup {
            group: id.clone(),
            subject: Some(text.chars().rev().collect()),
            description: Some(description.clone()),
            announcement: None,
            locked: None,
        };
        let changed: GroupDetails = world.ask(Command::ChangeGroup, change).await.expect("changed");
        let shown = group_at_whatsapp(&world, &id).await;
        assert_eq!(shown["subject"], text.chars().rev().collect::<String>().trim());
        assert_eq!(shown["description"], description.trim());
        assert_eq!(changed.description.as_deref(), Some(description.trim()));
        // A second one names the first.
        let again = ChangeGroup {
            group: id.clone(),
            subject: None,
            description: Some(format!("@{text}")),
            announcement: None,
            locked: None,
        };
        let _: GroupDetails = world.ask(Command::ChangeGroup, again).await.expect("changed again");
        let code = format!("{text}@");
        let joined = world.ask::<GroupJoined>(Command::JoinGroup, JoinGroup { code }).await;
        assert_eq!(joined.expect_err("no such invitation").code, CommandErrorCode::InviteNotFound, "{text:?}");
    }
    assert_eq!(connections(&world).await, before, "the connection was lost");
    world.finish().await;
}

#[tokio::test]
async fn every_text_of_a_chat_reaches_the_contact_as_it_was_written() {
    let world = World::connected(&[]).await;
    let before = connections(&world).await;
    let mut random = StdRng::seed_from_u64(22);
    for _ in 0..20 {
        let mut text = || text(&mut random);
        let (said, id, name) = (text(), text(), text());
        let mut quoting = SendText::new(jid(BUDI), said.clone());
        quoting.quoted = Some(id.clone());
        let sent: SentMessage = world.ask(Command::SendText, quoting).await.expect("sent");
        let got = got(&world, &sent).await;
        assert_eq!(got["text"], said.as_str());
        let ids = vec![id.clone(), format!("{id}@"), name.clone()];
        let read = MarkRead { to: jid(BUDI), message_ids: ids.clone(), participant: None };
        let _: EmptyBody = world.ask(Command::MarkRead, read).await.expect("told");
        until("the receipts", SOON, || async {
            let receipts = world.simulator.get(&format!("/contacts/{BUDI}/receipts")).await;
            let receipts = receipts.as_array().cloned().unwrap_or_default();
            let read = |id: &str| receipts.iter().any(|receipt| receipt["id"] == id && receipt["type"] == "read");
            if ids.iter().all(|id| read(id)) { Ok(()) } else { Err(receipts) }
        })
        .await;
        let poll = SendPoll {
            to: jid(BUDI),
            name: name.clone(),
            options: vec![said.clone(), format!("{said}!")],
            selectable: 1,
            idempotency_key: None,
        };
        // Two options that are alike once they are trimmed are refused.
        if let Ok(sent) = world.ask::<SentMessage>(Command::SendPoll, poll).await {
            self::got(&world, &sent).await;
        }
        let place = SendLocation {
            to: jid(BUDI),
            latitude: 1.0,
            longitude: 2.0,
            name: name.clone(),
            address: said.clone(),
            quoted: Some(id.clone()),
            quote: None,
            idempotency_key: Some("k@s.whatsapp.net".parse().unwrap_or_else(|_| "k".parse().expect("a key"))),
        };
        let _ = world.ask::<SentMessage>(Command::SendLocation, place).await;
        let card = SendContact {
            to: jid(BUDI),
            display_name: name.clone(),
            vcard: format!("BEGIN:VCARD\nVERSION:3.0\nFN:{said}\nEND:VCARD"),
            quoted: None,
            quote: None,
            idempotency_key: None,
        };
        let _ = world.ask::<SentMessage>(Command::SendContact, card).await;
        let reaction: Value = json!({"to": BUDI, "messageId": id, "emoji": said});
        let _ = world.ask::<SentMessage>(Command::SendReaction, reaction).await;
        let edit: Value = json!({"to": BUDI, "messageId": id, "text": said});
        let _ = world.ask::<SentMessage>(Command::SendEdit, edit).await;
        let revoke: Value = json!({"to": BUDI, "messageId": id});
        let _ = world.ask::<SentMessage>(Command::SendRevoke, revoke).await;
        let reject: Value = json!({"call": id, "from": BUDI});
        let _ = world.ask::<Value>(Command::RejectCall, reject).await;
    }
    assert_eq!(connections(&world).await, before, "the connection was lost");
    world.finish().await;
}

#[tokio::test]
async fn an_account_whose_name_has_an_at_sign_stays_connected() {
    let mut world = World::connected(&[("WHATSAPP_PUSH_NAME", "me@home"), ("WHATSAPP_MARK_ONLINE", "true")]).await;
    world.gateway.restart().await;
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    let before = connections(&world).await;
    let sent = world.send(BUDI, "hello").await.expect("sent");
    got(&world, &sent).await;
    assert_eq!(connections(&world).await, before, "the connection was lost");
    world.finish().await;
}

async fn got(world: &World, sent: &SentMessage) -> Value {
    world.simulator.contact_receives(BUDI, "a message", SOON, |got| got["id"] == sent.message_id.as_str()).await
}
