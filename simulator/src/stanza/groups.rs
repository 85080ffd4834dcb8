//! Groups as clients ask for them (`w:g2`): shown, made, joined and left. What a member changes in one is
//! `group_changes`. Promises WhatsApp's numbers: 404 for no such group, 403 for who is not in it or may not.

use std::collections::BTreeSet;

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    communities::in_community,
    group_settings,
    iq::IqReply,
    node::{attribute, children, jid, text},
};
use crate::{
    groups::{ChatGroup, CommunityPlace, GroupDescription, GroupInvitation},
    phone_number::PhoneNumber,
    privacy::PrivacyCategory,
    randomness::Randomness,
    state::ServerState,
};

/// Letters and digits of an invitation's code, as WhatsApp's have.
const CODE: usize = 22;
/// How long an invitation is good for that goes out because somebody may not be added, seconds.
const INVITED_FOR: i64 = 3 * 24 * 60 * 60;

impl ServerState {
    pub(super) fn on_group_iq(&mut self, number: &PhoneNumber, kind: &str, iq: &NodeRef<'_>) -> IqReply {
        match self.answer_group_iq(number, kind, iq) {
            IqReply::Result(mut nodes) => {
                nodes.iter_mut().for_each(|node| self.hide_numbers(node));
                IqReply::Result(nodes)
            }
            refused @ IqReply::Error(_) => refused,
        }
    }

    /// Takes the numbers out of a stanza that their owners show to nobody.
    pub(super) fn hide_numbers(&self, node: &mut Node) {
        for name in ["phone_number", "participant_pn", "creator_pn", "s_o_pn"] {
            let number = node.attrs().optional_jid(name).and_then(|jid| self.people.number_of(&jid));
            let hides = number.and_then(|number| self.people.get(&number)).is_some_and(|person| person.hides_number);
            if hides {
                node.attrs.0.retain(|(known, _)| known != name);
            }
        }
        if let Some(wacore_binary::NodeContent::Nodes(children)) = &mut node.content {
            children.iter_mut().for_each(|child| self.hide_numbers(child));
        }
    }

    fn answer_group_iq(&mut self, number: &PhoneNumber, kind: &str, iq: &NodeRef<'_>) -> IqReply {
        let child = iq.children().and_then(|children| children.first());
        let tag = child.map(|child| child.tag.to_string()).unwrap_or_default();
        let group = jid(iq, "to").map(|to| to.user.to_string()).unwrap_or_default();
        match (group.as_str(), kind, tag.as_str(), child) {
            ("", "get", "participating", _) => {
                let mine = self.groups.iter().filter(|group| group.participants.contains(number)).map(describe);
                IqReply::one(NodeBuilder::new("groups").children(mine).build())
            }
            ("", "get", "invite", Some(invite)) => match self.invited_by(invite) {
                Ok(group) => IqReply::one(describe(group)),
                Err((code, text)) => IqReply::refused(code, text),
            },
            ("", "set", "create", Some(wanted)) => self.create_group(number, wanted),
            ("", "set", "invite", Some(invite)) => self.join_by_link(number, invite),
            ("", "get", "query", Some(query)) => self.several_groups(number, query),
            ("", "set", "leave", Some(leave)) => self.leave_groups(number, leave),
            ("", ..) | (_, _, _, None) => self.unknown_to_groups(),
            (id, kind, tag, Some(child)) => {
                let Some(group) = self.groups.get(id) else { return IqReply::refused(404, "item-not-found") };
                if !group.participants.contains(number) {
                    return match (kind, tag) {
                        ("set", "accept") => self.accept_invitation(number, id, child),
                        ("get", "query") => {
                            self.show_invitation(group, child).unwrap_or(IqReply::refused(403, "forbidden"))
                        }
                        _ => IqReply::refused(403, "forbidden"),
                    };
                }
                if let Some(reply) = self.on_community_iq(number, id, (kind, tag), child) {
                    return reply;
                }
                let Some(group) = self.groups.get(id) else { return IqReply::refused(404, "item-not-found") };
                match (kind, tag) {
                    ("get", "query") => IqReply::one(describe(group)),
                    ("get", "membership_approval_requests" | "membership_approval_request")
                        if !group.is_admin(number) =>
                    {
                        IqReply::refused(403, "forbidden")
                    }
                    ("get", "membership_approval_requests") => self.join_requests(group),
                    ("set", "membership_requests_action") if !group.is_admin(number) => {
                        IqReply::refused(403, "forbidden")
                    }
                    ("set", "membership_requests_action") => self.decide_requests(number, id, child),
                    ("set", "accept") => IqReply::refused(409, "conflict"),
                    ("get" | "set", "invite") => self.invite(number, id, kind == "set"),
                    ("set", "add" | "remove" | "promote" | "demote") => self.change_members(number, id, child),
                    ("set", _) => self.change_group(number, id, child),
                    _ => self.unknown_to_groups(),
                }
            }
        }
    }

