//! What is remembered of polls, also over a restart.

use super::*;
use buffa::MessageField;
use waproto::whatsapp::{
    MessageContextInfo,
    message::{FutureProofMessage, PollCreationMessage},
};

fn poll(name: &str) -> Message {
    let poll = PollCreationMessage { name: Some(name.to_owned()), ..Default::default() };
    let context = MessageContextInfo { message_secret: Some(vec![1; 32]), ..Default::default() };
    Message {
        poll_creation_message: MessageField::some(poll),
        message_context_info: MessageField::some(context),
        ..Message::default()
    }
}

fn chat() -> ChatJid {
    ChatJid::from_whatsapp("628@s.whatsapp.net")
}

#[test]
fn polls_survive_a_restart_and_a_line_that_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("polls.jsonl");
    let polls = PollStore::open(&file);
    polls.add_message(&chat(), "A", &poll("Lunch?"));
    polls.add_message(&chat(), "A", &poll("forged"));
    polls.add_message(&chat(), "B", &Message { conversation: Some("no poll".to_owned()), ..Message::default() });
    let mut cut = std::fs::read(&file).unwrap();
    cut.extend_from_slice(br#"{"chat":"628@s.wha"#);
    std::fs::write(&file, cut).unwrap();
    let again = PollStore::open(&file);
    assert_eq!(again.get(&chat(), "A").map(|poll| poll.name.clone()), Some("Lunch?".to_owned()));
    assert_eq!(again.get(&chat(), "B"), None);
    again.add_message(&chat(), "C", &poll("Dinner?"));
    assert!(PollStore::open(&file).get(&chat(), "C").is_some(), "the line after the cut one");
    again.clear();
    assert_eq!(again.get(&chat(), "A"), None);
}

#[test]
fn the_oldest_is_forgotten() {
    let polls = PollStore::default();
    for n in 0..=KEPT {
        polls.add_message(&chat(), &n.to_string(), &poll("?"));
    }
    assert_eq!(polls.get(&chat(), "0"), None);
    assert!(polls.get(&chat(), "1").is_some() && polls.get(&chat(), &KEPT.to_string()).is_some());
}

#[test]
fn large_polls_take_no_more_than_their_share() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("polls.jsonl");
    let polls = PollStore::open(&file);
    polls.add_message(&chat(), "joke", &poll(&"x".repeat(1_200_000)));
    assert_eq!(polls.get(&chat(), "joke"), None);
    for n in 0..600 {
        polls.add_message(&chat(), &n.to_string(), &poll(&"x".repeat(LARGEST_POLL - 1_000)));
        let bytes = std::fs::metadata(&file).unwrap().len() as usize;
        assert!(polls.lock().bytes <= KEPT_BYTES && bytes <= 3 * KEPT_BYTES, "{bytes} bytes");
    }
    assert!(polls.get(&chat(), "0").is_none() && polls.get(&chat(), "599").is_some());
}

#[test]
fn a_poll_in_an_envelope_is_one() {
    let inner = MessageField::some(FutureProofMessage { message: MessageField::some(poll("Lunch?")) });
    let polls = PollStore::default();
    polls.add_message(&chat(), "A", &Message { ephemeral_message: inner, ..Message::default() });
    assert!(polls.get(&chat(), "A").is_some());
}
