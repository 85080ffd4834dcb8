//! What companions are told besides messages: profiles and changes of groups.
//! All of it waits in the queue like messages.

use anyhow::Result;
use wacore_binary::{Node, builder::NodeBuilder};

use crate::{
    groups::ProfilePicture,
    offline_queue::{QueueEntry, StanzaClass},
    phone_number::PhoneNumber,
    state::ServerState,
};

impl ServerState {
    /// Tells every companion of a contact's new text about the contact.
    pub fn tell_of_about(&mut self, number: &PhoneNumber, about: &str) {
        let set = NodeBuilder::new("set").bytes(about.as_bytes().to_vec()).build();
        self.notify_all(number, "status", &set);
    }

    /// The members of a group learn that its picture is new, or gone.
    pub fn tell_of_group_picture(
        &mut self,
        group: &str,
        by: &PhoneNumber,
        members: &[PhoneNumber],
        picture: Option<&ProfilePicture>,
    ) {
        let jid = wacore_binary::Jid::group(crate::groups::bare(group));
        let change = picture_change(picture).attr("jid", jid.clone()).attr("author", by.lid_jid(0)).build();
        let id = self.fresh_id("N");
        let node = NodeBuilder::new("notification")
            .attr("type", "picture")
            .attr("from", jid)
            .attr("id", id.as_str())
            .attr("t", self.now().to_string())
            .children([change])
            .build();
        for member in members {
            self.notify(member, group, &id, &node);
        }
    }

    /// Every companion learns that a contact's picture is new, or gone; the account's own ones, too.
    pub fn tell_of_picture(&mut self, number: &PhoneNumber, picture: Option<&ProfilePicture>) {
        let change = picture_change(picture).attr("jid", number.jid(0)).attr("author", number.jid(0)).build();
        self.notify_all(number, "picture", &change);
        self.notify_change(number, number, "picture", &change);
    }

    fn notify_all(&mut self, number: &PhoneNumber, kind: &str, change: &Node) {
        let accounts: Vec<PhoneNumber> = self.people.accounts().map(|person| person.number.clone()).collect();
        for account in accounts.iter().filter(|account| *account != number) {
            self.notify_change(account, number, kind, change);
        }
    }

    /// Tells an account of a change of `number`.
    fn notify_change(&mut self, account: &PhoneNumber, number: &PhoneNumber, kind: &str, change: &Node) {
        let id = self.fresh_id("N");
        let node = NodeBuilder::new("notification")
            .attr("type", kind)
            .attr("from", number.jid(0))
            .attr("id", id.as_str())
            .attr("t", self.now().to_string())
            .children([change.clone()])
            .build();
        self.notify(account, number.as_str(), &id, &node);
    }

    /// The members of a group learn what somebody changed in it.
    pub fn tell_of_group(&mut self, group: &str, by: &PhoneNumber, members: &[PhoneNumber], changes: Vec<Node>) {
        let jid = wacore_binary::Jid::group(crate::groups::bare(group));
        let id = self.fresh_id("N");
        let node = NodeBuilder::new("notification")
            .attr("type", "w:gp2")
            .attr("from", jid)
            .attr("participant", by.lid_jid(0))
            .attr("participant_pn", by.jid(0))
            .attr("addressing_mode", "lid")
            .attr("id", id.as_str())
            .attr("t", self.now().to_string())
            .children(changes)
            .build();
        let mut node = node;
        self.hide_numbers(&mut node);
        for member in members {
            self.notify(member, group, &id, &node);
        }
    }

    fn notify(&mut self, account: &PhoneNumber, chat: &str, id: &str, node: &Node) {
        for device in self.devices_of(account) {
            self.notify_device(account, device, chat, id.to_owned(), node.clone());
        }
    }

    pub(super) fn notify_device(&mut self, account: &PhoneNumber, device: u16, chat: &str, id: String, node: Node) {
        if let Err(error) = self.tell(account, device, StanzaClass::Notification, &id, chat, node) {
            tracing::warn!("{account} device {device} is not told of a change: {error:#}");
        }
    }

    pub(super) fn tell(
        &mut self,
        to: &PhoneNumber,
        device: u16,
        class: StanzaClass,
        id: &str,
        chat: &str,
        node: Node,
    ) -> Result<()> {
        let entry = QueueEntry { class, id: id.to_owned(), chat: chat.to_owned(), node, record: None, written: 0 };
        self.enqueue(to, device, entry)
    }

    pub fn devices_of(&self, number: &PhoneNumber) -> Vec<u16> {
        self.people.get(number).map(|person| person.companions.keys().copied().collect()).unwrap_or_default()
    }
}

fn picture_change(picture: Option<&ProfilePicture>) -> NodeBuilder {
    match picture {
        Some(picture) => NodeBuilder::new("set").attr("id", picture.id.as_str()),
        None => NodeBuilder::new("delete"),
    }
}
