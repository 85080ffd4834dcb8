//! Changes that a member makes in a group: its members and their rights, its subject, description and settings.
//! A member that lacks the right is refused, and every member hears of each change.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    group_settings,
    groups::{describe, participant, participant_of},
    iq::IqReply,
    node::{attribute, children, jid, text},
};
use crate::{groups::GroupDescription, phone_number::PhoneNumber, privacy::PrivacyCategory, state::ServerState};

impl ServerState {
    /// `<add>`, `<remove>`, `<promote>`, `<demote>`: an answer for each participant.
    pub(super) fn change_members(&mut self, number: &PhoneNumber, id: &str, action: &NodeRef<'_>) -> IqReply {
        let tag = action.tag.to_string();
        let Some(group) = self.groups.get(id) else { return IqReply::refused(404, "item-not-found") };
        let may = group.is_admin(number) || tag == "add" && group.members_add;
        if !may {
            return IqReply::refused(403, "forbidden");
        }
        // A member that is removed is told, too.
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        let (mut answers, mut done) = (Vec::new(), Vec::new());
        for asked in children(action, "participant").filter_map(|child| jid(child, "jid")) {
            let Some(member) = self.people.number_of(&asked) else {
                answers.push(NodeBuilder::new("participant").attr("jid", asked).attr("error", "404").build());
                continue;
            };
            let answer = self.change_member(number, id, &tag, &member);
            if !answer.attrs.contains_key("error") {
                done.push(member);
            }
            answers.push(answer);
        }
        if !done.is_empty() {
            self.dirty = true;
            if tag == "add" {
                self.add_members(number, id, &done, "");
            } else if tag == "remove" {
                if attribute(action, "linked_groups").as_deref() == Some("true") {
                    self.leave_community(number, id, &done);
                }
                self.tell_of_removal(number, id, &told, &done);
            } else if let Some(group) = self.groups.get_mut(id) {
                let versions = group.next_members_version();
                let change = versions.on(NodeBuilder::new_dynamic(tag.clone()));
                let change = change.children(done.iter().map(participant)).build();
                self.tell_of_group(id, number, &told, vec![change]);
            }
        }
        IqReply::one(NodeBuilder::new_dynamic(tag).children(answers).build())
    }

    /// Members learn who has come; who has come gets the whole group. `reason` may be empty.
    pub fn add_members(&mut self, by: &PhoneNumber, id: &str, added: &[PhoneNumber], reason: &'static str) {
        let Some(group) = self.groups.get_mut(id).filter(|_| !added.is_empty()) else { return };
        group.participants.extend(added.iter().cloned());
        group.requests.retain(|number, _| !added.contains(number));
        let versions = group.next_members_version();
        let told: Vec<PhoneNumber> = group.participants.iter().filter(|one| !added.contains(one)).cloned().collect();
        let shown = describe(group);
        let reasoned = |node: NodeBuilder| if reason.is_empty() { node } else { node.attr("reason", reason) };
        let change = reasoned(versions.on(NodeBuilder::new("add"))).children(added.iter().map(participant)).build();
        self.tell_of_group(id, by, &told, vec![change]);
        let created = reasoned(NodeBuilder::new("create")).children([shown]).build();
        self.tell_of_group(id, by, added, vec![created]);
        let community = self.groups.get(id).and_then(|group| group.community().map(str::to_owned));
        if let Some(community) = community {
            self.enter_community(by, &community, added);
        }
    }

    /// Takes members out and tells everybody; who made the group stays.
    pub(super) fn remove_members(&mut self, by: &PhoneNumber, id: &str, members: &[PhoneNumber]) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        let removed: Vec<PhoneNumber> = members
            .iter()
            .filter(|member| group.participants.contains(*member) && (**member != group.creator || *member == by))
            .cloned()
            .collect();
        removed.iter().for_each(|member| group.remove(member));
        if !removed.is_empty() {
            self.tell_of_removal(by, id, &told, &removed);
        }
    }

    fn tell_of_removal(&mut self, by: &PhoneNumber, id: &str, told: &[PhoneNumber], removed: &[PhoneNumber]) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let versions = group.next_members_version();
        self.dirty = true;
        let change = versions.on(NodeBuilder::new("remove")).children(removed.iter().map(participant)).build();
        self.tell_of_group(id, by, told, vec![change]);
    }

    fn change_member(&mut self, by: &PhoneNumber, id: &str, tag: &str, member: &PhoneNumber) -> Node {
        let refused = |code: &'static str| participant_of(member).attr("error", code).build();
        let may = self.may_see(member, by, PrivacyCategory::GroupAdd);
        let may_be_added = match self.people.meet(member) {
            Ok(person) if person.registered && !person.refuses_groups && may => Ok(()),
            Ok(_) => Err(Some(())),
            Err(_) => Err(None),
        };
        let Some(group) = self.groups.get_mut(id) else { return refused("404") };
        let is_member = group.participants.contains(member);
        match (tag, is_member) {
            ("add", true) => return refused("409"),
            ("add", false) if group.is_full() => return refused("419"),
            ("add", false) => match may_be_added {
                Ok(()) => {}
                Err(Some(())) => return self.turned_down(by, id, member),
                Err(None) => return refused("404"),
            },
            (_, false) => return refused("404"),
            // The creator keeps all rights.
            ("remove" | "demote", true) if *member == group.creator => return refused("406"),
            ("remove", true) => group.remove(member),
            ("promote", true) => drop(group.admins.insert(member.clone())),
            (_, true) => drop(group.admins.remove(member)),
        }
        participant_of(member).attr("type", "200").build()
    }

    /// Its subject, its description, its settings.
    pub(super) fn change_group(&mut self, number: &PhoneNumber, id: &str, change: &NodeRef<'_>) -> IqReply {
        let now = self.now();
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        let is_admin = group.is_admin(number);
        let may = match change.tag.as_ref() {
            "subject" | "description" => is_admin || !group.locked,
            _ => is_admin,
        };
        if !may {
            return IqReply::refused(403, "forbidden");
        }
        let told = match change.tag.as_ref() {
            "subject" => {
                group.subject = text(change);
                group.subject_set = Some((now, number.clone()));
                NodeBuilder::new("subject")
                    .attr("subject", group.subject.as_str())
                    .attr("s_o", number.lid_jid(0))
                    .attr("s_o_pn", number.jid(0))
                    .attr("s_t", now.to_string())
                    .build()
            }
            "description" => {
                let known = group.description.as_ref().map(|description| description.id.clone());
                if attribute(change, "prev") != known {
                    return IqReply::refused(409, "conflict");
                }
                let new = attribute(change, "id").unwrap_or_default();
                let is_gone = attribute(change, "delete").is_some();
                let body = change.get_optional_child("body").map(text).unwrap_or_default();
                let set = Some((now, number.clone()));
                group.description = (!is_gone).then(|| GroupDescription { id: new.clone(), text: body.clone(), set });
                let content = if is_gone {
                    NodeBuilder::new("delete").build()
                } else {
                    NodeBuilder::new("body").bytes(body.into_bytes()).build()
                };
                NodeBuilder::new("description").attr("id", new).children([content]).build()
            }
            _ => match group_settings::apply(group, change) {
                Ok(()) => group_settings::told(group, change),
                Err((501, _)) => return self.unknown_to_groups(),
                Err((code, text)) => return IqReply::refused(code, text),
            },
        };
        let members: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        self.dirty = true;
        self.tell_of_group(id, number, &members, vec![told]);
        IqReply::empty()
    }
}
