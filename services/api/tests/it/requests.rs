//! What callers write in requests, on every route alike: addresses and ids of every format, times, options, names of fields,
//! keys, and bodies as Express took them.

use crate::{
    api::{Api, KEY, answer, store_messages},
    stand_in::{Gateway, connected},
};
use kurir_contract::{clock, command::Command};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";

fn replies(command: Command, arguments: &Value) -> Option<Value> {
    Some(match command {
        Command::Status => connected(),
        Command::SubmitJob => json!({"ok": record(arguments)}),
        send if send.is_send() => json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}}),
        _ => json!({"error": {"code": "internal", "message": "the test does not go on from here"}}),
    })
}

fn record(job: &Value) -> Value {
    let total = job["items"].as_array().map_or(0, Vec::len);
    json!({"id": job["id"], "name": job["name"], "session": "default", "state": "scheduled", "total": total, "sent": 0,
        "failed": 0, "createdAt": job["createdAt"], "updatedAt": job["createdAt"], "sendAt": job["sendAt"], "until": null,
        "reason": null, "failures": [], "request": "x"})
}

fn in_an_hour() -> String {
    clock::iso(OffsetDateTime::now_utc() + Duration::hours(1))
}

/// A request of each route that sends, without `to`.
fn sends() -> Vec<(&'static str, Value)> {
    let file = json!({"base64": "iVBORw0KGgo=", "mimetype": "image/png"});
    let text = json!({"messageType": "text", "content": {"text": "x"}});
    vec![
        ("send-message", json!({"message": "x"})),
        ("send-location", json!({"latitude": 1, "longitude": 2})),
        ("send-contact", json!({"displayName": "Ani", "phoneNumber": BUDI})),
        ("send-poll", json!({"name": "?", "options": ["a", "b"]})),
        ("send-reaction", json!({"messageId": "3EB0", "emoji": "x"})),
        ("edit-message", json!({"messageId": "3EB0", "message": "x"})),
        ("revoke-message", json!({"messageId": "3EB0"})),
        ("forward-message", json!({"message": text})),
        ("send-media", json!({"mediaType": "image", "base64": "iVBORw0KGgo=", "mimetype": "image/png"})),
        ("send-image", file.clone()),
        ("send-document", file),
    ]
}

fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body["to"] = json!(BUDI);
    match field.strip_prefix("options.") {
        Some(option) => body["options"][option] = value,
        None => body[field] = value,
    }
    body
}

#[tokio::test]
async fn later_is_later_wherever_it_stands_and_nonsense_is_refused() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let at = in_an_hour();
    let mut kept = 0;
    for (route, body) in sends() {
        let path = format!("/api/whatsapp/{route}");
        for field in ["sendAt", "options.sendAt"] {
            if field != "sendAt" && body["options"].is_array() {
                continue;
            }
            let (status, answer) = api.post(&path, &with(&body, field, json!(at))).await;
            assert_eq!(
                (status, &answer["status"], &answer["until"]),
                (202, &json!("queued"), &json!(at)),
                "{route} {field}"
            );
            kept += 1;
            for nonsense in [json!("+1h"), json!("tomorrow"), json!(7), json!("2020-01-01T00:00:00Z")] {
                let (status, answer) = api.post(&path, &with(&body, field, nonsense.clone())).await;
                assert_eq!((status, &answer["code"]), (400, &json!("invalid_send_at")), "{route} {field} {nonsense}");
            }
        }
        for (field, misspelt) in [("send_at", "send_at"), ("SendAt", "SendAt"), ("scheduledAt", "scheduledAt")] {
            let (status, answer) = api.post(&path, &with(&body, field, json!(at))).await;
            assert_eq!((status, &answer["code"]), (400, &json!("unknown_field")), "{route} {misspelt}: {answer}");
            assert!(answer["message"].as_str().is_some_and(|text| text.contains(misspelt) && text.contains("sendAt")));
        }
    }
    let commands = gateway.commands();
    assert!(commands.iter().all(|(command, _)| *command == Command::SubmitJob), "nothing was sent at once");
    assert_eq!(commands.len(), kept);
}

