//! The directory as clients ask it: who is on WhatsApp, which LID, which devices.
//! Promises that a user comes back under the address it was asked by, or under the right form of its number.

use buffa::Message as _;
use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node, NodeRef, builder::NodeBuilder};
use waproto::whatsapp::{ADVKeyIndexList, ADVSignedKeyIndexList};

use super::{
    business::{bot_profile, business_node},
    iq::IqReply,
    node::jid,
};
use crate::{people::SimulatedPerson, phone_number::PhoneNumber, privacy::PrivacyCategory, state::ServerState};

/// Users in one question; a client asks for a group's participants at most.
const MAX_ASKED: usize = 4_096;

impl ServerState {
    pub(super) fn look_up(&mut self, asker: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let Some(usync) = iq.get_optional_child("usync") else {
            return IqReply::refused(400, "bad-request");
        };
        let wanted: Vec<String> = usync
            .get_optional_child("query")
            .and_then(|query| query.children())
            .unwrap_or_default()
            .iter()
            .map(|child| child.tag.to_string())
            .collect();
        let asked = usync.get_optional_child("list").and_then(|list| list.children()).unwrap_or_default();
        if asked.len() > MAX_ASKED {
            return IqReply::refused(400, "bad-request");
        }
        let users: Vec<Node> = asked.iter().filter_map(|user| self.look_up_one(asker, user, &wanted)).collect();
        let mut answer = NodeBuilder::new("usync");
        for name in ["sid", "mode", "context"] {
            if let Some(value) = super::node::attribute(usync, name) {
                answer = answer.attr(name, value);
            }
        }
        let results = wanted.iter().map(|name| NodeBuilder::new_dynamic(name.clone()).build());
        IqReply::one(
            answer
                .children([
                    NodeBuilder::new("result").children(results).build(),
                    NodeBuilder::new("list").children(users).build(),
                ])
                .build(),
        )
    }

    fn look_up_one(&mut self, asker: &PhoneNumber, user: &NodeRef<'_>, wanted: &[String]) -> Option<Node> {
        let asked_text = user
            .get_optional_child("contact")
            .and_then(|contact| contact.content_as_string())
            .map(|text| text.to_string());
        let asked = match (jid(user, "jid"), &asked_text) {
            (Some(jid), _) => jid.to_non_ad(),
            // `+digits` or `digits@c.us`, either with or without the other's part.
            (None, Some(text)) => {
                let number = text.trim_start_matches('+').split('@').next().unwrap_or_default();
                if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                Jid::pn(number)
            }
            (None, None) => return None,
        };
        // A question about who is on WhatsApp is about a dialled number, which leads to who is registered; an address alone
        // does not.
        let is_dialled = asked_text.is_some() || (asked.is_pn() && wanted.iter().any(|name| name == "contact"));
        let number = match self.people.number_of(&asked) {
            Some(dialled) if is_dialled => Some(self.people.registered(&dialled)),
            number => number,
        };
        let hides = |number: &PhoneNumber, category| {
            !self.may_see(number, asker, category) || !self.shows_itself_to(number, asker, Some(user))
        };
        let hides_picture = number.as_ref().is_some_and(|number| hides(number, PrivacyCategory::Profile));
        let hides_about = number.as_ref().is_some_and(|number| hides(number, PrivacyCategory::Status));
        let person = match &number {
            Some(number) => self.people.meet(number).ok(),
            None => None,
        };
        let person = person.filter(|person| person.registered);
        let mut children = Vec::with_capacity(wanted.len());
        for name in wanted {
            match (name.as_str(), &person) {
                ("contact", person) => {
                    let mut contact =
                        NodeBuilder::new("contact").attr("type", if person.is_some() { "in" } else { "out" });
                    if let Some(asked) = &asked_text {
                        contact = contact.bytes(asked.as_bytes().to_vec());
                    }
                    children.push(contact.build());
                }
                ("devices", Some(person)) => children.push(devices(person)),
                ("lid", Some(person)) => {
                    children.push(NodeBuilder::new("lid").attr("val", person.number.lid_jid(0)).build())
                }
                ("status", Some(_)) if hides_about => {
                    children.push(NodeBuilder::new("status").attr("code", "401").attr("type", "fail").build())
                }
                ("status", Some(person)) => {
                    let status = NodeBuilder::new("status");
                    children.push(match &person.about {
                        Some(about) => status.string_content(about.as_str()).build(),
                        None => status.build(),
                    });
                }
                ("picture", Some(person)) => {
                    let picture = person.picture.as_ref().filter(|_| !hides_picture);
                    children.extend(picture.map(|one| NodeBuilder::new("picture").attr("id", one.id.as_str()).build()));
                }
                ("disappearing_mode", Some(person)) => children.push(person.default_timer.node()),
                ("business", Some(person)) => children.extend(business_node(person)),
                ("bot", _) => children.extend(bot_profile(&asked)),
                // Nobody has a user name or a text status, which is told by saying nothing.
                _ => {}
            }
        }
        let known_as = match &number {
            Some(registered) if is_dialled && !asked.is_lid() => registered.jid(0),
            _ => asked.clone(),
        };
        let mut answer = NodeBuilder::new("user").attr("jid", known_as);
        if asked.is_lid()
            && let Some(number) = number
            && !self.people.get(&number).is_some_and(|person| person.hides_number)
        {
            answer = answer.attr("pn_jid", number.jid(0));
        }
        Some(answer.children(children).build())
    }
}

fn devices(person: &SimulatedPerson) -> Node {
    let phone = NodeBuilder::new("device").attr("id", "0").build();
    let companions = person.companions.keys().map(|device| {
        NodeBuilder::new("device").attr("id", device.to_string()).attr("key-index", device.to_string()).build()
    });
    let list = NodeBuilder::new("device-list")
        .attr("hash", device_hash(person))
        .children(std::iter::once(phone).chain(companions))
        .build();
    let mut children = vec![list];
    if !person.companions.is_empty() {
        children.push(NodeBuilder::new("key-index-list").attr("ts", "1").bytes(key_index_list(person)).build());
    }
    NodeBuilder::new("devices").children(children).build()
}

/// Over the addresses of all devices, as clients compute it.
pub(super) fn device_hash(person: &SimulatedPerson) -> String {
    let devices: Vec<Jid> =
        std::iter::once(0).chain(person.companions.keys().copied()).map(|device| person.number.jid(device)).collect();
    MessageUtils::participant_list_hash(&devices).unwrap_or_default()
}

/// The key indexes that the account vouches for. Clients read it and do not verify it.
pub(super) fn key_index_list(person: &SimulatedPerson) -> Vec<u8> {
    let details = ADVKeyIndexList {
        raw_id: Some(person.raw_id),
        timestamp: Some(1),
        current_index: Some(u32::from(person.next_device.saturating_sub(1))),
        valid_indexes: std::iter::once(0).chain(person.companions.keys().map(|device| u32::from(*device))).collect(),
        ..Default::default()
    }
    .encode_to_vec();
    let signature = person.phone.sign(&details).map(|bytes| bytes.to_vec());
    ADVSignedKeyIndexList { details: Some(details), account_signature: signature.ok(), ..Default::default() }
        .encode_to_vec()
}

impl ServerState {
    /// The number behind a JID, if somebody has it.
    pub(super) fn number_behind(&self, jid: &Jid) -> Option<PhoneNumber> {
        self.people.number_of(jid)
    }
}
