//! Calls of every kind, and pictures under one id.

use serde_json::json;
use tempfile::tempdir;
use wacore::types::call::{CallAction, IncomingCall};
use whatsapp_rust::{Jid, types::events::Event};

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";
const BEN: &str = "15550200002";

/// The first call that fits.
async fn call(phone: &Phone, id: &str, fits: impl Fn(&CallAction) -> bool) -> IncomingCall {
    phone
        .until(|event| match event {
            Event::IncomingCall(call) if fits(&call.action) && call_id(&call.action) == id => {
                Some(IncomingCall::clone(call))
            }
            _ => None,
        })
        .await
}

fn call_id(action: &CallAction) -> &str {
    match action {
        CallAction::Offer { call_id, .. }
        | CallAction::OfferNotice { call_id, .. }
        | CallAction::Terminate { call_id, .. } => call_id,
        _ => "",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_says_from_which_app_it_comes_and_from_whom_or_not() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let path = format!("/contacts/{ANNA}/calls");
    let is_offer = |action: &CallAction| matches!(action, CallAction::Offer { .. });
    let number = |call: &IncomingCall| match &call.action {
        CallAction::Offer { caller_pn, .. } => caller_pn.as_ref().map(|jid| jid.user.to_string()),
        _ => None,
    };
    let id = sim.post(&path, json!({"platform": "iphone", "version": "2.26.1"})).await["id"].clone();
    let rings = call(&phone, id.as_str().unwrap(), is_offer).await;
    assert_eq!((rings.platform.as_deref(), rings.version.as_deref()), (Some("iphone"), Some("2.26.1")));
    assert_eq!(number(&rings).as_deref(), Some(ANNA));

    let id = sim.post(&path, json!({"callerNumber": false})).await["id"].clone();
    let rings = call(&phone, id.as_str().unwrap(), is_offer).await;
    assert_eq!((rings.platform.as_deref(), number(&rings)), (Some("android"), None));

    // The account's phone takes it.
    sim.post(&path, json!({"action": "accept", "id": id})).await;
    let ended = |action: &CallAction| matches!(action, CallAction::Terminate { reason, .. } if reason.as_deref() == Some("accepted_elsewhere"));
    call(&phone, id.as_str().unwrap(), ended).await;
    let calls = sim.get(&path).await;
    assert_eq!((&calls[0]["state"], &calls[1]["state"]), (&json!("ringing"), &json!("accepted")));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_a_group_names_the_group() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA, BEN]})).await["id"].clone();
    let path = format!("/contacts/{ANNA}/calls");
    let id = sim.post(&path, json!({"group": group, "video": true})).await["id"].clone();
    let rings = call(&phone, id.as_str().unwrap(), |action| matches!(action, CallAction::Offer { .. })).await;
    let CallAction::Offer { group_jid, is_video, .. } = rings.action else { panic!("no offer") };
    assert_eq!((group_jid.map(|jid| json!(jid.to_string())), is_video), (Some(group.clone()), true));

    let id = sim.post(&path, json!({"group": group, "notice": true})).await["id"].clone();
    let told = call(&phone, id.as_str().unwrap(), |action| matches!(action, CallAction::OfferNotice { .. })).await;
    assert!(matches!(told.action, CallAction::OfferNotice { is_group: true, is_video: false, .. }));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_companion_of_an_account_hears_of_its_new_picture() {
    let (sim, one, two) = (Sim::start().await, tempdir().unwrap(), tempdir().unwrap());
    let phone = Phone::paired(&sim, one.path(), Some("Ann")).await;
    let other = Phone::paired(&sim, two.path(), Some("Ann")).await;
    let set = phone.client.profile().set_profile_picture(b"\xff\xd8\xffa picture".to_vec()).await.unwrap();
    phone.client.profile().remove_profile_picture().await.unwrap();
    for (nth, id) in [(1, Some(set.id.as_str())), (2, None)] {
        for companion in [&phone, &other] {
            let told = companion
                .until_nth(nth, |event| match event {
                    Event::PictureUpdate(picture) => Some((picture.removed, picture.picture_id.clone())),
                    _ => None,
                })
                .await;
            assert_eq!((told.0, told.1.as_deref()), (id.is_none(), id));
        }
    }
    phone.shutdown().await;
    other.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_one_id_and_a_preview() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post(&format!("/contacts/{ANNA}/profile"), json!({"picture": true})).await;
    let told = phone
        .until(|event| match event {
            Event::PictureUpdate(picture) => Some(picture.picture_id.clone()),
            _ => None,
        })
        .await;
    let anna: Jid = format!("{ANNA}@s.whatsapp.net").parse().unwrap();
    let small = phone.client.contacts().get_profile_picture(&anna, true).await.unwrap().unwrap();
    let large = phone.client.contacts().get_profile_picture(&anna, false).await.unwrap().unwrap();
    let shown = sim.get(&format!("/contacts/{ANNA}")).await["picture"].as_str().unwrap().to_owned();
    assert!(shown.bytes().all(|byte| byte.is_ascii_digit()), "{shown}");
    assert_eq!((told.as_deref(), small.id.as_str(), large.id.as_str()), (Some(shown.as_str()), &*shown, &*shown));
    assert_ne!(small.direct_path, large.direct_path);
    sim.post(&format!("/contacts/{ANNA}/profile"), json!({"picture": true})).await;
    assert_ne!(sim.get(&format!("/contacts/{ANNA}")).await["picture"], shown.as_str());
    phone.shutdown().await;
    sim.stop().await;
}
