//! Replies show what they answer, mentions reach everybody who is meant, and a number reaches its account in every form.

use crate::expect::{text, webhook};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_test_harness::{Stack, stack::SOON};
use serde_json::{Value, json};

const CONTACT: &str = "6281234567890";
const ANI: &str = "6281234567891";

/// Whether the message that a contact got holds a text, in whatever field.
fn holds(read: &Value, text: &str) -> bool {
    let raw = BASE64_STANDARD.decode(read["raw"].as_str().unwrap()).unwrap();
    raw.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_by_id_or_by_object_holds_author_and_content() {
    let stack = Stack::start().await;
    let asked = stack.simulator.contact_writes(CONTACT, "how much is it").await;
    let request = webhook(&stack.receiver, "the question", |body| text(body) == "how much is it").await;
    let data = request.json()["data"].clone();
    let waha = format!("false_{CONTACT}@c.us_{asked}");
    let baileys = json!({"key": {"id": asked, "fromMe": false}, "message": {"conversation": "how much is it"}});
    for quoted in [json!(asked), json!(waha), data, baileys] {
        let body = json!({"to": CONTACT, "message": "ten", "quoted": quoted});
        let (status, answer) = stack.api.post("/api/whatsapp/send-message", body).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["messageId"].clone();
        let read = stack.simulator.contact_receives(CONTACT, "the answer", SOON, |m| m["id"] == id).await;
        assert_eq!(read["quoted"], json!(asked), "{quoted}");
        assert!(holds(&read, "how much is it") && read["quotedAuthor"].is_string(), "{quoted}: {read}");
    }
    // A file keeps the quote.
    let file =
        json!({"to": CONTACT, "base64": BASE64_STANDARD.encode("%PDF-1.4"), "fileName": "a.pdf", "quoted": asked});
    let (status, answer) = stack.api.post("/api/whatsapp/send-document", file).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["messageId"].clone();
    let read = stack.simulator.contact_receives(CONTACT, "the file", SOON, |m| m["id"] == id).await;
    assert!(read["quoted"] == json!(asked) && holds(&read, "how much is it"), "{read}");
    // One's own message has oneself as its author.
    let (_, sent) = stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "as I said"})).await;
    webhook(&stack.receiver, "what was said", |body| text(body) == "as I said").await;
    let again = json!({"to": CONTACT, "message": "again", "quoted": sent["messageId"]});
    let (_, answer) = stack.api.post("/api/whatsapp/send-message", again).await;
    let id = answer["messageId"].clone();
    let read = stack.simulator.contact_receives(CONTACT, "the reply", SOON, |m| m["id"] == id).await;
    let author = read["quotedAuthor"].as_str().unwrap();
    assert!(holds(&read, "as I said") && !author.is_empty() && !author.starts_with(CONTACT), "{read}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_group_are_mentioned_and_only_there() {
    let stack = Stack::start().await;
    let group = stack.simulator.post("/groups", json!({"subject": "Team", "participants": [CONTACT, ANI]})).await;
    let body = json!({"to": group["id"], "message": "lunch", "options": {"mentions": ["all"]}});
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", body).await;
    assert_eq!(status, 200, "{answer}");
    let read = stack.simulator.contact_receives(CONTACT, "the call", SOON, |m| m["text"] == "lunch").await;
    let mentions = read["mentions"].as_array().unwrap();
    assert!(mentions.len() >= 2 && mentions.iter().all(|one| one != "all"), "{read}");
    let body = json!({"to": CONTACT, "message": "lunch", "options": {"mentions": ["all"]}});
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", body).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_mentions")));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_reaches_its_account_in_every_form_and_the_answer_says_where_it_went() {
    let stack = Stack::start().await;
    for (written, account) in [
        ("+55 31 98765-4321", "553187654321"),
        ("553187654321", "553187654321"),
        ("+52 55 1234 5678", "5215512345678"),
        ("+54 11 1234-5678", "5491112345678"),
    ] {
        let body = json!({"to": written, "message": written});
        let (status, answer) = stack.api.post("/api/whatsapp/send-message", body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["to"], format!("{account}@s.whatsapp.net"), "{written}");
        let id = answer["messageId"].clone();
        stack.simulator.contact_receives(account, "the text", SOON, |m| m["id"] == id).await;
        let is_its = |body: &Value| body["event"] == "message.sent" && body["data"]["messageId"] == id;
        let request = webhook(&stack.receiver, "its event", is_its).await;
        assert_eq!(request.json()["data"]["to"], format!("{account}@s.whatsapp.net"));
    }
    stack.finish().await;
}