#[tokio::test]
async fn later_is_later_in_bulk_and_in_jobs() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let (at, one) = (in_an_hour(), json!({"to": BUDI, "message": "x"}));
    for body in [
        json!({"messages": [with(&one, "sendAt", json!(at))]}),
        json!({"messages": [with(&one, "options.sendAt", json!(at))]}),
        json!({"messages": [one], "sendAt": at}),
        json!({"messages": [one], "options": {"sendAt": at}}),
    ] {
        let (status, answer) = api.post("/api/whatsapp/send-bulk", &body).await;
        let result = &answer["results"][0];
        assert_eq!((status, &result["status"], &result["until"]), (200, &json!("queued"), &json!(at)), "{answer}");
    }
    for body in [
        json!({"messages": [one, with(&one, "sendAt", json!("+1h"))]}),
        json!({"messages": [one, with(&one, "options.sendAt", json!("+1h"))]}),
        json!({"messages": [one], "sendAt": "+1h"}),
    ] {
        for route in ["send-bulk", "jobs"] {
            let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
            assert_eq!((status, &answer["code"]), (400, &json!("invalid_send_at")), "{route} {body}: {answer}");
        }
    }
    let place =
        json!({"command": "send-location", "to": BUDI, "latitude": 1, "longitude": 2, "options": {"sendAt": at}});
    let (status, answer) = api.post("/api/whatsapp/jobs", &json!({"messages": [place, one]})).await;
    assert_eq!(status, 202, "{answer}");
    let sends = &answer["data"]["messages"];
    assert_eq!(
        (&sends[0]["sendAt"], &sends[1]["sendAt"]),
        (&Value::Null, &json!(at)),
        "the one that waits is the last"
    );
    let (command, job) = gateway.commands().pop().expect("a job");
    assert_eq!((command, &job["items"][1]["sendAt"]), (Command::SubmitJob, &json!(at)));
    assert_eq!((&job["items"][1]["command"], &job["items"][0]["sendAt"]), (&json!("send-location"), &Value::Null));
}

#[tokio::test]
async fn an_address_of_every_format_is_taken_on_every_route() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let forms = [
        json!("+62 812-3456-7890"),
        json!("6281234567890@c.us"),
        json!("6281234567890:12@s.whatsapp.net"),
        json!("6281234567890@S.WHATSAPP.NET"),
        json!("006281234567890"),
        json!(6_281_234_567_890_u64),
        json!({"jid": BUDI_JID, "lid": null}),
    ];
    let mut routes = sends();
    routes.extend([
        ("typing", json!({"state": "composing"})),
        ("mark-read", json!({"messageIds": ["3EB0"]})),
        ("subscribe-presence", json!({})),
    ]);
    for form in &forms {
        for (route, body) in &routes {
            let mut body = body.clone();
            body["to"] = form.clone();
            let before = gateway.commands().len();
            api.post(&format!("/api/whatsapp/{route}"), &body).await;
            let commands = gateway.commands();
            assert_eq!(commands.len(), before + 1, "{route} {form}");
            assert_eq!(commands[before].1["to"], BUDI_JID, "{route} {form}");
        }
        for (route, field) in [("check-number", "number"), ("block", "number"), ("calls/x/reject", "from")] {
            api.post(&format!("/api/whatsapp/{route}"), &json!({field: form})).await;
            let (_, said) = gateway.commands().pop().expect("a command");
            assert_eq!(said[field], BUDI_JID, "{route} {form}");
        }
        let job = json!({"messages": [{"to": form, "message": "x"}]});
        api.post("/api/whatsapp/jobs", &job).await;
        let (_, said) = gateway.commands().pop().expect("a job");
        assert_eq!(said["items"][0]["arguments"]["to"], BUDI_JID, "{form}");
    }
}

#[tokio::test]
async fn a_number_that_is_not_clear_is_refused_everywhere_with_what_was_understood() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for (to, understood) in [
        ("6281234567890.0", "62812345678900"),
        ("6281234567890 (Budi 2)", "62812345678902"),
        ("+62812-3456-789O", "628123456789"),
        ("+49 (0)151 23456789", "49015123456789"),
        ("12345", "12345"),
    ] {
        for (route, body) in sends() {
            let mut body = body.clone();
            body["to"] = json!(to);
            let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
            assert_eq!((status, &answer["code"]), (400, &json!("invalid_recipient")), "{route} {to}");
            assert!(answer.to_string().contains(understood), "{route} {to}: {answer}");
        }
        for route in ["send-bulk", "jobs"] {
            let body = json!({"messages": [{"to": BUDI, "message": "x"}, {"to": to, "message": "x"}]});
            let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
            assert_eq!((status, &answer["code"]), (400, &json!("invalid_recipient")), "{route} {to}");
            assert!(answer.to_string().contains(understood), "{route} {to}: {answer}");
        }
    }
    assert_eq!(gateway.commands(), []);
}

