//! What WhatsApp refuses or passes over is refused and passed over here, and what only an app would notice is listed.

use serde_json::{Value, json};
use tempfile::tempdir;
use wacore::download::MediaType;
use wacore_binary::{Node, builder::NodeBuilder};
use waproto::whatsapp::{
    ContextInfo, Message,
    message::{AudioMessage, ExtendedTextMessage, ImageMessage},
};
use whatsapp_rust::{Jid, request::IqError};

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";
const BEN: &str = "15550200002";

fn jid(number: &str) -> Jid {
    format!("{number}@s.whatsapp.net").parse().unwrap()
}

fn enc(kind: &'static str) -> Node {
    NodeBuilder::new("enc").attr("v", "2").attr("type", kind).bytes(vec![1, 2, 3]).build()
}

fn for_device(jid: &Jid, children: Vec<Node>) -> Node {
    let to = NodeBuilder::new("to").attr("jid", jid.clone());
    if children.is_empty() { to.build() } else { to.children(children).build() }
}

fn participants(devices: Vec<Node>) -> Node {
    NodeBuilder::new("participants").children(devices).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_whatsapp_refuses_is_refused_with_400() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let anna = jid(ANNA);
    let lid: Jid =
        format!("{}@lid", sim.get(&format!("/contacts/{ANNA}")).await["lid"].as_str().unwrap()).parse().unwrap();
    let identity = || NodeBuilder::new("device-identity").bytes(vec![1]).build();
    let untyped = NodeBuilder::new("enc").attr("v", "2").bytes(vec![1]).build();
    let hollow = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").build();
    let table: Vec<(&str, &Jid, Vec<Node>)> = vec![
        ("nothing", &anna, vec![]),
        ("no-enc", &anna, vec![participants(vec![for_device(&anna, vec![])])]),
        ("other-namespace", &anna, vec![participants(vec![for_device(&lid, vec![enc("msg")])])]),
        ("number-in-lid-chat", &lid, vec![participants(vec![for_device(&anna, vec![enc("msg")])])]),
        (
            "both-namespaces",
            &anna,
            vec![participants(vec![for_device(&anna, vec![enc("msg")]), for_device(&lid, vec![enc("msg")])])],
        ),
        ("unproved", &anna, vec![participants(vec![for_device(&anna, vec![enc("pkmsg")])])]),
        ("unproved-again", &anna, vec![enc("pkmsg")]),
        ("unknown-kind", &anna, vec![participants(vec![for_device(&anna, vec![enc("horoscope")])]), identity()]),
        ("without-kind", &anna, vec![participants(vec![for_device(&anna, vec![untyped])])]),
        ("empty-enc", &anna, vec![participants(vec![for_device(&anna, vec![hollow])])]),
    ];
    for (id, to, children) in table {
        let message = NodeBuilder::new("message").attr("id", id).attr("to", to.clone()).attr("type", "text");
        let message = if children.is_empty() { message.build() } else { message.children(children).build() };
        phone.client.send_node(message).await.unwrap();
        assert_eq!(phone.until_acked(id).await.as_deref(), Some("400"), "{id}");
    }
    assert_eq!(sim.get(&format!("/contacts/{ANNA}/messages")).await, json!([]));
    // What the client itself writes is accepted.
    let id = phone.send(&anna.to_string(), "well formed").await;
    assert_eq!(phone.until_acked(&id).await, None);
    sim.until_received(ANNA, "well formed").await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_without_the_senders_device_acknowledges_nothing() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let ann = Phone::paired(&sim, folder.path(), Some("Ann")).await;
    let bob = Phone::paired(&sim, folder.path(), Some("Bob")).await;
    let number = bob.client.pn().unwrap().user.to_string();
    let writer = ann.client.pn().unwrap().user.to_string();
    let pattern = json!({"direction": "fromClient", "stanza": "receipt", "account": number, "contact": writer});
    let lost = json!({"kind": "lose", "match": pattern});
    sim.post("/faults", lost).await;
    let id = ann.send(&jid(&number).to_string(), "who confirms?").await;
    let sender = bob.until_heard("who confirms?").await.sender;
    assert_ne!(sender.device, 0);
    sim.until("/faults", |faults| faults[0]["met"].as_u64() >= Some(1)).await;
    assert_eq!(sim.call("DELETE", "/faults", None).await.0, 204);

    let state = async || {
        let lines = sim.get(&format!("/messages?id={id}&to={number}")).await;
        lines[0]["state"].as_str().unwrap().to_owned()
    };
    let confirm = |to: Jid| NodeBuilder::new("receipt").attr("id", id.as_str()).attr("to", to).build();
    bob.client.send_node(confirm(sender.to_non_ad())).await.unwrap();
    sim.until("/statistics", |statistics| statistics["receiptsWithoutDevice"] == 1).await;
    assert_eq!(state().await, "sent");
    bob.client.send_node(confirm(sender)).await.unwrap();
    sim.until(&format!("/messages?id={id}&to={number}"), |lines| lines[0]["state"] == "acknowledged").await;
    ann.shutdown().await;
    bob.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_part_of_a_request_is_refused_with_501() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let leaf = |tag: &'static str| NodeBuilder::new(tag).build();
    let usync = |protocols: Vec<Node>| {
        let user = NodeBuilder::new("user").attr("jid", jid(ANNA)).build();
        let query = NodeBuilder::new("query").children(protocols).build();
        let list = NodeBuilder::new("list").children([user]).build();
        let usync = NodeBuilder::new("usync").attr("sid", "1").attr("mode", "query").attr("context", "interactive");
        usync.children([query, list]).build()
    };
    let category = NodeBuilder::new("category").attr("name", "last").attr("value", "all");
    let table = [
        ("usync", "get", usync(vec![leaf("lid")]), None),
        ("usync", "get", usync(vec![leaf("lid"), leaf("horoscope")]), Some(501)),
        (
            "privacy",
            "set",
            NodeBuilder::new("privacy").children([category.children([leaf("moon")]).build()]).build(),
            Some(501),
        ),
        ("passive", "set", leaf("sleepy"), Some(501)),
        ("disappearing_mode", "set", NodeBuilder::new("disappearing_mode").attr("duration", "86400").build(), None),
        ("disappearing_mode", "set", NodeBuilder::new("disappearing_mode").attr("duration", "soon").build(), Some(400)),
        ("horoscope", "get", leaf("horoscope"), Some(501)),
    ];
    for (namespace, kind, child, refusal) in table {
        let shown = format!("{namespace} {kind} {child:?}");
        let iq = NodeBuilder::new("iq").attr("to", "s.whatsapp.net").attr("xmlns", namespace).attr("type", kind);
        let iq = iq.attr("id", phone.client.generate_message_id()).children([child]).build();
        let code = match phone.client.send_iq_node(iq, None).await {
            Ok(_) => None,
            Err(IqError::ServerError { code, .. }) => Some(code),
            Err(other) => panic!("{shown}: {other:?}"),
        };
        assert_eq!(code, refusal, "{shown}");
    }
    phone.shutdown().await;
    sim.stop().await;
}

