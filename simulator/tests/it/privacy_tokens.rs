//! People who take messages only with a token: what opens, what does not, and who is told of a token.

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::{Jid, client::Client, types::events::Event};

use crate::{
    support::{Phone, Sim, until},
    witness::{Client as Witnessed, Witness, for_each_client},
};

const ANNA: &str = "15550200001";
const REFUSED: &str = "463";

fn lid_of(phone: &Phone) -> String {
    phone.client.lid().unwrap().user.to_string()
}

async fn contact_lid(sim: &Sim, number: &str) -> String {
    sim.get(&format!("/contacts/{number}")).await["lid"].as_str().unwrap().split('@').next().unwrap().to_owned()
}

/// The client's token for somebody; one that it only counts as given by itself is none.
async fn token(client: &Client, lid: &str) -> Option<Vec<u8>> {
    client.tc_token().get(lid).await.unwrap().map(|entry| entry.token).filter(|token| !token.is_empty())
}

async fn until_token(client: &Client, lid: &str) -> Vec<u8> {
    let begun = std::time::Instant::now();
    loop {
        if let Some(token) = token(client, lid).await {
            return token;
        }
        assert!(begun.elapsed() < crate::support::DEADLINE, "no token of {lid} came");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn restrict(sim: &Sim, number: &str, rule: serde_json::Value) {
    let (status, answer) = sim.call("PATCH", &format!("/contacts/{number}"), Some(json!({"restricted": rule}))).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_until_the_other_one_writes() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let account = phone.client.pn().unwrap().user.to_string();
    let (to, lid) = (format!("{ANNA}@s.whatsapp.net"), contact_lid(&sim, ANNA).await);
    sim.post(&format!("/contacts/{ANNA}/profile"), json!({"picture": true})).await;
    restrict(&sim, ANNA, json!(true)).await;

    let id = phone.send(&to, "hello stranger").await;
    assert_eq!(phone.until_acked(&id).await.as_deref(), Some(REFUSED));
    let jid: Jid = to.parse().unwrap();
    assert!(phone.client.contacts().get_profile_picture(&jid, false).await.unwrap().is_none());
    phone.client.presence().subscribe(&jid).await.unwrap();
    sim.post(&format!("/contacts/{ANNA}/presence"), json!({"state": "available", "to": "15550299999"})).await;
    let of_anna = |event: &Event| match event {
        Event::Presence(presence) => (!presence.unavailable).then_some(()),
        _ => None,
    };
    // An answer comes after what was sent before it.
    assert!(phone.client.contacts().get_profile_picture(&jid, false).await.unwrap().is_none());
    assert_eq!(phone.count(|event| of_anna(event).is_some()), 0, "a stranger was told of the presence");

    sim.text(ANNA, "I write first", json!({"to": account})).await;
    phone.until_heard("I write first").await;
    let token = until_token(&phone.client, &lid).await;
    // The client asks for the presence once more when it has the token, and only now it is told.
    phone.client.presence().subscribe(&jid).await.unwrap();
    phone.until(of_anna).await;
    assert!(phone.client.contacts().get_profile_picture(&jid, false).await.unwrap().is_some());
    phone.send(&to, "an answer").await;
    sim.until_received(ANNA, "an answer").await;
    let all = sim.get(&format!("/contacts/{ANNA}/messages")).await;
    assert_eq!(all.as_array().unwrap().len(), 1, "what was refused never came: {all:#}");

    // A second message brings no second token, which would come after it and before the third: one lasts for a week.
    for text in ["and again", "and once more"] {
        sim.text(ANNA, text, json!({"to": account})).await;
        phone.until_heard(text).await;
    }
    assert_eq!(until_token(&phone.client, &lid).await, token);

    // A month later the token is worth nothing.
    sim.post("/clock", json!({"days": 35})).await;
    let id = phone.send(&to, "a month later").await;
    assert_eq!(phone.until_acked(&id).await.as_deref(), Some(REFUSED));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_every_device_and_the_history_of_the_next_one() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let ann = Phone::paired(&sim, folder.path(), Some("restricted:Ann")).await;
    let first = Phone::paired(&sim, folder.path(), Some("Ben")).await;
    let second_folder = tempdir().unwrap();
    let second = Phone::paired(&sim, second_folder.path(), Some("Ben")).await;
    let ben = first.client.lid().unwrap().to_non_ad();
    ann.client.tc_token().issue_tokens(std::slice::from_ref(&ben)).await.unwrap();
    let token = until_token(&first.client, &lid_of(&ann)).await;
    assert_eq!(until_token(&second.client, &lid_of(&ann)).await, token);

    // With a chat the history brings the newest token to a device that is linked later. The client keeps it under the
    // chat's address, which is the number.
    ann.send(&format!("{ben}"), "hello").await;
    first.until_heard("hello").await;
    let newest = loop {
        let newest = until_token(&first.client, &lid_of(&ann)).await;
        if newest != token {
            break newest;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let third_folder = tempdir().unwrap();
    let third = Phone::paired(&sim, third_folder.path(), Some("Ben")).await;
    let number = ann.client.pn().unwrap().user.to_string();
    assert_eq!(until_token(&third.client, &number).await, newest);
    for phone in [ann, first, second, third] {
        phone.shutdown().await;
    }
    sim.stop().await;
}

/// What the writer's account has, what the receiver demands, and whether a first message passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_made_from_the_salt_opens_where_it_is_taken() {
    let table = [
        ("restricted:", "scenario:nct_send_ab=1:", false),
        ("restricted:", "scenario:nct_send_ab=1,nct_syncd_ab=1,nct_syncd_delivery=0:", false),
        ("restricted:", "scenario:nct_history_ab=1,nct_history_delivery=1:", false),
        ("restricted:", "scenario:nct_send_ab=1,nct_history_ab=1,nct_history_delivery=1:", true),
        ("restricted:", "scenario:nct_send_ab=1,nct_syncd_ab=1,nct_syncd_delivery=1:", true),
        ("scenario:restricted,tc_enabled=0,cs_enabled=1:", "scenario:nct_send_ab=1,nct_syncd_delivery=1:", true),
        ("scenario:restricted,cs_enabled=0:", "scenario:nct_send_ab=1,nct_history_delivery=1:", false),
    ];
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    for (n, (demands, has, passes)) in table.into_iter().enumerate() {
        let receiver = Phone::paired(&sim, folder.path(), Some(&format!("{demands}Receiver {n}"))).await;
        let writer = Phone::paired(&sim, folder.path(), Some(&format!("{has}Writer {n}"))).await;
        if has.contains("delivery=1") {
            let salt = || writer.client.persistence_manager().get_device_snapshot().nct_salt.clone();
            until(salt, || "no salt").await;
        }
        started(&writer).await;
        let id = writer.send(&receiver.client.lid().unwrap().to_non_ad().to_string(), &format!("first {n}")).await;
        let code = writer.until_acked(&id).await;
        assert_eq!(code.is_none(), passes, "{demands} {has}: {code:?}");
        if passes {
            receiver.until_heard(&format!("first {n}")).await;
        } else {
            assert_eq!(code.as_deref(), Some(REFUSED));
        }
        writer.shutdown().await;
        receiver.shutdown().await;
    }
    sim.stop().await;
}

/// The client asks for the properties when it connects.
async fn started(phone: &Phone) {
    phone.client.wait_for_startup_sync(crate::support::DEADLINE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_and_salt_are_set_before_a_client_comes() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let number = "15550100077";
    let path = format!("/accounts/{number}/ab-properties");
    let (status, _) = sim.call("PATCH", &path, Some(json!({"wa_nct_token_send_enabled": true, "4711": 3}))).await;
    assert_eq!(status, 204);
    let (status, answer) = sim.call("PATCH", &path, Some(json!({"no_such_property": true}))).await;
    assert_eq!((status, answer["error"].as_str().unwrap().contains("no_such_property")), (400, true), "{answer}");
    let all = sim.get(&path).await;
    let of =
        |name: &str| all.as_array().unwrap().iter().find(|one| one["name"] == name).map(|one| one["value"].clone());
    assert_eq!(of("wa_nct_token_send_enabled"), Some(json!("1")));
    assert_eq!(of("privacy_token_sending_on_all_1_on_1_messages"), Some(json!("1")));
    assert!(all.as_array().unwrap().iter().any(|one| one["code"] == 4711 && one["name"].is_null()));
    let salt = format!("/accounts/{number}/nct-salt");
    sim.post(&salt, json!({"delivery": "app_state"})).await;
    restrict(&sim, ANNA, json!(["cstoken"])).await;

    let store = folder.path().join("one.db");
    let setup = crate::support::Setup { store: store.to_str().unwrap(), push_name: Some("One") };
    let phone = Phone::run(&sim, setup).await;
    let code = phone.qr().await;
    let (status, answer) = sim.raw(&format!("/admin/mock-phone/scan-qr?number={number}"), code).await;
    assert_eq!(status, 200, "{answer}");
    phone.connected().await;
    let has_salt = || phone.client.persistence_manager().get_device_snapshot().nct_salt.clone();
    until(has_salt, || "no salt").await;
    started(&phone).await;
    phone.send(&format!("{ANNA}@s.whatsapp.net"), "with a proof").await;
    sim.until_received(ANNA, "with a proof").await;
    // The salt is taken away, and the device learns it.
    assert_eq!(sim.call("DELETE", &salt, None).await.0, 204);
    until(|| has_salt().is_none().then_some(()), || "the salt is still there").await;
    let id = phone.send(&format!("{ANNA}@s.whatsapp.net"), "without one").await;
    assert_eq!(phone.until_acked(&id).await.as_deref(), Some(REFUSED));
    phone.shutdown().await;
    sim.stop().await;
}

async fn answers_somebody_restricted(client: Witnessed) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.pair(async |code| sim.scan(code).await).await;
    restrict(&sim, ANNA, json!(["tctoken"])).await;
    sim.text(ANNA, "I write first", json!({})).await;
    witness.until_text("I write first").await;
    // Clients keep the token after the message; an answer that is too fast is refused.
    let begun = std::time::Instant::now();
    for n in 0.. {
        witness.order(json!({"do": "send", "to": ANNA, "text": format!("answer {n}")}));
        let all = sim.get(&format!("/contacts/{ANNA}/messages")).await;
        if all.as_array().is_some_and(|all| !all.is_empty()) {
            break;
        }
        assert!(begun.elapsed() < crate::support::DEADLINE, "every answer is refused");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    sim.stop().await;
}

for_each_client! {
    answers_somebody_restricted: whatsmeow_answers_somebody_restricted, baileys_answers_somebody_restricted;
}
