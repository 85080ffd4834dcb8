//! Groups through the real client: a command changes the group at WhatsApp, and an event reports the change.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command, CommandError, CommandErrorCode,
        group::{
            ChangeGroup, ChangeParticipants, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft,
            GroupPage, GroupRequest, GroupRole, InviteLink, JoinGroup, ListGroups, ParticipantResults,
        },
    },
};
use serde_json::json;

const ANI: &str = "6281230000002";
const ANI_JID: &str = "6281230000002@s.whatsapp.net";
const CICI: &str = "6281230000003";

fn jid(text: &str) -> ChatJid {
    text.parse().expect("an address")
}

async fn create(world: &World, subject: &str, people: &[&str]) -> GroupCreated {
    let participants = people.iter().map(|person| jid(person)).collect();
    let request = CreateGroup { subject: subject.to_owned(), participants };
    world.ask(Command::CreateGroup, request).await.expect("a group")
}

/// Another person's group, in which the account is a plain member.
async fn of_budi(world: &World) -> ChatJid {
    let group = json!({"subject": "Budi's", "participants": [BUDI], "creator": BUDI});
    jid(world.simulator.post("/groups", group).await["id"].as_str().expect("an id"))
}

async fn change(
    world: &World,
    command: Command,
    group: &ChatJid,
    people: &[&str],
) -> Result<ParticipantResults, CommandError> {
    let participants = people.iter().map(|person| jid(person)).collect();
    world.ask(command, ChangeParticipants { group: group.clone(), participants }).await
}

fn nothing(group: &ChatJid) -> ChangeGroup {
    ChangeGroup { group: group.clone(), subject: None, description: None, announcement: None, locked: None }
}

#[tokio::test]
async fn a_group_is_made_without_who_refuses_and_says_why() {
    let world = World::connected(&[]).await;
    world.simulator.patch(&format!("/contacts/{ANI}"), json!({"refusesGroups": true})).await;
    world.simulator.patch(&format!("/contacts/{CICI}"), json!({"registered": false})).await;
    let GroupCreated { group, participants } = create(&world, " Team ", &[BUDI, ANI, CICI]).await;
    assert_eq!((group.subject.as_str(), group.size, group.participants.len()), ("Team", 2, 2));
    let codes: Vec<_> = participants.iter().map(|result| (result.ok, result.code)).collect();
    assert_eq!(codes, [(true, None), (false, Some(403)), (false, Some(404))]);
    assert_eq!(participants[2].message.as_deref(), Some("is not on WhatsApp"));

    let budi = group.participants.iter().find(|member| member.jid.as_str() == BUDI_JID).expect("Budi by his number");
    assert_eq!((budi.pn.as_ref(), budi.admin), (Some(&budi.jid), None));
    assert!(budi.lid.as_ref().is_some_and(ChatJid::is_lid), "{budi:?}");
    let own =
        group.participants.iter().find(|member| member.admin == Some(GroupRole::Superadmin)).expect("the account");
    assert_eq!(group.owner.as_ref(), Some(&own.jid));
    assert!(group.created_at.is_some());
    let told = world.data("group.updated", |data| data["change"] == "created").await;
    assert_eq!((&told["chat"]["jid"], &told["fromMe"]), (&json!(group.id), &json!(true)));

    let of = GroupRequest { group: group.id.clone() };
    let shown: GroupDetails = world.ask(Command::Group, &of).await.expect("it is there");
    assert_eq!(shown, group);
    create(&world, "Second", &[]).await;
    let page = |after| ListGroups { limit: 1, after };
    let first: GroupPage = world.ask(Command::ListGroups, page(None)).await.expect("a page");
    let second: GroupPage = world.ask(Command::ListGroups, page(first.next.clone())).await.expect("the other");
    let mut subjects: Vec<_> = [&first.groups[0], &second.groups[0]].map(|group| group.subject.clone()).into();
    subjects.sort();
    assert_eq!((subjects, second.next), (vec!["Second".to_owned(), "Team".to_owned()], None));
    world.finish().await;
}

