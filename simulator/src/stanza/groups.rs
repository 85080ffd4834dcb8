//! Groups as clients ask for them (`w:g2`): shown, made, joined and left. What a member changes in one is
//! `group_changes`. Promises WhatsApp's numbers: 404 for no such group, 403 for who is not in it or may not.

use std::collections::BTreeSet;

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::node::{children, text};
use super::{
    iq::IqReply,
    node::{attribute, jid},
};
use crate::{
    groups::ChatGroup, people::SimulatedPerson, phone_number::PhoneNumber, privacy::PrivacyCategory, state::ServerState,
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
        for name in ["phone_number", "participant_pn", "creator_pn"] {
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
            ("", "set", "invite", Some(invite)) => self.join_group(number, invite),
            ("", "set", "leave", Some(leave)) => self.leave_groups(number, leave),
            ("", ..) | (_, _, _, None) => self.unknown_to_groups(),
            (id, kind, tag, Some(child)) => {
                let Some(group) = self.groups.get(id) else { return IqReply::refused(404, "item-not-found") };
                if !group.participants.contains(number) {
                    return IqReply::refused(403, "forbidden");
                }
                match (kind, tag) {
                    ("get", "query") => IqReply::one(describe(group)),
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
        let (mut members, mut refused) = (BTreeSet::from([number.clone()]), Vec::new());
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
                Some(person) => refused.push(turned_down(person)),
                None => refused.push(NodeBuilder::new("participant").attr("jid", asked).attr("error", "404").build()),
            }
        }
        let now = self.now();
        let told: Vec<PhoneNumber> = members.iter().cloned().collect();
        let Ok(group) = self.groups.create(subject, number.clone(), members, now) else {
            return IqReply::refused(419, "resource-limit");
        };
        let id = group.id.clone();
        if let Some(group) = self.groups.get_mut(&id) {
            group.members_add = children(wanted, "member_add_mode").any(|mode| text(mode) == "all_member_add");
        }
        let Some(group) = self.groups.get(&id) else { return IqReply::refused(500, "internal-server-error") };
        let mut shown = describe(group);
        self.dirty = true;
        let created = NodeBuilder::new("create").attr("type", "new").children([shown.clone()]).build();
        self.tell_of_group(&id, number, &told, vec![created]);
        // A participant that could not be added is listed with an error number.
        if let Some(wacore_binary::NodeContent::Nodes(nodes)) = &mut shown.content {
            nodes.extend(refused);
        }
        IqReply::one(shown)
    }

    fn join_group(&mut self, number: &PhoneNumber, invite: &NodeRef<'_>) -> IqReply {
        let group = match self.invited_by(invite) {
            Ok(group) => group,
            Err((code, text)) => return IqReply::refused(code, text),
        };
        let (id, jid) = (group.id.clone(), group.jid());
        if group.participants.contains(number) {
            return IqReply::refused(409, "conflict");
        }
        if group.is_full() {
            return IqReply::refused(419, "resource-limit");
        }
        let Some(group) = self.groups.get_mut(&id) else { return IqReply::refused(404, "item-not-found") };
        group.participants.insert(number.clone());
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        self.dirty = true;
        let added = NodeBuilder::new("add").attr("reason", "invite").children([participant(number)]).build();
        self.tell_of_group(&id, number, &told, vec![added]);
        IqReply::one(NodeBuilder::new("group").attr("jid", jid).build())
    }

    fn leave_groups(&mut self, number: &PhoneNumber, leave: &NodeRef<'_>) -> IqReply {
        let left: Vec<_> = children(leave, "group").filter_map(|group| attribute(group, "id")).collect();
        let mut answers = Vec::new();
        for id in left {
            let answer = NodeBuilder::new("group").attr("id", id.as_str());
            let group = self.groups.get_mut(&id).filter(|group| group.participants.contains(number));
            let Some(group) = group else {
                answers.push(answer.attr("error", "404").build());
                continue;
            };
            let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
            group.remove(number);
            self.dirty = true;
            let removed = NodeBuilder::new("remove").children([participant(number)]).build();
            self.tell_of_group(&id, number, &told, vec![removed]);
            answers.push(answer.build());
        }
        IqReply::one(NodeBuilder::new("leave").children(answers).build())
    }

    /// The code of the link; a new one, if it is to be or if there is none yet.
    fn invite(&mut self, number: &PhoneNumber, id: &str, anew: bool) -> IqReply {
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        if !group.is_admin(number) {
            return IqReply::refused(401, "not-authorized");
        }
        let revoked = anew && !group.invites.is_empty();
        if anew || group.invites.is_empty() {
            group.invites.push(code());
        }
        let invite = NodeBuilder::new("invite").attr("code", group.invites.last().cloned().unwrap_or_default());
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        self.dirty = true;
        if revoked {
            self.tell_of_group(id, number, &told, vec![NodeBuilder::new("revoke").build()]);
        }
        IqReply::one(invite.build())
    }

    /// Or the number and text of the refusal.
    fn invited_by(&self, invite: &NodeRef<'_>) -> Result<&ChatGroup, (u16, &'static str)> {
        let code = attribute(invite, "code").unwrap_or_default();
        let group = self.groups.invited_by(&code).ok_or((406, "not-acceptable"))?;
        if group.invites.last() == Some(&code) { Ok(group) } else { Err((410, "gone")) }
    }
}

/// The participant of an answer that could not be added: the number is unknown, or its owner refuses to be added.
pub(super) fn turned_down(person: &SimulatedPerson) -> Node {
    let node = participant_of(&person.number);
    if !person.registered {
        return node.attr("error", "404").build();
    }
    let until = time::OffsetDateTime::now_utc().unix_timestamp() + INVITED_FOR;
    let request = NodeBuilder::new("add_request").attr("code", code()).attr("expiration", until.to_string()).build();
    node.attr("error", "403").children([request]).build()
}

pub(super) fn participant(number: &PhoneNumber) -> Node {
    participant_of(number).build()
}

pub(super) fn participant_of(number: &PhoneNumber) -> NodeBuilder {
    NodeBuilder::new("participant").attr("jid", number.lid_jid(0)).attr("phone_number", number.jid(0))
}

fn code() -> String {
    use rand::{RngExt as _, distr::Alphanumeric};
    rand::rng().sample_iter(&Alphanumeric).take(CODE).map(char::from).collect()
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
    let settings = [(group.announcement, "announcement"), (group.locked, "locked")];
    let settings = settings.into_iter().filter(|(is_on, _)| *is_on).map(|(_, tag)| NodeBuilder::new(tag).build());
    let description = group.description.as_ref().map(|description| {
        let body = NodeBuilder::new("body").string_content(description.text.as_str()).build();
        NodeBuilder::new("description").attr("id", description.id.as_str()).children([body]).build()
    });
    NodeBuilder::new("group")
        .attr("id", group.id.as_str())
        .attr("subject", group.subject.as_str())
        .attr("s_t", group.created.to_string())
        .attr("creation", group.created.to_string())
        .attr("creator", group.creator.lid_jid(0))
        .attr("creator_pn", group.creator.jid(0))
        .attr("addressing_mode", "lid")
        .attr("size", group.participants.len().to_string())
        .children(participants.chain(settings).chain(description))
        .build()
}
