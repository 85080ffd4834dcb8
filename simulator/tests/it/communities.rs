//! Communities, as a real client makes, fills, shows and ends them.

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::{
    Jid,
    features::{CreateCommunityOptions, GroupCreateOptions, GroupType, JoinGroupResult, group_type},
    types::events::Event,
};

use crate::{
    support::{Phone, Sim},
    witness::{Client, Witness, for_each_client},
};

async fn told(phone: &Phone, group: &Jid, what: &str) {
    let fits = |event: &Event| match event {
        Event::GroupUpdate(update) => (update.group_jid == *group && update.action.tag_name() == what).then_some(()),
        _ => None,
    };
    phone.until(fits).await;
}

async fn new_group(phone: &Phone, subject: &str) -> Jid {
    phone.client.groups().create_group(GroupCreateOptions::new(subject)).await.unwrap().metadata.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_is_made_filled_and_ended() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let host = Phone::paired(&sim, folder.path(), Some("Host")).await;
    let guest = Phone::paired(&sim, folder.path(), Some("Guest")).await;
    let (community, groups) = (host.client.community(), host.client.groups());
    let made = community.create(CreateCommunityOptions::new("Village")).await.unwrap();
    let id = made.metadata.id.clone();
    let metadata = groups.get_metadata(&id).await.unwrap();
    assert_eq!((group_type(&metadata), metadata.is_parent_group), (GroupType::Community, true));
    let linked = community.get_subgroups(&id).await.unwrap();
    let announcements = linked.iter().find(|group| group.is_default_sub_group).unwrap().id.clone();
    assert_eq!(linked.iter().filter(|group| group.is_general_chat).count(), 1);
    let metadata = groups.get_metadata(&announcements).await.unwrap();
    assert_eq!((group_type(&metadata), metadata.is_announcement), (GroupType::LinkedAnnouncementGroup, true));
    let participating = community.get_participating().await.unwrap();
    assert_eq!(participating.keys().collect::<Vec<_>>(), [&id]);

    // An existing group is linked, and both sides are told.
    let group = new_group(&host, "Choir").await;
    let done = community.link_subgroups(&id, std::slice::from_ref(&group)).await.unwrap();
    assert_eq!((done.linked_jids, done.failed_groups.len()), (vec![group.clone()], 0));
    told(&host, &id, "link").await;
    told(&host, &group, "link").await;
    let again = community.link_subgroups(&id, std::slice::from_ref(&group)).await.unwrap();
    assert_eq!(again.failed_groups, [(group.clone(), 409)]);
    let metadata = community.query_linked_group(&id, &group).await.unwrap();
    assert_eq!((metadata.subject.as_str(), metadata.parent_group_jid.as_ref()), ("Choir", Some(&id)));
    let made_inside = community.create_subgroup("Garden", &[], &id).await.unwrap().metadata.id;
    let counts = community.get_subgroup_participant_counts(&id).await.unwrap();
    for linked in [&group, &made_inside, &announcements] {
        assert!(counts.contains(&(linked.clone(), 1)), "{counts:?}");
    }

    // Who is added to the community hears its announcements, and joins a group by itself.
    let number = guest.client.pn().unwrap().to_non_ad();
    let is_refused = guest.client.community().join_subgroup(&id, &group).await;
    assert!(is_refused.is_err(), "a stranger joins nothing");
    groups.add_participants(&id, std::slice::from_ref(&number)).await.unwrap();
    told(&guest, &announcements, "create").await;
    host.send(&announcements.to_string(), "hear, hear").await;
    guest.until_heard("hear, hear").await;
    let id_of = guest.send(&announcements.to_string(), "may I?").await;
    assert_eq!(guest.until_acked(&id_of).await.as_deref(), Some("403"));
    let joined = guest.client.community().join_subgroup(&id, &group).await.unwrap();
    assert_eq!((joined.id, joined.participants.len()), (group.clone(), 2));
    guest.send(&group.to_string(), "la la la").await;
    host.until_heard("la la la").await;
    let everybody = community.get_linked_groups_participants(&id).await.unwrap();
    assert_eq!(everybody.len(), 2);

    // Who is removed with the linked groups is in none of them.
    community.remove_participants(&id, std::slice::from_ref(&number)).await.unwrap();
    for linked in [&id, &announcements, &group] {
        let shown = sim.get(&format!("/groups/{linked}")).await;
        assert_eq!(shown["participants"].as_array().unwrap().len(), 1, "{shown}");
    }
    let unlinked = community.unlink_subgroups(&id, std::slice::from_ref(&group), false).await.unwrap();
    assert_eq!(unlinked.unlinked_jids, std::slice::from_ref(&group));
    told(&host, &group, "unlink").await;
    assert_eq!(group_type(&groups.get_metadata(&group).await.unwrap()), GroupType::Default);

    // Its groups outlive it, its announcements do not.
    community.deactivate(&id).await.unwrap();
    assert!(groups.get_metadata(&id).await.is_err() && groups.get_metadata(&announcements).await.is_err());
    assert_eq!(group_type(&groups.get_metadata(&made_inside).await.unwrap()), GroupType::Default);
    host.shutdown().await;
    guest.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_into_a_community_or_asks_to_be_let_in() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let host = Phone::paired(&sim, folder.path(), Some("Host")).await;
    let guest = Phone::paired(&sim, folder.path(), Some("Guest")).await;
    let groups = host.client.groups();
    for closed in [false, true] {
        let options = CreateCommunityOptions { closed, ..CreateCommunityOptions::new("Village") };
        let id = host.client.community().create(options).await.unwrap().metadata.id;
        let code = groups.get_invite_link(&id, false).await.unwrap();
        let code = code.rsplit('/').next().unwrap();
        let joined = guest.client.groups().join_with_invite_code(code).await.unwrap();
        assert_eq!(matches!(joined, JoinGroupResult::PendingApproval(_)), closed, "{joined:?}");
        let linked = host.client.community().get_subgroups(&id).await.unwrap();
        let announcements = linked.iter().find(|group| group.is_default_sub_group).unwrap().id.clone();
        let members = if closed { 1 } else { 2 };
        for group in [&id, &announcements] {
            let shown = sim.get(&format!("/groups/{group}")).await;
            assert_eq!(shown["participants"].as_array().unwrap().len(), members, "{shown}");
        }
        if !closed {
            told(&guest, &announcements, "create").await;
        }
    }
    host.shutdown().await;
    guest.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_changes_a_community_and_orphans_are_removed() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let host = Phone::paired(&sim, folder.path(), Some("Host")).await;
    let guest = Phone::paired(&sim, folder.path(), Some("Guest")).await;
    let community = host.client.community();
    let options = CreateCommunityOptions { create_general_chat: false, ..CreateCommunityOptions::new("Village") };
    let id = community.create(options).await.unwrap().metadata.id;
    let number = guest.client.pn().unwrap().to_non_ad();
    // Linking a group brings its members.
    let group = new_group(&host, "Choir").await;
    host.client.groups().add_participants(&group, std::slice::from_ref(&number)).await.unwrap();
    community.link_subgroups(&id, std::slice::from_ref(&group)).await.unwrap();
    told(&guest, &id, "create").await;

    let by_guest = guest.client.community();
    let own = new_group(&guest, "Own").await;
    assert!(by_guest.link_subgroups(&id, std::slice::from_ref(&own)).await.is_err(), "it is no administrator");
    assert!(by_guest.create_subgroup("Inside", &[], &id).await.is_err(), "members make no groups here");
    assert!(by_guest.deactivate(&id).await.is_err());
    let done = community.link_subgroups(&id, std::slice::from_ref(&own)).await.unwrap();
    assert_eq!(done.failed_groups, [(own, 403)], "who links must administer both");
    let id_of = host.send(&id.to_string(), "is anybody there?").await;
    assert_eq!(host.until_acked(&id_of).await.as_deref(), Some("403"), "a community is no chat");

    community.unlink_subgroups(&id, std::slice::from_ref(&group), true).await.unwrap();
    let shown = sim.get(&format!("/groups/{id}")).await;
    assert_eq!(shown["participants"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["place"]["parent"]["members_make_groups"], false);
    host.shutdown().await;
    guest.shutdown().await;
    sim.stop().await;
}

async fn makes_a_community(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.pair(async |code| sim.scan(code).await).await;
    witness.order(json!({"do": "group_create", "name": "Choir", "with": []}));
    let group = witness.until("group_created").await["id"].clone();
    witness.order(json!({"do": "community_create", "name": "Village"}));
    witness.until("community_created").await;
    let all = sim.get("/groups").await;
    let of = |place: &str| all.as_array().unwrap().iter().find(|group| group["place"].get(place).is_some());
    let id = of("parent").unwrap()["id"].clone();
    witness.order(json!({"do": "community_link", "to": id, "group": group}));
    witness.until("community_linked").await;
    witness.order(json!({"do": "community_groups", "to": id}));
    let listed = witness.until("community_groups").await;
    assert!(listed["groups"].as_array().unwrap().contains(&group), "{listed}");
    sim.stop().await;
}

for_each_client! {
    makes_a_community: whatsmeow_makes_a_community, baileys_makes_a_community;
}
