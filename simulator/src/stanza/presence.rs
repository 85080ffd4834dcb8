//! Presence and typing of a client, and its subscriptions to the presence of others.
//! Every person who could see it has it in the inbox. A subscription is answered at once with "unavailable".

use wacore_binary::{Jid, JidExt as _, NodeRef};

use super::{
    node::{attribute, jid},
    notifications::PresenceKind,
};
use crate::{
    groups,
    people::{AddressingMode, ReceivedPresence},
    phone_number::PhoneNumber,
    state::ServerState,
};

impl ServerState {
    pub(super) fn on_presence(&mut self, number: &PhoneNumber, stanza: &NodeRef<'_>) {
        let kind = attribute(stanza, "type").unwrap_or_else(|| "available".to_owned());
        match (kind.as_str(), jid(stanza, "to")) {
            ("subscribe", Some(to)) => self.subscribe(number, &to),
            ("unsubscribe", _) => {}
            (state, _) => {
                let others: Vec<PhoneNumber> =
                    self.people.iter().map(|person| person.number.clone()).filter(|other| other != number).collect();
                for other in others {
                    self.sees(&other, number, state, None);
                }
            }
        }
    }

    pub(super) fn on_chatstate(&mut self, number: &PhoneNumber, stanza: &NodeRef<'_>) {
        let Some(to) = jid(stanza, "to") else { return };
        let state = match (stanza.get_optional_child("composing"), stanza.get_optional_child("paused")) {
            (Some(composing), _) if attribute(composing, "media").as_deref() == Some("audio") => "recording",
            (Some(_), _) => "composing",
            (None, Some(_)) => "paused",
            (None, None) => return,
        };
        if !to.is_group() {
            if let Some(contact) = self.number_behind(&to) {
                self.sees(&contact, number, state, None);
            }
            return;
        }
        let Some(group) = self.groups.get(&to.user) else { return };
        let members: Vec<PhoneNumber> = group.participants.iter().filter(|member| *member != number).cloned().collect();
        for member in members {
            self.sees(&member, number, state, Some(groups::whole(&to.user)));
        }
    }

    fn subscribe(&mut self, number: &PhoneNumber, to: &Jid) {
        let Some(contact) = self.number_behind(to) else { return };
        self.sees(&contact, number, "subscribed", None);
        let addressing = if to.is_lid() { AddressingMode::Lid } else { AddressingMode::Pn };
        self.show_presence(&contact, number, PresenceKind::Unavailable, None, None, addressing);
    }

    fn sees(&mut self, who: &PhoneNumber, from: &PhoneNumber, state: &str, group: Option<String>) {
        let timestamp = self.now();
        if let Ok(person) = self.people.meet(who) {
            let (from, state) = (from.clone(), state.to_owned());
            person.inbox.take_presence(ReceivedPresence { from, state, group, timestamp });
        }
    }
}
