//! Groups: made, shown and changed.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use wacore_binary::{Node, builder::NodeBuilder};

use super::{
    answer::{Answer, Body, Error},
    contacts::only_account,
};
use crate::{
    groups::{Description, Group},
    people::Number,
    world::Shared,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    subject: String,
    participants: Vec<Number>,
    /// The account in it; may be left out if there is one.
    account: Option<Number>,
    /// Who makes it and administers it; the account if nobody is named.
    creator: Option<Number>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    id: String,
    subject: String,
    creator: Number,
    participants: Vec<Number>,
    admins: Vec<Number>,
    description: Option<String>,
    announcement: bool,
    locked: bool,
    /// The code of its invitation link; null if nobody asked for one.
    invite: Option<String>,
    /// Its picture's id; null if there is none.
    picture: Option<String>,
}

impl Shown {
    fn of(group: &Group) -> Self {
        Self {
            id: group.jid().to_string(),
            subject: group.subject.clone(),
            creator: group.creator.clone(),
            participants: group.participants.iter().cloned().collect(),
            admins: group.participants.iter().filter(|member| group.is_admin(member)).cloned().collect(),
            description: group.description.as_ref().map(|description| description.text.clone()),
            announcement: group.announcement,
            locked: group.locked,
            invite: group.invites.last().cloned(),
            picture: group.picture.as_ref().map(|picture| picture.id.clone()),
        }
    }
}

pub async fn create(State(shared): State<Shared>, Body(new): Body<NewGroup>) -> Answer<(StatusCode, Json<Shown>)> {
    if new.participants.is_empty() {
        return Err(Error::bad("a group needs at least one participant"));
    }
    let mut world = shared.lock();
    let mut participants: BTreeSet<Number> = new.participants.into_iter().collect();
    let has_account =
        participants.iter().any(|number| world.people.get(number).is_some_and(|person| person.is_account));
    let creator = match new.account {
        Some(account) => Some(account),
        // Clients that are named as participants need no further account.
        None if has_account => None,
        None => Some(only_account(
            &world,
            &participants.iter().next().cloned().ok_or_else(|| Error::bad("no participant"))?,
        )?),
    };
    participants.extend(creator.clone());
    participants.extend(new.creator.clone());
    let creator = new.creator.or(creator);
    for number in &participants {
        world.people.meet(number)?;
    }
    let creator = creator.or_else(|| participants.first().cloned()).ok_or_else(|| Error::bad("no participant"))?;
    let now = world.now();
    world.dirty = true;
    let group =
        world.groups.create(new.subject, creator, participants, now).map_err(|error| Error::bad(error.to_string()))?;
    Ok((StatusCode::CREATED, Json(Shown::of(group))))
}

pub async fn list(State(shared): State<Shared>) -> Json<Vec<Shown>> {
    Json(shared.lock().groups.iter().map(Shown::of).collect())
}

pub async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<Json<Shown>> {
    let world = shared.lock();
    let group = world.groups.get(&id);
    group.map(|group| Json(Shown::of(group))).ok_or_else(|| Error::not_found(format!("there is no group {id:?}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Who does it; its maker if nobody is named.
    by: Option<Number>,
    subject: Option<String>,
    description: Option<String>,
    /// Only administrators may write.
    announcement: Option<bool>,
    /// Only administrators may change its data.
    locked: Option<bool>,
    #[serde(default)]
    add: Vec<Number>,
    #[serde(default)]
    remove: Vec<Number>,
    #[serde(default)]
    promote: Vec<Number>,
    #[serde(default)]
    demote: Vec<Number>,
}

pub async fn change(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Body(change): Body<Change>,
) -> Answer<Json<Shown>> {
    let mut world = shared.lock();
    for number in &change.add {
        world.people.meet(number)?;
    }
    let missing = || Error::not_found(format!("there is no group {id:?}"));
    let group = world.groups.get_mut(&id).ok_or_else(missing)?;
    let by = change.by.clone().unwrap_or_else(|| group.creator.clone());
    // Whoever leaves learns of it as well.
    let mut told: BTreeSet<Number> = group.participants.clone();
    group.participants.extend(change.add.iter().cloned());
    for number in &change.remove {
        group.remove(number);
    }
    group.admins.extend(change.promote.iter().cloned());
    group.admins.retain(|number| !change.demote.contains(number));
    group.announcement = change.announcement.unwrap_or(group.announcement);
    group.locked = change.locked.unwrap_or(group.locked);
    if let Some(text) = &change.description {
        group.description = Some(Description { id: "1".to_owned(), text: text.clone() });
    }
    if let Some(subject) = &change.subject {
        group.subject.clone_from(subject);
    }
    told.extend(group.participants.iter().cloned());
    let shown = Shown::of(group);
    world.dirty = true;
    let told: Vec<Number> = told.into_iter().collect();
    world.tell_of_group(&shown.id, &by, &told, changes(&change, &by));
    Ok(Json(shown))
}

/// As the server's notification names them.
fn changes(change: &Change, by: &Number) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Some(subject) = &change.subject {
        nodes.push(NodeBuilder::new("subject").attr("subject", subject.as_str()).attr("s_o", by.lid_jid(0)).build());
    }
    if let Some(description) = &change.description {
        let body = NodeBuilder::new("body").bytes(description.as_bytes().to_vec()).build();
        nodes.push(NodeBuilder::new("description").attr("id", "1").children([body]).build());
    }
    for (setting, [on, off]) in
        [(change.announcement, ["announcement", "not_announcement"]), (change.locked, ["locked", "unlocked"])]
    {
        nodes.extend(setting.map(|is_on| NodeBuilder::new(if is_on { on } else { off }).build()));
    }
    for (tag, numbers) in
        [("add", &change.add), ("remove", &change.remove), ("promote", &change.promote), ("demote", &change.demote)]
    {
        let participants = numbers.iter().map(|number| {
            NodeBuilder::new("participant").attr("jid", number.lid_jid(0)).attr("phone_number", number.jid(0)).build()
        });
        if !numbers.is_empty() {
            nodes.push(NodeBuilder::new(tag).children(participants).build());
        }
    }
    nodes
}
