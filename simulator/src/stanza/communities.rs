//! Communities: parent groups with groups linked to them. Clients make them, link and unlink groups, look at the linked
//! ones, join them, and end the community. Everybody in a linked group is in the community and in its announcements.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    graphql::{GraphqlAnswer, GraphqlError},
    groups::{describe, participant_of},
    iq::IqReply,
    node::{attribute, children, jid},
};
use crate::{
    groups::{ChatGroup, CommunityPlace, LinkedKind, bare},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// The refusal of an element, as clients read it.
const NOT_FOUND: &str = "404";
const NOT_ALLOWED: &str = "403";
const LINKED_ELSEWHERE: &str = "409";
/// Who wants to join a community has to be approved.
const APPROVAL_MODE: &str = "default_membership_approval_mode";
const APPROVAL_REQUIRED: &str = "request_required";

impl ServerState {
    /// The place in a community that a client asks for when it makes a group; or the refusal.
    pub(super) fn place_at_creation(
        &self,
        number: &PhoneNumber,
        wanted: &NodeRef<'_>,
    ) -> Result<CommunityPlace, (u16, &'static str)> {
        if wanted.get_optional_child("parent").is_some() {
            let members_make_groups = wanted.get_optional_child("allow_non_admin_sub_group_creation").is_some();
            return Ok(CommunityPlace::Parent { members_make_groups });
        }
        let Some(linked) = wanted.get_optional_child("linked_parent") else { return Ok(CommunityPlace::Alone) };
        let parent = jid(linked, "jid").ok_or((400, "bad-request"))?;
        let parent = self.groups.get(&parent.user).ok_or((404, "item-not-found"))?;
        let CommunityPlace::Parent { members_make_groups } = parent.place else { return Err((400, "bad-request")) };
        let may = parent.is_admin(number) || members_make_groups && parent.participants.contains(number);
        if !may {
            return Err((403, "forbidden"));
        }
        Ok(CommunityPlace::Linked { parent: parent.id.clone(), kind: LinkedKind::Normal })
    }

    /// Whether a client that makes a community wants to approve who joins it.
    pub(super) fn wants_approval(wanted: &NodeRef<'_>) -> bool {
        let parent = wanted.get_optional_child("parent");
        parent.and_then(|parent| attribute(parent, APPROVAL_MODE)).as_deref() == Some(APPROVAL_REQUIRED)
    }

    /// The groups that a new community begins with: announcements, and a general chat if it was asked for.
    pub(super) fn begin_community(&mut self, number: &PhoneNumber, id: &str, has_general_chat: bool) {
        let Some(subject) = self.groups.get(id).map(|group| group.subject.clone()) else { return };
        let mut kinds = vec![(LinkedKind::Announcements, subject)];
        if has_general_chat {
            kinds.push((LinkedKind::General, "General".to_owned()));
        }
        for (kind, subject) in kinds {
            let now = self.now();
            let members = BTreeSet::from([number.clone()]);
            let Ok(group) = self.groups.create(subject, number.clone(), members, now) else { return };
            let linked = group.id.clone();
            if let Some(group) = self.groups.get_mut(&linked) {
                group.announcement = kind == LinkedKind::Announcements;
                group.place = CommunityPlace::Linked { parent: id.to_owned(), kind };
                let created = NodeBuilder::new("create").children([describe(group)]).build();
                self.tell_of_group(&linked, number, std::slice::from_ref(number), vec![created]);
            }
        }
    }

    /// What a member of a community asks of it. None for what is asked of any group.
    pub(super) fn on_community_iq(
        &mut self,
        number: &PhoneNumber,
        id: &str,
        (kind, tag): (&str, &str),
        asked: &NodeRef<'_>,
    ) -> Option<IqReply> {
        let group = self.groups.get(id)?;
        if !matches!(group.place, CommunityPlace::Parent { .. }) {
            return None;
        }
        let is_admin = group.is_admin(number);
        Some(match (kind, tag) {
            ("get", "sub_groups") => {
                let linked = self.linked_groups(id).map(|group| brief(group).build());
                IqReply::one(NodeBuilder::new("sub_groups").children(linked).build())
            }
            ("get", "linked_groups_participants") => {
                let everybody: BTreeSet<&PhoneNumber> =
                    self.linked_groups(id).flat_map(|group| group.participants.iter()).collect();
                let nodes = everybody.into_iter().map(|number| participant_of(number).build());
                IqReply::one(NodeBuilder::new("linked_groups_participants").children(nodes).build())
            }
            ("get", "query_linked") => match self.linked_group(id, asked) {
                Some(group) => IqReply::one(NodeBuilder::new("linked_group").children([describe(group)]).build()),
                None => IqReply::refused(404, "item-not-found"),
            },
            ("set", "join_linked_group") => self.join_linked_group(number, id, asked),
            ("set", "links" | "unlink" | "delete_parent") if !is_admin => IqReply::refused(403, "forbidden"),
            ("set", "links") => self.link_groups(number, id, asked),
            ("set", "unlink") => self.unlink_groups(number, id, asked),
            ("set", "delete_parent") => self.end_community(number, id),
            _ => return None,
        })
    }

    fn linked_groups<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a ChatGroup> {
        self.groups.iter().filter(move |group| group.parent() == Some(bare(parent)))
    }

    /// What everybody in a community is in: the community itself, and its announcements.
    fn common_chats(&self, parent: &str) -> Vec<String> {
        let announcements = self.linked_groups(parent).filter(|group| group.is_announcements());
        std::iter::once(bare(parent).to_owned()).chain(announcements.map(|group| group.id.clone())).collect()
    }

    fn linked_group(&self, parent: &str, asked: &NodeRef<'_>) -> Option<&ChatGroup> {
        let wanted = jid(asked, "jid")?;
        self.groups.get(&wanted.user).filter(|group| group.parent() == Some(bare(parent)))
    }

    fn link_groups(&mut self, number: &PhoneNumber, id: &str, links: &NodeRef<'_>) -> IqReply {
        let Some(link) = links.get_optional_child("link") else { return IqReply::refused(400, "bad-request") };
        let asked: Vec<String> =
            children(link, "group").filter_map(|group| jid(group, "jid")).map(|jid| jid.user.to_string()).collect();
        let mut answers = Vec::new();
        for linked in asked {
            let answer = NodeBuilder::new("group").attr("jid", wacore_binary::Jid::group(linked.as_str()));
            answers.push(match self.link_group(number, id, &linked) {
                Ok(()) => answer.build(),
                Err(code) => answer.attr("error", code).build(),
            });
        }
        let link = NodeBuilder::new("link").attr("link_type", "sub_group").children(answers).build();
        IqReply::one(NodeBuilder::new("links").children([link]).build())
    }

    fn link_group(&mut self, number: &PhoneNumber, parent: &str, id: &str) -> Result<(), &'static str> {
        let group = self.groups.get_mut(id).ok_or(NOT_FOUND)?;
        if !group.is_admin(number) {
            return Err(NOT_ALLOWED);
        }
        if group.place != CommunityPlace::Alone {
            return Err(LINKED_ELSEWHERE);
        }
        group.place = CommunityPlace::Linked { parent: bare(parent).to_owned(), kind: LinkedKind::Normal };
        let members: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        self.dirty = true;
        self.tell_of_link(number, parent, id, "link", None);
        self.enter_community(number, parent, &members);
        Ok(())
    }

    /// Who is in a linked group is in the community, and hears its announcements.
    pub(super) fn enter_community(&mut self, by: &PhoneNumber, parent: &str, members: &[PhoneNumber]) {
        for id in self.common_chats(parent) {
            let Some(group) = self.groups.get(&id) else { continue };
            let new: Vec<PhoneNumber> =
                members.iter().filter(|member| !group.participants.contains(*member)).cloned().collect();
            self.add_members(by, &id, &new, "");
        }
    }

    fn unlink_groups(&mut self, number: &PhoneNumber, id: &str, unlink: &NodeRef<'_>) -> IqReply {
        let asked: Vec<(String, bool)> = children(unlink, "group")
            .filter_map(|group| {
                let removes = attribute(group, "remove_orphaned_members").as_deref() == Some("true");
                Some((jid(group, "jid")?.user.to_string(), removes))
            })
            .collect();
        let mut answers = Vec::new();
        for (linked, removes_orphans) in asked {
            let answer = NodeBuilder::new("group").attr("jid", wacore_binary::Jid::group(linked.as_str()));
            let group = self.groups.get_mut(&linked).filter(|group| group.parent() == Some(bare(id)));
            let code = match group {
                None => Some(NOT_FOUND),
                // A community without announcements is none.
                Some(group) if group.is_announcements() => Some("406"),
                Some(group) => {
                    let members: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
                    self.tell_of_link(number, id, &linked, "unlink", Some("unlink_group"));
                    if let Some(group) = self.groups.get_mut(&linked) {
                        group.place = CommunityPlace::Alone;
                    }
                    if removes_orphans {
                        self.remove_orphans(number, id, &members);
                    }
                    None
                }
            };
            answers.push(code.into_iter().fold(answer, |answer, code| answer.attr("error", code)).build());
        }
        self.dirty = true;
        IqReply::one(NodeBuilder::new("unlink").attr("unlink_type", "sub_group").children(answers).build())
    }

    /// Members that are in none of the community's chats any more.
    fn remove_orphans(&mut self, by: &PhoneNumber, id: &str, members: &[PhoneNumber]) {
        let orphans: Vec<PhoneNumber> = members
            .iter()
            .filter(|member| {
                let mut chats = self.linked_groups(id).filter(|group| !group.is_announcements());
                *member != by && !chats.any(|group| group.participants.contains(*member))
            })
            .cloned()
            .collect();
        for group in self.common_chats(id) {
            self.remove_members(by, &group, &orphans);
        }
    }

    /// Takes members out of the community and all its groups; who made a group stays in it.
    pub(super) fn leave_community(&mut self, by: &PhoneNumber, id: &str, members: &[PhoneNumber]) {
        let linked: Vec<String> = self.linked_groups(id).map(|group| group.id.clone()).collect();
        for group in linked {
            self.remove_members(by, &group, members);
        }
    }

    fn join_linked_group(&mut self, number: &PhoneNumber, id: &str, asked: &NodeRef<'_>) -> IqReply {
        let Some(group) = self.linked_group(id, asked) else { return IqReply::refused(404, "item-not-found") };
        if group.participants.contains(number) {
            return IqReply::refused(409, "conflict");
        }
        if group.is_full() {
            return IqReply::refused(419, "resource-limit");
        }
        let linked = group.id.clone();
        if group.settings.approval {
            return self.request_to_join(number, &linked, "linked_group_join");
        }
        self.add_members(number, &linked, std::slice::from_ref(number), "linked_group_join");
        let Some(group) = self.groups.get(&linked) else { return IqReply::refused(404, "item-not-found") };
        IqReply::one(NodeBuilder::new("linked_group").children([describe(group)]).build())
    }

    /// The groups go on without the community; its announcements end with it.
    fn end_community(&mut self, number: &PhoneNumber, id: &str) -> IqReply {
        let linked: Vec<(String, bool)> =
            self.linked_groups(id).map(|group| (group.id.clone(), group.is_announcements())).collect();
        for (group, is_announcements) in linked {
            self.tell_of_link(number, id, &group, "unlink", Some("delete_parent"));
            if is_announcements {
                self.end_group(number, &group);
            } else if let Some(group) = self.groups.get_mut(&group) {
                group.place = CommunityPlace::Alone;
            }
        }
        self.end_group(number, id);
        self.dirty = true;
        IqReply::empty()
    }

    fn end_group(&mut self, by: &PhoneNumber, id: &str) {
        let members: Vec<PhoneNumber> =
            self.groups.get(id).into_iter().flat_map(|group| group.participants.iter().cloned()).collect();
        self.tell_of_group(id, by, &members, vec![NodeBuilder::new("delete").build()]);
        self.groups.remove(id);
    }

    /// Tells both sides: the community which group, the group which community.
    fn tell_of_link(&mut self, by: &PhoneNumber, parent: &str, id: &str, tag: &'static str, reason: Option<&str>) {
        let sides = [(parent, id, "sub_group"), (id, parent, "parent_group")];
        for (told, other, kind) in sides {
            let (Some(told_group), Some(other)) = (self.groups.get(told), self.groups.get(other)) else { continue };
            let members: Vec<PhoneNumber> = told_group.participants.iter().cloned().collect();
            let change = NodeBuilder::new(tag).attr(if tag == "link" { "link_type" } else { "unlink_type" }, kind);
            let change = reason.into_iter().fold(change, |node, reason| node.attr("unlink_reason", reason));
            let change = change.children([brief(other).build()]).build();
            self.tell_of_group(told, by, &members, vec![change]);
        }
    }

    /// For GraphQL: the announcements by themselves, then every other linked group.
    pub(super) fn show_subgroups(&self, account: &PhoneNumber, variables: &Value) -> GraphqlAnswer {
        let id = self.asked_community(account, &variables["group_id"])?;
        let all = || self.linked_groups(&id);
        let announcements = all().find(|group| group.is_announcements()).map(shown);
        let edges: Vec<Value> =
            all().filter(|group| !group.is_announcements()).map(|group| json!({"node": shown(group)})).collect();
        let answer =
            json!({"id": format!("{id}@g.us"), "default_sub_group": announcements, "sub_groups": {"edges": edges}});
        Ok(("xwa2_group_query_by_id", answer))
    }

    pub(super) fn subgroup_sizes(&self, account: &PhoneNumber, variables: &Value) -> GraphqlAnswer {
        let id = self.asked_community(account, &variables["input"]["group_jid"])?;
        let edges: Vec<Value> = self.linked_groups(&id).map(|group| json!({"node": shown(group)})).collect();
        Ok(("xwa2_group_query_by_id", json!({"id": format!("{id}@g.us"), "sub_groups": {"edges": edges}})))
    }

    fn asked_community(&self, account: &PhoneNumber, id: &Value) -> Result<String, GraphqlError> {
        let group = id.as_str().and_then(|id| self.groups.get(id)).ok_or(GraphqlError::NOT_FOUND)?;
        match group.place {
            CommunityPlace::Parent { .. } if group.participants.contains(account) => Ok(group.id.clone()),
            CommunityPlace::Parent { .. } => Err(GraphqlError::FORBIDDEN),
            _ => Err(GraphqlError::NOT_FOUND),
        }
    }
}

