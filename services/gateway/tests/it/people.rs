//! People through the real client: contacts, pictures, blocked contacts, and calls that are rejected.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_contract::{
    address::ChatJid,
    command::{
        CallRejected, Command, CommandErrorCode, EmptyBody, RejectCall,
        people::{
            BlockedContact, BlockedContacts, ContactDetails, PersonRequest, PictureLookup, PictureRequest,
            PictureUpdate, SetPicture,
        },
    },
};
use kurir_test_harness::until;
use serde_json::json;

const JPEG: [u8; 6] = [0xff, 0xd8, 0xff, 0xe0, 7, 7];

fn jid(text: &str) -> ChatJid {
    text.parse().expect("an address")
}

fn of(number: &str) -> PersonRequest {
    PersonRequest { number: jid(number) }
}

#[tokio::test]
async fn a_contact_is_shown_with_what_he_shows() {
    let world = World::connected(&[]).await;
    let plain: ContactDetails = world.ask(Command::Contact, of(BUDI)).await.expect("he is there");
    assert_eq!((plain.jid.as_str(), plain.about, plain.picture), (BUDI_JID, None, None));
    assert!(plain.lid.as_ref().is_some_and(ChatJid::is_lid));
    world.simulator.post(&format!("/contacts/{BUDI}/profile"), json!({"about": "busy", "picture": true})).await;
    // The other address leads to the same person.
    let lid = plain.lid.expect("a LID");
    let full: ContactDetails = world.ask(Command::Contact, PersonRequest { number: lid }).await.expect("he is there");
    assert_eq!((full.jid.as_str(), full.about.as_deref()), (BUDI_JID, Some("busy")));
    let found: PictureLookup = world.ask(Command::Picture, PictureRequest { of: jid(BUDI) }).await.expect("asked");
    assert_eq!(found.picture, full.picture);
    assert!(found.picture.is_some_and(|picture| picture.url.starts_with("https://")));
    world.simulator.patch("/contacts/6281230000009", json!({"registered": false})).await;
    let refused = world.ask::<ContactDetails>(Command::Contact, of("6281230000009")).await.expect_err("he is not");
    assert_eq!(refused.code, CommandErrorCode::NotOnWhatsapp);
    world.finish().await;
}

#[tokio::test]
async fn pictures_of_the_account_and_of_a_group_are_set_and_removed() {
    let world = World::connected(&[]).await;
    let account = world.account().await;
    let group = world.simulator.post("/groups", json!({"subject": "Team", "participants": [BUDI]})).await;
    let group = jid(group["id"].as_str().expect("an id"));
    let other = json!({"subject": "Budi's", "participants": [BUDI], "creator": BUDI});
    let other = jid(world.simulator.post("/groups", other).await["id"].as_str().expect("an id"));
    world.simulator.patch(&format!("/groups/{other}"), json!({"locked": true})).await;
    let picture = Some(BASE64_STANDARD.encode(JPEG));
    for (whose, of) in [(None, jid(&account)), (Some(group.clone()), group.clone())] {
        let set = SetPicture { group: whose.clone(), picture: picture.clone() };
        let set: PictureUpdate = world.ask(Command::SetPicture, set).await.expect("set");
        let found: PictureLookup = world.ask(Command::Picture, PictureRequest { of: of.clone() }).await.expect("asked");
        assert_eq!(found.picture.map(|picture| picture.id), set.id);
        let none = SetPicture { group: whose, picture: None };
        assert_eq!(world.ask::<PictureUpdate>(Command::SetPicture, none).await.expect("removed").id, None);
        let found: PictureLookup = world.ask(Command::Picture, PictureRequest { of }).await.expect("asked");
        assert_eq!(found.picture, None);
    }
    let told = world.data("group.updated", |data| data["details"] == json!({"removed": true})).await;
    assert_eq!((&told["change"], &told["chat"]["jid"]), (&json!("picture"), &json!(group)));

    let refused = SetPicture { group: Some(other), picture };
    let refused =
        world.ask::<PictureUpdate>(Command::SetPicture, refused).await.expect_err("only an administrator may");
    assert_eq!(refused.whatsapp_code, Some(403));
    for bad in ["!", &BASE64_STANDARD.encode(b"GIF89a"), &"A".repeat(700_001)] {
        let set = SetPicture { group: None, picture: Some(bad.to_owned()) };
        let refused = world.ask::<PictureUpdate>(Command::SetPicture, set).await.expect_err("no JPEG");
        assert_eq!(refused.code, CommandErrorCode::InvalidRequest);
    }
    world.finish().await;
}

#[tokio::test]
async fn who_is_blocked_stays_it_until_unblocked_however_often_it_is_asked() {
    let world = World::connected(&[]).await;
    let listed = async || world.ask::<BlockedContacts>(Command::Blocklist, EmptyBody {}).await.expect("a list").people;
    assert_eq!(listed().await, []);
    for _ in 0..2 {
        let blocked: BlockedContact = world.ask(Command::Block, of(BUDI)).await.expect("blocked");
        assert_eq!((blocked.jid.as_str(), listed().await), (BUDI_JID, vec![blocked.clone()]));
    }
    for _ in 0..2 {
        let _: BlockedContact = world.ask(Command::Unblock, of(BUDI)).await.expect("unblocked");
        assert_eq!(listed().await, []);
    }
    world.simulator.patch("/contacts/6281230000009", json!({"registered": false})).await;
    let refused = world.ask::<BlockedContact>(Command::Block, of("6281230000009")).await.expect_err("he is not there");
    assert_eq!(refused.code, CommandErrorCode::NotOnWhatsapp);
    world.finish().await;
}

#[tokio::test]
async fn a_call_that_rings_is_turned_down_once_and_has_ended() {
    let world = World::connected(&[]).await;
    let calls = format!("/contacts/{BUDI}/calls");
    let call = world.simulator.post(&calls, json!({})).await["id"].as_str().expect("an id").to_owned();
    world.data("call.received", |data| data["callId"] == call.as_str()).await;
    let reject = async |call: &str, from: &str| {
        let request = RejectCall { call: call.to_owned(), from: jid(from) };
        world.ask::<CallRejected>(Command::RejectCall, request).await
    };
    for (call, from) in [("another", BUDI), (&call, "6281230000002")] {
        assert_eq!(reject(call, from).await.expect_err("none rings").code, CommandErrorCode::CallNotFound);
    }
    reject(&call, BUDI).await.expect("it rings");
    until("the caller to see it", SOON, || async {
        let seen = world.simulator.get(&calls).await;
        if seen[0]["state"] == "rejected" { Ok(()) } else { Err(seen) }
    })
    .await;
    let told = world.data("call.ended", |data| data["callId"] == call.as_str()).await;
    assert_eq!((&told["reason"], &told["author"]["jid"]), (&json!("rejected"), &json!(BUDI_JID)));
    assert_eq!(reject(&call, BUDI).await.expect_err("it rings no more").code, CommandErrorCode::CallNotFound);
    world.simulator.post(&calls, json!({"action": "terminate", "id": call, "reason": "rejected_elsewhere"})).await;
    // The next event comes after it.
    let next = world.simulator.post(&calls, json!({})).await["id"].clone();
    world.data("call.received", |data| data["callId"] == next).await;
    assert_eq!(world.events_of("call.ended").await.len(), 1);
    world.finish().await;
}
