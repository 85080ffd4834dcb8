//! Privacy settings as clients ask for them and change them, and who may see what because of them.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    iq::IqReply,
    node::{attribute, children, jid},
};
use crate::{
    phone_number::PhoneNumber,
    privacy::{DefaultTimer, PrivacyCategory},
    state::ServerState,
};

/// WhatsApp offers 90 days at most; a year is what groups take.
const MAX_TIMER: u32 = 365 * 24 * 60 * 60;

impl ServerState {
    /// All of them; or of the categories that have a list of people who are left out, these people.
    pub(super) fn privacy(&self, number: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let Some(person) = self.people.get(number) else { return IqReply::refused(404, "item-not-found") };
        let asked: Vec<PrivacyCategory> = iq
            .get_optional_child("privacy")
            .into_iter()
            .flat_map(|privacy| children(privacy, "list"))
            .filter_map(|list| PrivacyCategory::from_name(&attribute(list, "name")?))
            .collect();
        let answer = NodeBuilder::new("privacy");
        if asked.is_empty() {
            let all = PrivacyCategory::ALL.map(|category| category_node(category, person.privacy.value(category)));
            return IqReply::one(answer.children(all).build());
        }
        let lists = asked.into_iter().map(|category| {
            let people = person
                .privacy
                .left_out(category)
                .map(|one| NodeBuilder::new("user").attr("jid", one.lid_jid(0)).attr("pn_jid", one.jid(0)).build());
            let list = NodeBuilder::new("list").attr("name", category.name()).attr("value", "contact_blacklist");
            list.attr("dhash", "none").children(people).build()
        });
        IqReply::one(answer.children(lists).build())
    }

    pub(super) fn set_privacy(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let wanted = iq.get_optional_child("privacy").and_then(|privacy| privacy.children()).unwrap_or_default();
        let mut changed = Vec::new();
        for category in wanted.iter().filter(|child| child.tag == "category") {
            let name = attribute(category, "name").and_then(|name| PrivacyCategory::from_name(&name));
            let (Some(name), Some(value)) = (name, attribute(category, "value")) else {
                return IqReply::refused(400, "bad-request");
            };
            let people: Vec<(Option<PhoneNumber>, bool)> = children(category, "user")
                .map(|user| {
                    let is_added = attribute(user, "action").as_deref() != Some("remove");
                    (jid(user, "jid").and_then(|jid| self.people.number_of(&jid)), is_added)
                })
                .collect();
            let Some(person) = self.people.get_mut(number) else { return IqReply::refused(404, "item-not-found") };
            if !person.privacy.set(name, &value) {
                return IqReply::refused(400, "bad-request");
            }
            for (one, is_added) in people {
                let Some(one) = one else { return IqReply::refused(404, "item-not-found") };
                person.privacy.leave_out(name, one, is_added);
            }
            changed.push(category_node(name, &value));
        }
        if changed.is_empty() {
            return IqReply::refused(400, "bad-request");
        }
        self.dirty = true;
        let told = NodeBuilder::new("privacy").children(changed).build();
        self.account_sync(number, Some(device), &told);
        IqReply::one(told)
    }

    /// After how many seconds messages disappear in chats that somebody begins with the account.
    pub(super) fn default_timer(&self, number: &PhoneNumber) -> IqReply {
        let timer = self.people.get(number).map(|person| person.default_timer).unwrap_or_default();
        IqReply::one(timer.node())
    }

    pub(super) fn set_default_timer(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let wanted = iq.get_optional_child("disappearing_mode").and_then(|mode| attribute(mode, "duration"));
        let Some(seconds) = wanted.and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds <= MAX_TIMER)
        else {
            return IqReply::refused(400, "bad-request");
        };
        let timer = DefaultTimer { seconds, set: self.now() };
        let Some(person) = self.people.get_mut(number) else { return IqReply::refused(404, "item-not-found") };
        person.default_timer = timer;
        self.dirty = true;
        let told = timer.node();
        self.account_sync(number, Some(device), &told);
        IqReply::empty()
    }

    /// Whether a person shows or allows something to another. A contact is whom the person has a chat with.
    pub(super) fn may_see(&self, owner: &PhoneNumber, asker: &PhoneNumber, category: PrivacyCategory) -> bool {
        let Some(person) = self.people.get(owner) else { return true };
        let is_contact = || self.has_chat(owner, asker);
        owner == asker
            || person.privacy.allows(category, asker, person.privacy.value(category) != "all" && is_contact())
    }

    /// The account's other companions learn of a change that the server keeps.
    pub(super) fn account_sync(&mut self, number: &PhoneNumber, but: Option<u16>, change: &Node) {
        for device in self.devices_of(number).into_iter().filter(|device| Some(*device) != but) {
            let id = self.fresh_id("N");
            let node = NodeBuilder::new("notification")
                .attr("type", "account_sync")
                .attr("from", number.jid(0))
                .attr("id", id.as_str())
                .attr("t", self.now().to_string())
                .children([change.clone()])
                .build();
            self.notify_device(number, device, number.as_str(), id, node);
        }
    }
}

impl DefaultTimer {
    pub(super) fn node(self) -> Node {
        NodeBuilder::new("disappearing_mode")
            .attr("duration", self.seconds.to_string())
            .attr("t", self.set.to_string())
            .build()
    }
}

fn category_node(category: PrivacyCategory, value: &str) -> Node {
    NodeBuilder::new("category").attr("name", category.name()).attr("value", value).build()
}
