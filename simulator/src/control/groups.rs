//! Groups: made, shown and changed.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wacore_binary::{Node, builder::NodeBuilder};

use super::{
    contacts::only_account,
    response::{ApiError, ApiResult, Created, JsonBody},
};
use crate::{
    groups::{ChatGroup, CommunityPlace, GroupDescription, GroupSettings},
    phone_number::PhoneNumber,
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    subject: String,
    participants: Vec<PhoneNumber>,
    /// The account in it; may be left out if there is one.
    account: Option<PhoneNumber>,
    /// Who makes it and administers it; the account if nobody is named.
    creator: Option<PhoneNumber>,
}

#[derive(Serialize, JsonSchema)]
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
    settings: GroupSettings,
    /// Who wants to join.
    requests: Vec<PhoneNumber>,
    /// The code of its invitation link; null if nobody asked for one.
    invite: Option<String>,
    /// Its picture's id; null if there is none.
    picture: Option<String>,
    /// Its place among others: `alone`, a community (`parent`), or linked to one.
    place: CommunityPlace,
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
            settings: group.settings.clone(),
            requests: group.requests.keys().cloned().collect(),
            invite: group.invites.last().cloned(),
            picture: group.picture.as_ref().map(|picture| picture.id.clone()),
            place: group.place.clone(),
        }
    }
}

pub async fn create(
    State(shared): State<SharedState>,
    JsonBody(new): JsonBody<NewGroup>,
) -> ApiResult<Created<GroupView>> {
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
    Ok(Created(GroupView::of(group)))
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

#[derive(Deserialize, JsonSchema)]
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
    /// All settings beyond these: `ephemeral`, `approval`, `noFrequentlyForwarded`, `adminReports`, `history`.
    settings: Option<GroupSettings>,
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
    let now = server.now();
    let missing = || ApiError::not_found(format!("there is no group {id:?}"));
    let group = server.groups.get_mut(&id).ok_or_else(missing)?;
    let by = change.by.clone().unwrap_or_else(|| group.creator.clone());
    // A member that is removed is told, too.
    let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
    let added: Vec<PhoneNumber> =
        change.add.iter().filter(|number| !group.participants.contains(*number)).cloned().collect();
    for number in &change.remove {
        group.remove(number);
    }
    group.admins.extend(change.promote.iter().cloned());
    group.admins.retain(|number| !change.demote.contains(number));
    group.announcement = change.announcement.unwrap_or(group.announcement);
    group.locked = change.locked.unwrap_or(group.locked);
    if let Some(text) = &change.description {
        group.description =
            Some(GroupDescription { id: "1".to_owned(), text: text.clone(), set: Some((now, by.clone())) });
    }
    if let Some(subject) = &change.subject {
        group.subject.clone_from(subject);
        group.subject_set = Some((now, by.clone()));
    }
    if let Some(settings) = &change.settings {
        group.settings = settings.clone();
    }
    let nodes = changes(&change, &by, group, now);
    server.dirty = true;
    // One notification for each change, as the server writes them.
    for node in nodes {
        server.tell_of_group(&id, &by, &told, vec![node]);
    }
    server.add_members(&by, &id, &added, "");
    let group = server.groups.get(&id).ok_or_else(missing)?;
    Ok(Json(GroupView::of(group)))
}

/// As the server's notifications name them, all but new members.
fn changes(change: &GroupChanges, by: &PhoneNumber, group: &mut ChatGroup, now: i64) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Some(subject) = &change.subject {
        let node = NodeBuilder::new("subject").attr("subject", subject.as_str()).attr("s_o", by.lid_jid(0));
        nodes.push(node.attr("s_o_pn", by.jid(0)).attr("s_t", now.to_string()).build());
    }
    if let Some(description) = &change.description {
        let body = NodeBuilder::new("body").bytes(description.as_bytes().to_vec()).build();
        nodes.push(NodeBuilder::new("description").attr("id", "1").children([body]).build());
    }
    if let Some(is_on) = change.announcement {
        group.announcement_version += 1;
        let node = NodeBuilder::new(if is_on { "announcement" } else { "not_announcement" });
        nodes.push(node.attr("v_id", group.announcement_version.to_string()).build());
    }
    nodes.extend(change.locked.map(|is_on| NodeBuilder::new(if is_on { "locked" } else { "unlocked" }).build()));
    if let Some(settings) = &change.settings {
        nodes.push(match settings.ephemeral {
            0 => NodeBuilder::new("not_ephemeral").build(),
            seconds => NodeBuilder::new("ephemeral").attr("expiration", seconds.to_string()).build(),
        });
        let state = if settings.approval { "on" } else { "off" };
        let join = NodeBuilder::new("group_join").attr("state", state).build();
        nodes.push(NodeBuilder::new("membership_approval_mode").children([join]).build());
    }
    for (tag, numbers) in [("remove", &change.remove), ("promote", &change.promote), ("demote", &change.demote)] {
        let participants = numbers.iter().map(|number| {
            NodeBuilder::new("participant").attr("jid", number.lid_jid(0)).attr("phone_number", number.jid(0)).build()
        });
        if !numbers.is_empty() {
            let versions = group.next_members_version();
            nodes.push(versions.on(NodeBuilder::new(tag)).children(participants).build());
        }
    }
    nodes
}
