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
    contacts::only_account,
    response::{ApiError, ApiResult, JsonBody},
};
use crate::{
    groups::{ChatGroup, GroupDescription},
    phone_number::PhoneNumber,
    state::SharedState,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    subject: String,
    participants: Vec<PhoneNumber>,
    /// The account in it; may be left out if there is one.
    account: Option<PhoneNumber>,
    /// Who makes it and administers it; the account if nobody is named.
    creator: Option<PhoneNumber>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupView {
    id: String,
    subject: String,
    creator: PhoneNumber,
    participants: Vec<PhoneNumber>,
    admins: Vec<PhoneNumber>,
    description: Option<String>,
    announcement: bool,
    locked: bool,
    /// The code of its invitation link; null if nobody asked for one.
    invite: Option<String>,
    /// Its picture's id; null if there is none.
    picture: Option<String>,
}

impl GroupView {
    fn of(group: &ChatGroup) -> Self {
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

pub async fn create(
    State(shared): State<SharedState>,
    JsonBody(new): JsonBody<NewGroup>,
) -> ApiResult<(StatusCode, Json<GroupView>)> {
    if new.participants.is_empty() {
        return Err(ApiError::bad("a group needs at least one participant"));
    }
    let mut server = shared.lock();
    let mut participants: BTreeSet<PhoneNumber> =
        new.participants.iter().map(|number| server.people.registered(number)).collect();
    let has_account =
        participants.iter().any(|number| server.people.get(number).is_some_and(|person| person.is_account));
    let creator = match new.account {
        Some(account) => Some(account),
        // Clients that are named as participants need no further account.
        None if has_account => None,
        None => Some(only_account(
            &server,
            &participants.iter().next().cloned().ok_or_else(|| ApiError::bad("no participant"))?,
        )?),
    };
    participants.extend(creator.clone());
    participants.extend(new.creator.clone());
    let creator = new.creator.or(creator);
    for number in &participants {
        server.people.meet(number)?;
    }
    let creator = creator.or_else(|| participants.first().cloned()).ok_or_else(|| ApiError::bad("no participant"))?;
    let now = server.now();
    server.dirty = true;
    let group = server
        .groups
        .create(new.subject, creator, participants, now)
        .map_err(|error| ApiError::bad(error.to_string()))?;
    Ok((StatusCode::CREATED, Json(GroupView::of(group))))
}

pub async fn list(State(shared): State<SharedState>) -> Json<Vec<GroupView>> {
    Json(shared.lock().groups.iter().map(GroupView::of).collect())
}

pub async fn show(State(shared): State<SharedState>, Path(id): Path<String>) -> ApiResult<Json<GroupView>> {
    let server = shared.lock();
    let group = server.groups.get(&id);
    group
        .map(|group| Json(GroupView::of(group)))
        .ok_or_else(|| ApiError::not_found(format!("there is no group {id:?}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupChanges {
    /// Who does it; its maker if nobody is named.
    by: Option<PhoneNumber>,
    subject: Option<String>,
    description: Option<String>,
    /// Only administrators may write.
    announcement: Option<bool>,
    /// Only administrators may change its data.
    locked: Option<bool>,
    #[serde(default)]
    add: Vec<PhoneNumber>,
    #[serde(default)]
    remove: Vec<PhoneNumber>,
    #[serde(default)]
    promote: Vec<PhoneNumber>,
    #[serde(default)]
    demote: Vec<PhoneNumber>,
}

pub async fn change(
    State(shared): State<SharedState>,
    Path(id): Path<String>,
    JsonBody(change): JsonBody<GroupChanges>,
) -> ApiResult<Json<GroupView>> {
    let mut server = shared.lock();
    for number in &change.add {
        server.people.meet(number)?;
    }
    let missing = || ApiError::not_found(format!("there is no group {id:?}"));
    let group = server.groups.get_mut(&id).ok_or_else(missing)?;
    let by = change.by.clone().unwrap_or_else(|| group.creator.clone());
    // A member that is removed is told, too.
    let mut told: BTreeSet<PhoneNumber> = group.participants.clone();
    group.participants.extend(change.add.iter().cloned());
    for number in &change.remove {
        group.remove(number);
    }
    group.admins.extend(change.promote.iter().cloned());
    group.admins.retain(|number| !change.demote.contains(number));
    group.announcement = change.announcement.unwrap_or(group.announcement);
    group.locked = change.locked.unwrap_or(group.locked);
    if let Some(text) = &change.description {
        group.description = Some(GroupDescription { id: "1".to_owned(), text: text.clone() });
    }
    if let Some(subject) = &change.subject {
        group.subject.clone_from(subject);
    }
    told.extend(group.participants.iter().cloned());
    let shown = GroupView::of(group);
    server.dirty = true;
    let told: Vec<PhoneNumber> = told.into_iter().collect();
    server.tell_of_group(&shown.id, &by, &told, changes(&change, &by));
    Ok(Json(shown))
}

/// As the server's notification names them.
fn changes(change: &GroupChanges, by: &PhoneNumber) -> Vec<Node> {
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