#[tokio::test]
async fn a_message_is_named_as_any_format_prints_it() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0FF"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let waha = "false_6281234567890@c.us_3EB0FF";
    let in_group = format!("false_{GROUP}_3EB0FF_6281234567890@c.us");
    let key = json!({"key": {"id": "3EB0FF", "remoteJid": GROUP, "fromMe": false, "participant": BUDI_JID}});
    for (route, body, field, expected) in [
        ("send-message", json!({"to": BUDI, "message": "x", "options": {"quoted": waha}}), "quoted", json!("3EB0FF")),
        ("send-message", json!({"to": BUDI, "message": "x", "quoted": {"id": waha}}), "quoted", json!("3EB0FF")),
        (
            "send-message",
            json!({"to": GROUP, "message": "x", "quoted": in_group}),
            "quotedParticipant",
            json!(BUDI_JID),
        ),
        ("send-message", json!({"to": GROUP, "message": "x", "quoted": key}), "quotedParticipant", json!(BUDI_JID)),
        (
            "send-message",
            json!({"to": BUDI, "message": "x", "quoted": "", "options": {"mentions": ""}}),
            "quoted",
            Value::Null,
        ),
        (
            "send-location",
            json!({"to": BUDI, "latitude": 1, "longitude": 2, "quoted": waha}),
            "quoted",
            json!("3EB0FF"),
        ),
        (
            "send-image",
            json!({"to": BUDI, "base64": "iVBORw0KGgo=", "mimetype": "image/png", "quoted": waha}),
            "quoted",
            json!("3EB0FF"),
        ),
        ("send-reaction", json!({"to": BUDI, "messageId": waha, "emoji": "x"}), "messageId", json!("3EB0FF")),
        ("send-reaction", json!({"to": GROUP, "messageId": in_group, "emoji": "x"}), "participant", json!(BUDI_JID)),
        ("send-reaction", json!({"to": GROUP, "messageId": key, "emoji": "x"}), "participant", json!(BUDI_JID)),
        (
            "send-reaction",
            json!({"to": BUDI, "messageId": "true_6281234567890@c.us_3EB0FF", "emoji": "x"}),
            "fromMe",
            json!(true),
        ),
        (
            "edit-message",
            json!({"to": BUDI, "messageId": "true_6281234567890@c.us_3EB0FF", "message": "x"}),
            "messageId",
            json!("3EB0FF"),
        ),
        ("revoke-message", json!({"to": GROUP, "messageId": in_group}), "participant", json!(BUDI_JID)),
        ("mark-read", json!({"to": GROUP, "messageIds": [in_group]}), "participant", json!(BUDI_JID)),
        ("mark-read", json!({"to": BUDI, "messageIds": [waha]}), "messageIds", json!(["3EB0FF"])),
    ] {
        api.post(&format!("/api/whatsapp/{route}"), &body).await;
        let (_, said) = gateway.commands().pop().expect("a command");
        assert_eq!(said[field], expected, "{route} {body}: {said}");
    }
    let before = gateway.commands().len();
    for (route, body) in [
        ("send-reaction", json!({"to": "6281234567891", "messageId": waha, "emoji": "x"})),
        ("send-reaction", json!({"to": BUDI, "messageId": "6281234567890@c.us_3EB0FF", "emoji": "x"})),
        ("edit-message", json!({"to": BUDI, "messageId": waha, "message": "x"})),
        ("revoke-message", json!({"to": BUDI, "messageId": waha})),
        ("mark-read", json!({"to": "6281234567891", "messageIds": [waha]})),
        ("send-message", json!({"to": BUDI, "message": "x", "quoted": "false_6281234567890@c.us"})),
    ] {
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!(status, 400, "{route} {body}: {answer}");
    }
    assert_eq!(gateway.commands().len(), before);
}

#[tokio::test]
async fn an_unknown_field_is_refused_but_on_the_contracts_routes() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for (route, body) in sends() {
        let is_contract = matches!(route, "send-message" | "send-media");
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &with(&body, "delayed", json!(1))).await;
        assert_eq!(status, if is_contract { 200 } else { 400 }, "{route}: {answer}");
        if !is_contract {
            assert_eq!(
                (&answer["code"], &answer["problems"][0]["field"]),
                (&json!("unknown_field"), &json!("delayed"))
            );
        }
    }
    assert_eq!(gateway.commands().len(), 2);
    for (route, body) in [
        ("typing", json!({"to": BUDI, "state": "composing", "duration": 5})),
        ("check-number", json!({"number": BUDI, "phone": BUDI})),
        ("groups", json!({"subject": "x", "participant": [BUDI]})),
        ("jobs", json!({"messages": [{"to": BUDI, "message": "x"}], "sendat": in_an_hour()})),
        ("jobs", json!({"messages": [{"to": BUDI, "message": "x", "delay": 5}]})),
    ] {
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("unknown_field")), "{route} {body}");
    }
    let bulk = json!({"messages": [{"to": BUDI, "message": "x", "delay": 5}], "delay": 5});
    assert_eq!(api.post("/api/whatsapp/send-bulk", &bulk).await.0, 200);
}