#[tokio::test]
async fn members_come_and_go_and_read_only_what_is_theirs() {
    let world = World::connected(&[]).await;
    let group = create(&world, "Team", &[BUDI]).await.group.id;
    world.send(group.as_str(), "before").await.expect("sent");
    world.simulator.contact_receives(BUDI, "the first", SOON, |got| got["text"] == "before").await;
    let added = change(&world, Command::AddParticipants, &group, &[ANI, BUDI]).await.expect("asked").participants;
    assert_eq!((added[0].ok, added[1].ok, added[1].code), (true, false, Some(409)));
    assert_eq!(added[1].message.as_deref(), Some("is in the group already"));
    let told = world.data("group.participants", |data| data["action"] == "add").await;
    assert_eq!((&told["participants"][0]["jid"], &told["fromMe"]), (&json!(ANI_JID), &json!(true)));
    world.send(group.as_str(), "together").await.expect("sent");
    for member in [ANI, BUDI] {
        world.simulator.contact_receives(member, "the second", SOON, |got| got["text"] == "together").await;
    }

    for (command, action, rank) in [
        (Command::PromoteParticipants, "promote", Some(GroupRole::Admin)),
        (Command::DemoteParticipants, "demote", None),
    ] {
        let changed = change(&world, command, &group, &[ANI, CICI]).await.expect("asked").participants;
        assert_eq!((changed[0].ok, changed[1].code), (true, Some(404)), "{changed:?}");
        let shown: GroupDetails =
            world.ask(Command::Group, GroupRequest { group: group.clone() }).await.expect("it is there");
        let ani = shown.participants.iter().find(|member| member.jid.as_str() == ANI_JID).expect("Ani");
        assert_eq!(ani.admin, rank);
        world.data("group.participants", |data| data["action"] == action).await;
    }
    let removed = change(&world, Command::RemoveParticipants, &group, &[BUDI]).await.expect("asked").participants;
    assert!(removed[0].ok, "{removed:?}");
    world.data("group.participants", |data| data["action"] == "remove").await;
    world.send(group.as_str(), "after").await.expect("sent");
    world.simulator.contact_receives(ANI, "the third", SOON, |got| got["text"] == "after").await;
    let texts = |received: Vec<serde_json::Value>| received.iter().map(|got| got["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(world.simulator.received_by(ANI).await), ["together", "after"]);
    assert_eq!(texts(world.simulator.received_by(BUDI).await), ["before", "together"]);
    world.finish().await;
}

#[tokio::test]
async fn what_a_group_says_of_itself_is_changed_or_it_is_said_what_was_not() {
    let world = World::connected(&[]).await;
    let group = create(&world, "Team", &[BUDI]).await.group.id;
    let all = ChangeGroup {
        group: group.clone(),
        subject: Some("Crew".to_owned()),
        description: Some("all of us".to_owned()),
        announcement: Some(true),
        locked: Some(true),
    };
    let changed: GroupDetails = world.ask(Command::ChangeGroup, &all).await.expect("changed");
    assert_eq!((changed.subject.as_str(), changed.description.as_deref()), ("Crew", Some("all of us")));
    assert!(changed.announcement && changed.locked);
    for change in ["subject", "description", "announcement", "locked"] {
        let told = world.data("group.updated", |data| data["change"] == change).await;
        assert_eq!(told["fromMe"], true);
    }
    let removed = ChangeGroup { description: Some(String::new()), ..nothing(&group) };
    let removed: GroupDetails = world.ask(Command::ChangeGroup, removed).await.expect("changed");
    assert_eq!((removed.description, removed.subject.as_str()), (None, "Crew"));

    let group = of_budi(&world).await;
    let refused = world.ask::<GroupDetails>(Command::ChangeGroup, ChangeGroup { group: group.clone(), ..all }).await;
    let refused = refused.expect_err("only an administrator may");
    assert_eq!((refused.code, refused.whatsapp_code), (CommandErrorCode::RefusedByWhatsapp, Some(403)));
    assert!(refused.message.starts_with("announcement was not changed, subject and description was:"), "{refused}");
    let bad = ChangeGroup { subject: Some(" ".to_owned()), ..nothing(&group) };
    assert_eq!(
        world.ask::<GroupDetails>(Command::ChangeGroup, bad).await.expect_err("no subject").code,
        CommandErrorCode::InvalidRequest
    );
    world.finish().await;
}

#[tokio::test]
async fn who_may_not_and_who_is_not_there_are_told_apart() {
    let world = World::connected(&[]).await;
    let group = of_budi(&world).await;
    let refused = change(&world, Command::AddParticipants, &group, &[ANI]).await.expect_err("no administrator");
    assert_eq!((refused.code, refused.whatsapp_code), (CommandErrorCode::RefusedByWhatsapp, Some(403)));
    let refused = world.ask::<InviteLink>(Command::GroupInvite, GroupRequest { group: group.clone() }).await;
    assert_eq!(refused.expect_err("no administrator").whatsapp_code, Some(401));
    let GroupLeft {} = world.ask(Command::LeaveGroup, GroupRequest { group: group.clone() }).await.expect("left");
    world.data("group.participants", |data| data["action"] == "remove").await;
    for left in [group, jid("120363000000000001@g.us")] {
        let of = GroupRequest { group: left.clone() };
        let refusals = [
            world.ask::<GroupDetails>(Command::Group, &of).await.expect_err("not in it"),
            world.ask::<GroupLeft>(Command::LeaveGroup, &of).await.expect_err("not in it"),
            world.ask::<InviteLink>(Command::RevokeGroupInvite, &of).await.expect_err("not in it"),
            change(&world, Command::AddParticipants, &left, &[ANI]).await.expect_err("not in it"),
            change(&world, Command::RemoveParticipants, &left, &[BUDI]).await.expect_err("not in it"),
        ];
        for refusal in refusals {
            assert_eq!(refusal.code, CommandErrorCode::GroupNotFound, "{refusal}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn an_invitation_is_good_until_it_is_replaced() {
    let world = World::connected(&[]).await;
    let id = create(&world, "Open", &[BUDI]).await.group.id;
    let of = GroupRequest { group: id.clone() };
    let old: InviteLink = world.ask(Command::GroupInvite, &of).await.expect("a link");
    assert_eq!(old.link, format!("https://chat.whatsapp.com/{}", old.code));
    assert_eq!(world.ask::<InviteLink>(Command::GroupInvite, &of).await.expect("the same"), old);
    let new: InviteLink = world.ask(Command::RevokeGroupInvite, &of).await.expect("a new one");
    assert_ne!(new.code, old.code);
    world.data("group.updated", |data| data["change"] == "invite_revoked").await;

    let join =
        async |code: &str| world.ask::<GroupJoined>(Command::JoinGroup, JoinGroup { code: code.to_owned() }).await;
    let there = GroupJoined { id: id.clone(), pending: false };
    assert_eq!(join(&new.link).await.expect("who is in it is where he wanted to be"), there);
    let GroupLeft {} = world.ask(Command::LeaveGroup, &of).await.expect("left");
    assert_eq!(join(&new.code).await.expect("let in"), there);
    let shown: GroupDetails = world.ask(Command::Group, &of).await.expect("in it again");
    assert_eq!(shown.size, 2);
    for bad in [old.code.as_str(), "nonsense"] {
        assert_eq!(join(bad).await.expect_err("no invitation").code, CommandErrorCode::InviteNotFound, "{bad}");
    }
    world.finish().await;
}

#[tokio::test]
async fn before_the_pairing_nothing_is_asked() {
    let world = World::unpaired(&[]).await;
    world.qr(None).await;
    let refused = world.ask::<GroupPage>(Command::ListGroups, ListGroups { limit: 10, after: None }).await;
    assert_eq!(refused.expect_err("not paired").code, CommandErrorCode::NotConnected);
    world.finish().await;
}