/// A group as a list of a community's groups has it.
fn brief(group: &ChatGroup) -> NodeBuilder {
    let (at, by) = group.subject_set.clone().unwrap_or((group.created, group.creator.clone()));
    let node = NodeBuilder::new("group")
        .attr("id", group.id.as_str())
        .attr("jid", group.jid())
        .attr("subject", group.subject.as_str())
        .attr("s_t", at.to_string())
        .attr("s_o", by.lid_jid(0))
        .attr("creation", group.created.to_string())
        .attr("creator", group.creator.lid_jid(0))
        .attr("size", group.participants.len().to_string());
    node.children(in_community(group))
}

/// A group's place in a community, as part of its description.
pub(super) fn in_community(group: &ChatGroup) -> Vec<Node> {
    match &group.place {
        CommunityPlace::Alone => Vec::new(),
        CommunityPlace::Parent { members_make_groups } => {
            let parent = NodeBuilder::new("parent");
            let parent = if group.settings.approval { parent.attr(APPROVAL_MODE, APPROVAL_REQUIRED) } else { parent };
            let mut nodes = vec![parent.build()];
            if *members_make_groups {
                nodes.push(NodeBuilder::new("allow_non_admin_sub_group_creation").build());
            }
            nodes
        }
        CommunityPlace::Linked { parent, kind } => {
            let parent =
                NodeBuilder::new("linked_parent").attr("jid", wacore_binary::Jid::group(parent.as_str())).build();
            let kind = match kind {
                LinkedKind::Announcements => Some("default_sub_group"),
                LinkedKind::General => Some("general_chat"),
                LinkedKind::Normal => None,
            };
            std::iter::once(parent).chain(kind.map(|tag| NodeBuilder::new(tag).build())).collect()
        }
    }
}

fn shown(group: &ChatGroup) -> Value {
    let is_general = matches!(group.place, CommunityPlace::Linked { kind: LinkedKind::General, .. });
    json!({
        "id": group.jid().to_string(),
        "subject": {"value": group.subject, "creation_time": group.created.to_string()},
        "creation_time": group.created.to_string(),
        "creator": {"id": group.creator.lid_jid(0).to_string(), "pn": group.creator.jid(0).to_string()},
        "total_participants_count": group.participants.len(),
        "properties": {"general_chat": is_general},
    })
}
