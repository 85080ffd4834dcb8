//! The ways into a group besides being added: by its link, by a personal invitation, and by a request that an
//! administrator approves or rejects.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    groups::{describe, participant, participant_of},
    iq::IqReply,
    node::{attribute, children, jid},
};
use crate::{
    groups::{ChatGroup, JoinRequest},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// Requests that wait in one group.
const MAX_REQUESTS: usize = 1_024;

impl ServerState {
    /// By the code of the link. A group with approval takes a request instead.
    pub(super) fn join_by_link(&mut self, number: &PhoneNumber, invite: &NodeRef<'_>) -> IqReply {
        let group = match self.invited_by(invite) {
            Ok(group) => group,
            Err((code, text)) => return IqReply::refused(code, text),
        };
        let id = group.id.clone();
        if group.participants.contains(number) {
            return IqReply::refused(409, "conflict");
        }
        if group.is_full() {
            return IqReply::refused(419, "resource-limit");
        }
        if group.settings.approval {
            return self.request_to_join(number, &id, "invite_link");
        }
        self.enter_group(number, &id, "invite")
    }

    pub(super) fn request_to_join(&mut self, number: &PhoneNumber, id: &str, method: &'static str) -> IqReply {
        let now = self.now();
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        if group.requests.len() >= MAX_REQUESTS {
            return IqReply::refused(419, "resource-limit");
        }
        group.requests.insert(number.clone(), JoinRequest { at: now, method: method.to_owned() });
        let jid = group.jid();
        let admins: Vec<PhoneNumber> = group.admins.iter().cloned().collect();
        self.dirty = true;
        let created = NodeBuilder::new("created_membership_requests").attr("request_method", method).build();
        self.tell_of_group(id, number, &admins, vec![created]);
        IqReply::one(NodeBuilder::new("membership_approval_request").attr("jid", jid).build())
    }

    fn enter_group(&mut self, number: &PhoneNumber, id: &str, reason: &'static str) -> IqReply {
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        group.participants.insert(number.clone());
        group.requests.remove(number);
        let told: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        let versions = group.next_members_version();
        let jid = group.jid();
        self.dirty = true;
        let community = group.community().map(str::to_owned);
        let added = versions.on(NodeBuilder::new("add")).attr("reason", reason).children([participant(number)]).build();
        self.tell_of_group(id, number, &told, vec![added]);
        if let Some(community) = community {
            self.enter_community(number, &community, std::slice::from_ref(number));
        }
        IqReply::one(NodeBuilder::new("group").attr("jid", jid).build())
    }

    /// By the invitation that came with the refusal to be added.
    pub(super) fn accept_invitation(&mut self, number: &PhoneNumber, id: &str, accept: &NodeRef<'_>) -> IqReply {
        let now = self.now();
        let code = attribute(accept, "code").unwrap_or_default();
        let admin = jid(accept, "admin").and_then(|admin| self.people.number_of(&admin));
        let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
        let is_good = group.invitations.get(&code).is_some_and(|invitation| {
            invitation.invited == *number
                && now < invitation.until
                && admin.as_ref().is_none_or(|admin| *admin == invitation.admin)
        });
        if !is_good {
            return IqReply::refused(406, "not-acceptable");
        }
        if group.participants.contains(number) {
            return IqReply::refused(409, "conflict");
        }
        group.invitations.remove(&code);
        self.enter_group(number, id, "invite")
    }

    /// What a personal invitation shows of the group.
    pub(super) fn show_invitation(&self, group: &ChatGroup, query: &NodeRef<'_>) -> Option<IqReply> {
        let request = query.get_optional_child("add_request")?;
        let is_good = attribute(request, "code").is_some_and(|code| group.invitations.contains_key(&code));
        Some(if is_good { IqReply::one(describe(group)) } else { IqReply::refused(406, "not-acceptable") })
    }

    pub(super) fn join_requests(&self, group: &ChatGroup) -> IqReply {
        let requests = group.requests.iter().map(|(number, request)| {
            NodeBuilder::new("membership_approval_request")
                .attr("jid", number.lid_jid(0))
                .attr("phone_number", number.jid(0))
                .attr("request_time", request.at.to_string())
                .attr("request_method", request.method.as_str())
                .build()
        });
        IqReply::one(NodeBuilder::new("membership_approval_requests").children(requests).build())
    }

    /// `<approve>` or `<reject>`, with an answer for each participant.
    pub(super) fn decide_requests(&mut self, number: &PhoneNumber, id: &str, action: &NodeRef<'_>) -> IqReply {
        let Some(decision) = action.children().and_then(|children| children.first()) else {
            return IqReply::refused(400, "bad-request");
        };
        let approves = match decision.tag.as_ref() {
            "approve" => true,
            "reject" => false,
            _ => return self.unknown_to_groups(),
        };
        let asked: Vec<_> = children(decision, "participant").filter_map(|child| jid(child, "jid")).collect();
        let mut answers: Vec<Node> = Vec::new();
        let mut decided = Vec::new();
        for asked in asked {
            let member = self.people.number_of(&asked);
            let Some(group) = self.groups.get_mut(id) else { return IqReply::refused(404, "item-not-found") };
            match member.filter(|member| group.requests.remove(member).is_some()) {
                Some(member) => {
                    answers.push(participant(&member));
                    decided.push(member);
                }
                None => {
                    answers.push(NodeBuilder::new("participant").attr("jid", asked).attr("error", "404").build());
                }
            }
        }
        self.dirty = true;
        if approves {
            self.add_members(number, id, &decided, "invite");
        } else if !decided.is_empty() {
            let rejected = decided.iter().map(|member| participant_of(member).build());
            let node = NodeBuilder::new("revoked_membership_requests").children(rejected).build();
            let group = self.groups.get(id);
            let admins: Vec<PhoneNumber> = group.into_iter().flat_map(|group| group.admins.iter().cloned()).collect();
            let told: Vec<PhoneNumber> = admins.into_iter().chain(decided.iter().cloned()).collect();
            self.tell_of_group(id, number, &told, vec![node]);
        }
        let decision = NodeBuilder::new(if approves { "approve" } else { "reject" }).children(answers).build();
        IqReply::one(NodeBuilder::new("membership_requests_action").children([decision]).build())
    }
}