    pub(super) fn unknown_to_groups(&mut self) -> IqReply {
        self.statistics.unanswered("w:g2");
        IqReply::refused(501, "feature-not-implemented")
    }

    fn create_group(&mut self, number: &PhoneNumber, wanted: &NodeRef<'_>) -> IqReply {
        let subject = attribute(wanted, "subject").unwrap_or_default();
        let asked: Vec<_> = children(wanted, "participant").filter_map(|child| jid(child, "jid")).collect();
        let (mut members, mut refused, mut nobody) = (BTreeSet::from([number.clone()]), Vec::new(), Vec::new());
        for asked in &asked {
            let may = self
                .people
                .number_of(asked)
                .is_some_and(|asked| self.may_see(&asked, number, PrivacyCategory::GroupAdd));
            let person = self.people.number_of(asked).and_then(|number| self.people.meet(&number).ok());
            match person {
                Some(person) if person.registered && !person.refuses_groups && may => {
                    members.insert(person.number.clone());
                }
                Some(person) => refused.push(person.number.clone()),
                None => nobody.push(NodeBuilder::new("participant").attr("jid", asked).attr("error", "404").build()),
            }
        }
        let now = self.now();
        let told: Vec<PhoneNumber> = members.iter().cloned().collect();
        let Ok(group) = self.groups.create(subject, number.clone(), members, now) else {
            return IqReply::refused(419, "resource-limit");
        };
        let id = group.id.clone();
        let settled = self.place_at_creation(number, wanted).and_then(|place| {
            self.settle_at_creation(number, &id, wanted)?;
            Ok(place)
        });
        let place = match settled {
            Ok(place) => place,
            Err((code, text)) => {
                self.groups.remove(&id);
                return IqReply::refused(code, text);
            }
        };
        let (is_parent, parent) = match &place {
            CommunityPlace::Parent { .. } => (true, None),
            CommunityPlace::Linked { parent, .. } => (false, Some(parent.clone())),
            CommunityPlace::Alone => (false, None),
        };
        if let Some(group) = self.groups.get_mut(&id) {
            group.place = place;
            group.settings.approval |= Self::wants_approval(wanted);
        }
        let refused: Vec<Node> = refused.iter().map(|refused| self.turned_down(number, &id, refused)).collect();
        let Some(group) = self.groups.get(&id) else { return IqReply::refused(500, "internal-server-error") };
        let mut shown = describe(group);
        self.dirty = true;
        let created = NodeBuilder::new("create").attr("type", "new");
        let created = match attribute(wanted, "key") {
            Some(key) => created.attr("key", key),
            None => created,
        };
        self.tell_of_group(&id, number, &told, vec![created.children([shown.clone()]).build()]);
        if is_parent {
            self.begin_community(number, &id, wanted.get_optional_child("create_general_chat").is_some());
        }
        if let Some(parent) = parent {
            self.enter_community(number, &parent, &told);
        }
        // A participant that could not be added is listed with an error number.
        if let Some(wacore_binary::NodeContent::Nodes(nodes)) = &mut shown.content {
            nodes.extend(refused.into_iter().chain(nobody));
        }
        IqReply::one(shown)
    }

    /// The settings that a client asks for when it makes a group.
    fn settle_at_creation(
        &mut self,
        number: &PhoneNumber,
        id: &str,
        wanted: &NodeRef<'_>,
    ) -> Result<(), (u16, &'static str)> {
        let now = self.now();
        let group = self.groups.get_mut(id).ok_or((500, "internal-server-error"))?;
        for child in wanted.children().unwrap_or_default() {
            match child.tag.as_ref() {
                "participant" => {}
                // What `place_at_creation` reads.
                "parent" | "linked_parent" | "create_general_chat" | "allow_non_admin_sub_group_creation" => {}
                "description" => {
                    let text = child.get_optional_child("body").map(text).unwrap_or_default();
                    let id = attribute(child, "id").unwrap_or_default();
                    group.description = Some(GroupDescription { id, text, set: Some((now, number.clone())) });
                }
                _ => group_settings::apply(group, child)?,
            }
        }
        Ok(())
    }

    /// Each of several groups, or why it is not shown.
    fn several_groups(&self, number: &PhoneNumber, query: &NodeRef<'_>) -> IqReply {
        let groups = children(query, "group").filter_map(|group| jid(group, "jid")).map(|jid| {
            match self.groups.get(&jid.user) {
                Some(group) if group.participants.contains(number) => describe(group),
                found => {
                    let code = if found.is_some() { "403" } else { "404" };
                    NodeBuilder::new("group").attr("id", jid.user.to_string()).attr("error", code).build()
                }
            }
        });
        IqReply::one(NodeBuilder::new("groups").children(groups).build())
    }

