//! Groups, people and calls, from a user's request to WhatsApp and back as events.

use crate::expect::webhook;
use kurir_test_harness::{Stack, stack::SOON};
use reqwest::Method;
use serde_json::{Value, json};

const BUDI: &str = "6281234567890";
const ANI: &str = "6281234567891";
const ANI_JID: &str = "6281234567891@s.whatsapp.net";

async fn ask(stack: &Stack, method: Method, path: &str, body: Value) -> Value {
    let path = format!("/api/whatsapp{path}");
    let (status, answer) = stack.api.call(method, &path, body).await;
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    assert_eq!(answer["success"], true, "{path}: {answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_changed_written_to_and_left() {
    let stack = Stack::start().await;
    let made = ask(&stack, Method::POST, "/groups", json!({"subject": "Team", "participants": [BUDI]})).await;
    assert_eq!(made["participants"][0]["ok"], true);
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    let group = format!("/groups/{id}");

    let added = ask(&stack, Method::POST, &format!("{group}/participants"), json!({"participants": [ANI, BUDI]})).await;
    let codes: Vec<_> =
        added["data"]["participants"].as_array().unwrap().iter().map(|one| &one["whatsappCode"]).collect();
    assert_eq!(codes, [&Value::Null, &json!(409)]);
    let told = webhook(&stack.receiver, "the new member", |body| body["event"] == "group.participants").await.json();
    assert_eq!((&told["data"]["action"], &told["data"]["participants"][0]["jid"]), (&json!("add"), &json!(ANI_JID)));
    ask(&stack, Method::POST, "/send-message", json!({"to": id, "message": "welcome"})).await;
    stack.simulator.contact_receives(ANI, "the welcome", SOON, |message| message["text"] == "welcome").await;

    ask(&stack, Method::POST, &format!("{group}/admins"), json!({"participants": [ANI]})).await;
    let changed = ask(&stack, Method::PATCH, &group, json!({"subject": "Crew", "announcement": true})).await;
    assert_eq!((&changed["data"]["subject"], &changed["data"]["announcement"]), (&json!("Crew"), &json!(true)));
    let ani = changed["data"]["participants"].as_array().unwrap().iter().find(|one| one["jid"] == ANI_JID).unwrap();
    assert_eq!((&ani["admin"], &ani["pn"]), (&json!("admin"), &json!(ANI_JID)));
    let listed = ask(&stack, Method::GET, "/groups", json!({})).await;
    assert_eq!((&listed["data"][0]["subject"], &listed["data"][0]["size"]), (&json!("Crew"), &json!(3)));

    let old = ask(&stack, Method::GET, &format!("{group}/invite"), json!({})).await["data"]["link"].clone();
    let new = ask(&stack, Method::DELETE, &format!("{group}/invite"), json!({})).await["data"]["code"].clone();
    ask(&stack, Method::POST, &format!("{group}/leave"), json!({})).await;
    let (status, answer) = stack.api.get(&format!("/api/whatsapp{group}")).await;
    assert_eq!((status, &answer["code"]), (404, &json!("group_not_found")));
    let (status, answer) = stack.api.post("/api/whatsapp/groups/join", json!({"link": old})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("invite_not_found")));
    assert_eq!(ask(&stack, Method::POST, "/groups/join", json!({"code": new})).await["data"]["id"], json!(id));
    // Come back as a member like any other.
    let (status, answer) =
        stack.api.call(Method::PATCH, &format!("/api/whatsapp{group}"), json!({"locked": true})).await;
    assert_eq!((status, &answer["whatsappCode"]), (502, &json!(403)), "{answer}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_shown_and_blocked_and_the_own_picture_is_set() {
    let stack = Stack::start().await;
    stack.simulator.post(&format!("/contacts/{ANI}/profile"), json!({"about": "busy", "picture": true})).await;
    let shown = ask(&stack, Method::GET, &format!("/contacts/{ANI}"), json!({})).await["data"].clone();
    assert_eq!((&shown["jid"], &shown["about"]), (&json!(ANI_JID), &json!("busy")));
    let picture = ask(&stack, Method::GET, &format!("/contacts/{ANI}/picture"), json!({})).await["data"].clone();
    assert_eq!(picture, shown["picture"]);
    let (status, answer) = stack.api.get(&format!("/api/whatsapp/contacts/{BUDI}/picture")).await;
    assert_eq!((status, &answer["code"]), (404, &json!("picture_not_found")));

    ask(&stack, Method::POST, "/block", json!({"number": ANI})).await;
    assert_eq!(ask(&stack, Method::GET, "/blocklist", json!({})).await["data"][0]["jid"], ANI_JID);
    ask(&stack, Method::POST, "/unblock", json!({"number": ANI})).await;
    assert_eq!(ask(&stack, Method::GET, "/blocklist", json!({})).await["data"], json!([]));

    let set = ask(&stack, Method::PUT, "/profile/picture", json!({"picture": "/9j/4AcH"})).await;
    let account = stack.simulator.get("/accounts").await[0]["number"].as_str().unwrap().to_owned();
    let contact = format!("/contacts/{account}");
    assert_eq!(stack.simulator.get(&contact).await["picture"], set["data"]["id"]);
    ask(&stack, Method::DELETE, "/profile/picture", json!({})).await;
    assert_eq!(stack.simulator.get(&contact).await["picture"], Value::Null);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_turned_down() {
    let stack = Stack::start().await;
    let calls = format!("/contacts/{ANI}/calls");
    stack.simulator.post(&calls, json!({"video": true})).await;
    let rings = webhook(&stack.receiver, "the call", |body| body["event"] == "call.received").await.json();
    let (id, from) = (rings["data"]["callId"].as_str().unwrap(), &rings["data"]["author"]["jid"]);
    ask(&stack, Method::POST, &format!("/calls/{id}/reject"), json!({"from": from})).await;
    let ended = webhook(&stack.receiver, "its end", |body| body["event"] == "call.ended").await.json();
    assert_eq!((&ended["data"]["callId"], &ended["data"]["reason"]), (&json!(id), &json!("rejected")));
    kurir_test_harness::until("the caller to see it", SOON, || async {
        let seen = stack.simulator.get(&calls).await;
        if seen[0]["state"] == "rejected" { Ok(()) } else { Err(seen) }
    })
    .await;
    let (status, answer) = stack.api.post(&format!("/api/whatsapp/calls/{id}/reject"), json!({"from": from})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("call_not_found")));
    stack.finish().await;
}
