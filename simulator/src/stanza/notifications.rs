//! What companions are told besides messages: calls, profiles, changes of groups, and the past.
//! All of it waits in the queue like messages.

use anyhow::Result;
use buffa::MessageField;
use serde::Deserialize;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use waproto::whatsapp::{Conversation, HistorySyncMsg, Message, MessageKey, WebMessageInfo};

use super::node::{attribute, jid};
use crate::{
    offline_queue::{QueueEntry, StanzaClass},
    people::CallSignal,
    phone_number::PhoneNumber,
    state::ServerState,
};

/// A message of the past.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PastMessage {
    pub id: String,
    pub text: String,
    #[serde(default)]
    pub from_me: bool,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: u64,
}

impl PastMessage {
    /// As phones keep it.
    pub(super) fn in_chat(&self, chat: &str) -> WebMessageInfo {
        let key = MessageKey {
            id: Some(self.id.clone()),
            from_me: Some(self.from_me),
            remote_jid: Some(chat.to_owned()),
            ..Default::default()
        };
        WebMessageInfo {
            key: MessageField::some(key),
            message: MessageField::some(Message { conversation: Some(self.text.clone()), ..Default::default() }),
            message_timestamp: Some(self.timestamp),
            ..Default::default()
        }
    }
}

impl ServerState {
    /// A call from `number` rings, or ends, at every companion of an account.
    pub fn call(
        &mut self,
        number: &PhoneNumber,
        to: &PhoneNumber,
        id: &str,
        signal: CallSignal,
        video: bool,
        reason: Option<&str>,
    ) -> Result<()> {
        let tag = match signal {
            CallSignal::Offer => "offer",
            CallSignal::Terminate => "terminate",
            CallSignal::Reject => "reject",
        };
        let mut action = NodeBuilder::new(tag).attr("call-id", id).attr("call-creator", number.lid_jid(0));
        if signal == CallSignal::Offer {
            let audio = NodeBuilder::new("audio").attr("enc", "opus").attr("rate", "16000").build();
            let video = video.then(|| NodeBuilder::new("video").build());
            action = action.attr("caller_pn", number.jid(0)).children(std::iter::once(audio).chain(video));
        }
        if let Some(reason) = reason {
            action = action.attr("reason", reason);
        }
        self.people.meet(number)?.calls.note(id, to, signal);
        let stanza = self.fresh_id("C");
        let node = NodeBuilder::new("call")
            .attr("from", number.lid_jid(0))
            .attr("id", stanza.as_str())
            .attr("t", self.now().to_string())
            .children([action.build()])
            .build();
        for device in self.devices_of(to) {
            self.tell(to, device, StanzaClass::Call, &stanza, number.as_str(), node.clone())?;
        }
        Ok(())
    }

    /// A companion's signal of a call: it turns down what rings, at the caller and on its other companions.
    pub(super) fn on_call(&mut self, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let Some(reject) = stanza.get_optional_child("reject") else { return };
        let caller = jid(stanza, "to").and_then(|to| self.people.number_of(&to));
        let (Some(caller), Some(id)) = (caller, attribute(reject, "call-id")) else { return };
        let Some(person) = self.people.get_mut(&caller) else { return };
        if !person.calls.turn_down(&id, number) {
            return;
        }
        let terminate = NodeBuilder::new("terminate")
            .attr("call-id", id)
            .attr("call-creator", caller.lid_jid(0))
            .attr("reason", "rejected_elsewhere")
            .build();
        for other in self.devices_of(number).into_iter().filter(|other| *other != device) {
            let stanza = self.fresh_id("C");
            let node = NodeBuilder::new("call")
                .attr("from", caller.lid_jid(0))
                .attr("id", stanza.as_str())
                .attr("t", self.now().to_string())
                .children([terminate.clone()])
                .build();
            if let Err(error) = self.tell(number, other, StanzaClass::Call, &stanza, caller.as_str(), node) {
                tracing::warn!("{number} device {other} is not told of a call's end: {error:#}");
            }
        }
    }

    /// Tells every companion of a contact's new text about the contact.
    pub fn tell_of_about(&mut self, number: &PhoneNumber, about: &str) {
        let set = NodeBuilder::new("set").bytes(about.as_bytes().to_vec()).build();
        self.notify_all(number, "status", &set);
    }

    /// The members of a group learn that its picture is new, or gone.
    pub fn tell_of_group_picture(&mut self, group: &str, by: &PhoneNumber, members: &[PhoneNumber], is_there: bool) {
        let jid = wacore_binary::Jid::group(crate::groups::bare(group));
        let change = NodeBuilder::new(if is_there { "set" } else { "delete" }).attr("jid", jid.clone());
        let change = change.attr("author", by.lid_jid(0)).build();
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

    /// Every companion learns that a contact's picture is new, or gone.
    pub fn tell_of_picture(&mut self, number: &PhoneNumber, is_there: bool) {
        let change = NodeBuilder::new(if is_there { "set" } else { "delete" }).attr("jid", number.jid(0));
        let change = if is_there { change.attr("id", self.fresh_id("P")) } else { change };
        self.notify_all(number, "picture", &change.build());
    }

    fn notify_all(&mut self, number: &PhoneNumber, kind: &str, change: &Node) {
        let accounts: Vec<PhoneNumber> = self.people.accounts().map(|person| person.number.clone()).collect();
        for account in accounts.iter().filter(|account| *account != number) {
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

    fn tell(
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

    pub(super) fn devices_of(&self, number: &PhoneNumber) -> Vec<u16> {
        self.people.get(number).map(|person| person.companions.keys().copied().collect()).unwrap_or_default()
    }

    /// The account's phone tells its companions of an earlier chat with a contact.
    pub fn tell_of_the_past(
        &mut self,
        number: &PhoneNumber,
        contact: &PhoneNumber,
        messages: &[PastMessage],
        progress: Option<u32>,
    ) -> Result<()> {
        let chat = contact.jid(0).to_string();
        let messages = messages.iter().map(|past| {
            let info = past.in_chat(&chat);
            HistorySyncMsg { message: MessageField::some(info), ..Default::default() }
        });
        let conversation = Conversation { id: chat.clone(), messages: messages.collect(), ..Default::default() };
        for device in self.devices_of(number) {
            self.send_history(number, device, vec![conversation.clone()], progress)?;
        }
        Ok(())
    }
}
