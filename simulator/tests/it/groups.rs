//! Groups as clients make and change them: who may do what, and who is told.

use serde_json::{Value, json};
use tempfile::tempdir;
use wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{
    Jid,
    features::{GroupCreateOptions, GroupError, GroupParticipantOptions, GroupSubject, PreviousDescription},
    request::IqError,
    types::events::Event,
};

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";
const BEN: &str = "15550200002";
const CLARA: &str = "15550200003";

fn jid(number: &str) -> Jid {
    Jid::pn(number)
}

fn refused<T>(result: Result<T, GroupError>) -> u16 {
    match result {
        Err(GroupError::Iq(IqError::ServerError { code, .. })) => code,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

async fn told(phone: &Phone, what: &str) {
    let fits = |event: &Event| match event {
        Event::GroupUpdate(update) => (update.action.tag_name() == what).then_some(()),
        _ => None,
    };
    phone.until(fits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_makes_a_group_and_changes_everything_of_it() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.call("PATCH", &format!("/contacts/{CLARA}"), Some(json!({"refusesGroups": true}))).await;
    let groups = phone.client.groups();
    let people = [ANNA, CLARA].map(|number| GroupParticipantOptions::new(jid(number)));
    let made = groups.create_group(GroupCreateOptions::new("Lunch").with_participants(people.to_vec())).await.unwrap();
    let id = made.metadata.id;
    told(&phone, "create").await;
    let metadata = groups.get_metadata(&id).await.unwrap();
    assert_eq!((metadata.subject.as_str(), metadata.participants.len()), ("Lunch", 2), "without who refuses");

    let added = groups.add_participants(&id, &[jid(ANNA), jid(BEN), jid(CLARA)]).await.unwrap();
    let codes: Vec<_> = added.iter().map(|answer| answer.error.as_deref()).collect();
    assert_eq!(codes, [Some("409"), None, Some("403")]);
    let statuses: Vec<_> = added.iter().map(|answer| answer.status.as_deref()).collect();
    assert_eq!(statuses, [None, Some("200"), None]);
    assert!(added[2].add_request.is_some(), "the invitation for who refuses");
    told(&phone, "add").await;
    groups.promote_participants(&id, &[jid(BEN)]).await.unwrap();
    groups.demote_participants(&id, &[jid(BEN)]).await.unwrap();
    groups.set_subject(&id, GroupSubject::new("Dinner").unwrap()).await.unwrap();
    let description = Some(whatsapp_rust::features::GroupDescription::new("at eight").unwrap());
    groups.set_description(&id, description.clone(), PreviousDescription::Resolve).await.unwrap();
    let conflict = groups.set_description(&id, description, PreviousDescription::Absent).await;
    assert!(matches!(conflict, Err(GroupError::DescriptionConflict)), "{conflict:?}");
    groups.set_announce(&id, true).await.unwrap();
    groups.set_locked(&id, true).await.unwrap();
    for change in ["promote", "demote", "subject", "description", "announcement", "locked"] {
        told(&phone, change).await;
    }
    let metadata = groups.get_metadata(&id).await.unwrap();
    assert_eq!((metadata.subject.as_str(), metadata.description.as_deref()), ("Dinner", Some("at eight")));
    assert!(metadata.is_announcement && metadata.is_locked);
    groups.remove_participants(&id, &[jid(BEN)]).await.unwrap();
    let removed = |event: &Event| {
        let Event::GroupUpdate(update) = event else { return None };
        matches!(update.action, Action::Remove { .. }).then_some(())
    };
    phone.until(removed).await;

    let shown = sim.get(&format!("/groups/{id}")).await;
    let account = shown["creator"].clone();
    assert_eq!((&shown["participants"], &shown["admins"]), (&json!([account, ANNA]), &json!([account])));
    groups.leave(&id).await.unwrap();
    assert_eq!(refused(groups.get_metadata(&id).await), 403);
    assert!(groups.get_participating().await.unwrap().is_empty());
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_rights_is_refused_and_so_is_a_stranger() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let groups = phone.client.groups();
    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA], "creator": ANNA})).await;
    let path = format!("/groups/{}", group["id"].as_str().unwrap());
    let id: Jid = group["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(refused(groups.add_participants(&id, &[jid(BEN)]).await), 403);
    assert_eq!(refused(groups.set_announce(&id, true).await), 403);
    assert_eq!(refused(groups.get_invite_link(&id, false).await), 401);
    groups.set_subject(&id, GroupSubject::new("mine too").unwrap()).await.unwrap();
    sim.call("PATCH", &path, Some(json!({"locked": true, "announcement": true}))).await;
    assert_eq!(refused(groups.set_subject(&id, GroupSubject::new("no more").unwrap()).await), 403);
    let sent = phone.send(&id.to_string(), "unheard").await;
    assert_eq!(phone.until_acked(&sent).await.as_deref(), Some("403"));
    let nowhere: Jid = "120363000000000001@g.us".parse().unwrap();
    assert_eq!(refused(groups.get_metadata(&nowhere).await), 404);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_leads_into_the_group_until_it_is_replaced() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let host = Phone::paired(&sim, folder.path(), Some("Host")).await;
    let guest = Phone::paired(&sim, folder.path(), Some("Guest")).await;
    let people = vec![GroupParticipantOptions::new(jid(ANNA))];
    let options = GroupCreateOptions::new("Open").with_participants(people);
    let id = host.client.groups().create_group(options).await.unwrap().metadata.id;
    let old = host.client.groups().get_invite_link(&id, false).await.unwrap();
    let new = host.client.groups().get_invite_link(&id, true).await.unwrap();
    told(&host, "revoke").await;
    assert_eq!(refused(guest.client.groups().join_with_invite_code(&old).await), 410);
    assert_eq!(refused(guest.client.groups().join_with_invite_code("nonsense").await), 406);
    let joined = guest.client.groups().join_with_invite_code(&new).await.unwrap();
    assert_eq!(joined.group_jid(), &id);
    assert_eq!(refused(guest.client.groups().join_with_invite_code(&new).await), 409);
    told(&host, "add").await;
    host.send(&id.to_string(), "welcome").await;
    assert_eq!(guest.until_heard("welcome").await.chat, id);
    host.shutdown().await;
    guest.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_reads_what_is_written_later_and_who_left_does_not() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA]})).await;
    let id = group["id"].as_str().unwrap();
    phone.send(id, "before").await;
    sim.until_received(ANNA, "before").await;
    phone.client.groups().add_participants(id.parse::<Jid>().unwrap(), &[jid(BEN)]).await.unwrap();
    phone.send(id, "together").await;
    sim.until_received(BEN, "together").await;
    phone.client.groups().remove_participants(id.parse::<Jid>().unwrap(), &[jid(ANNA)]).await.unwrap();
    phone.send(id, "after").await;
    sim.until_received(BEN, "after").await;
    let texts = async |number: &str| -> Vec<Value> {
        let got = sim.get(&format!("/contacts/{number}/messages")).await;
        got.as_array().unwrap().iter().map(|message| message["text"].clone()).collect()
    };
    assert_eq!(texts(BEN).await, ["together", "after"]);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_the_about_blocks_and_calls_are_remembered() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let other = Phone::paired(&sim, folder.path(), Some("Other")).await;
    let account = sim.get("/accounts").await;
    let account = account.as_array().unwrap().iter().find(|one| one["pushName"] != "Other").unwrap();
    let number = account["number"].as_str().unwrap().to_owned();
    let jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 1, 2, 3];
    let set = phone.client.profile().set_profile_picture(jpeg.clone()).await.unwrap();
    assert_eq!(sim.bytes(&format!("/contacts/{number}/picture")).await, jpeg);
    other.until(|event| matches!(event, Event::PictureUpdate(picture) if !picture.removed).then_some(())).await;
    let seen = other.client.contacts().get_profile_picture(&jid(&number), false).await.unwrap().unwrap();
    assert_eq!(seen.id, set.id);
    phone.client.profile().remove_profile_picture().await.unwrap();
    assert!(other.client.contacts().get_profile_picture(&jid(&number), false).await.unwrap().is_none());
    phone.client.profile().set_status_text("at work").await.unwrap();
    let info = other.client.contacts().get_user_info(&[jid(&number)]).await.unwrap();
    assert_eq!(info.into_values().next().unwrap().status.as_deref(), Some("at work"));

    phone.client.contacts().is_on_whatsapp(&[jid(ANNA)]).await.unwrap();
    phone.client.blocking().block(&jid(ANNA)).await.unwrap();
    assert_eq!(phone.client.blocking().get_blocklist().await.unwrap().len(), 1);
    assert_eq!(sim.get(&format!("/contacts/{number}")).await["blocked"], json!([ANNA]));
    phone.client.blocking().unblock(&jid(ANNA)).await.unwrap();
    assert!(!phone.client.blocking().is_blocked(&jid(ANNA)).await.unwrap());

    let call = sim.post(&format!("/contacts/{ANNA}/calls"), json!({"to": number})).await;
    let rings = phone.until(|event| match event {
        Event::IncomingCall(call) => Some(call.clone()),
        _ => None,
    });
    phone.client.voip().reject(&rings.await).await.unwrap();
    let calls = sim.until(&format!("/contacts/{ANNA}/calls"), |calls| calls[0]["state"] == "rejected").await;
    assert_eq!((&calls[0]["id"], &calls[0]["to"]), (&call["id"], &json!(number)));
    phone.shutdown().await;
    other.shutdown().await;
    sim.stop().await;
}