#[tokio::test]
async fn a_body_that_express_took_is_taken() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let json = format!(r#"{{"to":"{BUDI}","message":"x"}}"#);
    let packed = {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(json.as_bytes()).expect("memory");
        packer.finish().expect("memory")
    };
    let large = format!(r#"{{"to":"{BUDI}","message":"x","unused":"{}"}}"#, "y".repeat(9 << 20));
    let form = format!("to=%2B{BUDI}&message=x");
    for (content_type, encoding, body) in [
        ("application/json", "", json.clone().into_bytes()),
        ("application/json", "gzip", packed),
        ("application/json", "", [b"\xef\xbb\xbf", json.as_bytes()].concat()),
        ("application/x-www-form-urlencoded", "", form.into_bytes()),
        ("application/json", "", large.into_bytes()),
    ] {
        let request = api.request(Method::POST, "/api/whatsapp/send-message").header("X-API-Key", KEY);
        let request = request.header("Content-Type", content_type);
        let request = if encoding.is_empty() { request } else { request.header("Content-Encoding", encoding) };
        let (status, answer) = answer(request.body(body)).await;
        assert_eq!(status, 200, "{content_type} {encoding}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        assert_eq!((&said["to"], &said["text"]), (&json!(BUDI_JID), &json!("x")));
    }
    let request = api.request(Method::POST, "/api/whatsapp/send-message").header("X-API-Key", KEY);
    let (status, _) = answer(request.header("Content-Encoding", "br").body("x")).await;
    assert_eq!(status, 415);
    // A bomb ends at the bound.
    let bomb = {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b' '; 64 << 20]).expect("memory");
        packer.finish().expect("memory")
    };
    let request = api.request(Method::POST, "/api/whatsapp/send-message").header("X-API-Key", KEY);
    let (status, _) = answer(request.header("Content-Encoding", "gzip").body(bomb)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_key_may_come_as_a_bearer_token() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for (authorization, status) in [
        (format!("Bearer {KEY}"), 200),
        (format!("bearer {KEY}"), 200),
        (format!("Bearer  {KEY} "), 200),
        ("Bearer wrong".to_owned(), 401),
        (format!("Basic {KEY}"), 401),
        (KEY.to_owned(), 401),
        ("Bearer ".to_owned(), 401),
    ] {
        let request = api.request(Method::GET, "/api/webhook/status").header("Authorization", &authorization);
        assert_eq!(answer(request).await.0, status, "{authorization}");
    }
    // A proxy's own login beside the key does no harm.
    let request = api.request(Method::GET, "/api/webhook/status").header("Authorization", "Basic eDp5");
    assert_eq!(answer(request.header("X-API-Key", KEY)).await.0, 200);
}

#[tokio::test]
async fn what_refers_to_a_message_that_nobody_knows_is_refused() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for (route, body) in [
        ("send-reaction", json!({"to": BUDI, "messageId": "3EB1", "emoji": "x"})),
        ("edit-message", json!({"to": BUDI, "messageId": "3EB1", "message": "x"})),
        ("revoke-message", json!({"to": BUDI, "messageId": "3EB1"})),
        ("send-location", json!({"to": BUDI, "latitude": 1, "longitude": 2, "quoted": "3EB1"})),
        ("send-image", json!({"to": BUDI, "base64": "iVBORw0KGgo=", "mimetype": "image/png", "quoted": "3EB1"})),
    ] {
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!((status, &answer["code"]), (404, &json!("message_not_found")), "{route}: {answer}");
    }
    assert_eq!(gateway.commands(), []);
    // A reply with what it quotes needs no event, and the contract's route never did.
    let quoted = json!({"messageId": "3EB1", "messageType": "text", "content": {"text": "hi"}});
    for (route, body) in [
        ("send-location", json!({"to": BUDI, "latitude": 1, "longitude": 2, "quoted": quoted})),
        ("send-message", json!({"to": BUDI, "message": "x", "quoted": "3EB1"})),
    ] {
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!(status, 200, "{route}: {answer}");
    }
}