    fn leave_groups(&mut self, number: &PhoneNumber, leave: &NodeRef<'_>) -> IqReply {
        let mut left: Vec<_> = children(leave, "group").filter_map(|group| attribute(group, "id")).collect();
        // A whole community, with all its groups; clients name it in one of two ways.
        let communities = children(leave, "community")
            .filter_map(|community| attribute(community, "id"))
            .chain(children(leave, "linked_groups").filter_map(|linked| attribute(linked, "parent_group_jid")));
        for community in communities {
            self.leave_community(number, &community, std::slice::from_ref(number));
            left.push(community);
        }
        let mut answers = Vec::new();
        for id in left {
            let answer = NodeBuilder::new("group").attr("id", id.as_str());
            if self.groups.get(&id).is_some_and(|group| group.participants.contains(number)) {
                self.remove_members(number, &id, std::slice::from_ref(number));
                answers.push(answer.build());
            } else {
                answers.push(answer.attr("error", "404").build());
            }
        }
        IqReply::one(NodeBuilder::new("leave").children(answers).build())
    }

    /// The code of the link; a new one, if it is to be or if there is none yet.
    fn invite(&mut self, number: &PhoneNumber, id: &str, anew: bool) -> IqReply {
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        if !group.is_admin(number) && !group.settings.member_links {
            return IqReply::refused(401, "not-authorized");
        }
        let revoked = anew && !group.invites.is_empty();
        if anew || group.invites.is_empty() {
            group.invites.push(code());
        }
        let invite = NodeBuilder::new("invite").attr("code", group.invites.last().cloned().unwrap_or_default()).build();
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        self.dirty = true;
        if revoked {
            // The old link is gone, and this is the new one: clients look for either.
            self.tell_of_group(id, number, &told, vec![NodeBuilder::new("revoke").build()]);
            self.tell_of_group(id, number, &told, vec![invite.clone()]);
        }
        IqReply::one(invite)
    }

    /// The participant of an answer that could not be added: the number is unknown, or its owner refuses to be added and
    /// gets an invitation.
    pub(super) fn turned_down(&mut self, by: &PhoneNumber, id: &str, member: &PhoneNumber) -> Node {
        let node = participant_of(member);
        if !self.people.get(member).is_some_and(|person| person.registered) {
            return node.attr("error", "404").build();
        }
        let (code, until) = (code(), self.now() + INVITED_FOR);
        if let Some(group) = self.groups.get_mut(id) {
            let invitation = GroupInvitation { invited: member.clone(), admin: by.clone(), until };
            group.invitations.insert(code.clone(), invitation);
        }
        let request = NodeBuilder::new("add_request").attr("code", code).attr("expiration", until.to_string()).build();
        node.attr("error", "403").children([request]).build()
    }

    /// Or the number and text of the refusal.
    pub(super) fn invited_by(&self, invite: &NodeRef<'_>) -> Result<&ChatGroup, (u16, &'static str)> {
        let code = attribute(invite, "code").unwrap_or_default();
        let group = self.groups.invited_by(&code).ok_or((406, "not-acceptable"))?;
        if group.invites.last() == Some(&code) { Ok(group) } else { Err((410, "gone")) }
    }
}

pub(super) fn participant(number: &PhoneNumber) -> Node {
    participant_of(number).build()
}

pub(super) fn participant_of(number: &PhoneNumber) -> NodeBuilder {
    NodeBuilder::new("participant").attr("jid", number.lid_jid(0)).attr("phone_number", number.jid(0))
}

fn code() -> String {
    use rand::{RngExt as _, distr::Alphanumeric};
    Randomness.sample_iter(&Alphanumeric).take(CODE).map(char::from).collect()
}

pub(super) fn describe(group: &ChatGroup) -> Node {
    let participants = group.participants.iter().map(|number| {
        let node = participant_of(number);
        match (group.is_admin(number), *number == group.creator) {
            (true, true) => node.attr("type", "superadmin"),
            (true, false) => node.attr("type", "admin"),
            (false, _) => node,
        }
        .build()
    });
    let description = group.description.as_ref().map(|description| {
        let body = NodeBuilder::new("body").string_content(description.text.as_str()).build();
        let (at, by) = description.set.clone().unwrap_or((group.created, group.creator.clone()));
        NodeBuilder::new("description")
            .attr("id", description.id.as_str())
            .attr("t", at.to_string())
            .attr("participant", by.lid_jid(0))
            .attr("participant_pn", by.jid(0))
            .children([body])
            .build()
    });
    let (subject_at, subject_by) = group.subject_set.clone().unwrap_or((group.created, group.creator.clone()));
    NodeBuilder::new("group")
        .attr("id", group.id.as_str())
        .attr("subject", group.subject.as_str())
        .attr("s_t", subject_at.to_string())
        .attr("s_o", subject_by.lid_jid(0))
        .attr("s_o_pn", subject_by.jid(0))
        .attr("creation", group.created.to_string())
        .attr("creator", group.creator.lid_jid(0))
        .attr("creator_pn", group.creator.jid(0))
        .attr("addressing_mode", "lid")
        .attr("size", group.participants.len().to_string())
        .attr("p_v_id", group.members_version.to_string())
        .attr("a_v_id", group.announcement_version.to_string())
        .children(participants.chain(group_settings::shown(group)).chain(in_community(group)).chain(description))
        .build()
}