async fn complaints(sim: &Sim, contact: &str, id: &str) -> Value {
    let path = format!("/contacts/{contact}/messages?complaints=true");
    let is = |message: &&Value| message["id"] == id;
    let all = sim.until(&path, |all| all.as_array().unwrap().iter().any(|message| is(&message))).await;
    all.as_array().unwrap().iter().find(is).unwrap()["complaints"].clone()
}

fn quoting(text: &str, context: ContextInfo) -> Message {
    let text = ExtendedTextMessage {
        text: Some(text.to_owned()),
        context_info: buffa::MessageField::some(context),
        ..Default::default()
    };
    Message { extended_text_message: buffa::MessageField::some(text), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_app_would_notice_is_listed() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let send =
        async |to: &Jid, message: Message| phone.client.send_message(to.clone(), message).await.unwrap().message_id;
    let anna = jid(ANNA);
    let bare = ContextInfo { stanza_id: Some("ABC".to_owned()), ..Default::default() };
    let id = send(&anna, quoting("an answer", bare.clone())).await;
    assert_eq!(complaints(&sim, ANNA, &id).await, json!(["quote_without_content", "quote_without_author"]));
    let quoted = Message { conversation: Some("a question".to_owned()), ..Default::default() };
    let whole =
        ContextInfo { participant: Some(anna.to_string()), quoted_message: buffa::MessageField::some(quoted), ..bare };
    let id = send(&anna, quoting("an answer", whole)).await;
    assert_eq!(complaints(&sim, ANNA, &id).await, json!([]));

    let mp3 = b"ID3\x03\0\0\0\0\0\0".to_vec();
    let upload = phone.client.upload(mp3, MediaType::Audio, Default::default()).await.unwrap();
    let voice = AudioMessage {
        url: Some(upload.url),
        direct_path: Some(upload.direct_path),
        media_key: Some(upload.media_key.to_vec()),
        file_sha256: Some(upload.file_sha256.to_vec()),
        file_enc_sha256: Some(upload.file_enc_sha256.to_vec()),
        mimetype: Some("audio/ogg; codecs=opus".to_owned()),
        ptt: Some(true),
        ..Default::default()
    };
    let id = send(&anna, Message { audio_message: buffa::MessageField::some(voice), ..Default::default() }).await;
    assert_eq!(
        complaints(&sim, ANNA, &id).await,
        json!(["media_without_size", "media_without_duration", "voice_without_waveform", "media_of_another_type"])
    );
    let image = ImageMessage { file_length: Some(5), mimetype: Some("image/jpeg".to_owned()), ..Default::default() };
    let id = send(&anna, Message { image_message: buffa::MessageField::some(image), ..Default::default() }).await;
    assert_eq!(complaints(&sim, ANNA, &id).await, json!(["media_without_dimensions", "media_unreadable"]));

    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA]})).await;
    let group: Jid = group["id"].as_str().unwrap().parse().unwrap();
    let lid = async |number: &str| sim.get(&format!("/contacts/{number}")).await["lid"].as_str().unwrap().to_owned();
    let mention = |address: String| ContextInfo { mentioned_jid: vec![address], ..Default::default() };
    let (member, stranger) = (lid(ANNA).await, lid(BEN).await);
    let table = [
        (format!("@{member} hello"), format!("{member}@lid"), json!([])),
        (format!("@{ANNA} hello"), anna.to_string(), json!(["mention_of_nobody"])),
        (format!("@{stranger} hello"), format!("{stranger}@lid"), json!(["mention_of_nobody"])),
        ("hello".to_owned(), format!("{member}@lid"), json!(["mention_not_in_text"])),
    ];
    for (text, address, wanted) in table {
        let id = send(&group, quoting(&text, mention(address.clone()))).await;
        assert_eq!(complaints(&sim, ANNA, &id).await, wanted, "{text} {address}");
    }
    // Who does not ask is not told.
    assert_eq!(sim.get(&format!("/contacts/{ANNA}/messages")).await[0]["complaints"], Value::Null);
    phone.shutdown().await;
    sim.stop().await;
}
