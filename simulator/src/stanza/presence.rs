//! Presence and typing, between clients and from simulated phones.
//! A subscriber is told the present state at once and every change. Typing is kept for a moment for who is away.
//! Every simulated phone that could see something has it in its inbox.

use schemars::JsonSchema;
use std::time::{Duration, Instant};

use wacore_binary::{Jid, JidExt as _, Node, NodeRef, builder::NodeBuilder};

use super::node::{attribute, jid};
use crate::{
    connection::ConnectionId,
    groups,
    people::{AddressingMode, PresenceState, ReceivedPresence},
    phone_number::PhoneNumber,
    privacy::PrivacyCategory,
    state::ServerState,
};

/// How long typing is shown to somebody who comes back.
const TYPING_LASTS: Duration = Duration::from_secs(3);

/// Signs of typing that wait for one companion.
const MAX_TYPING: usize = 16;

/// People whose presence one connection follows.
const MAX_SUBSCRIPTIONS: usize = 2_000;

/// What somebody is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceKind {
    Available,
    Unavailable,
    Composing,
    Recording,
    Paused,
}

impl ServerState {
    pub(super) fn on_presence(&mut self, id: ConnectionId, number: &PhoneNumber, stanza: &NodeRef<'_>) {
        let kind = attribute(stanza, "type").unwrap_or_else(|| "available".to_owned());
        if let Some(name) = attribute(stanza, "name").filter(|name| !name.is_empty()) {
            self.rename(number, &name);
        }
        match (kind.as_str(), jid(stanza, "to")) {
            ("subscribe", Some(to)) => self.subscribe(id, number, &to, stanza),
            ("unsubscribe", Some(to)) => {
                let contact = self.number_behind(&to);
                if let (Some(contact), Some(connection)) = (contact, self.connections.get_mut(&id)) {
                    connection.subscriptions.remove(&contact);
                }
            }
            ("available" | "unavailable", _) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.available = kind == "available";
                }
                let others: Vec<PhoneNumber> =
                    self.people.iter().map(|person| person.number.clone()).filter(|other| other != number).collect();
                for other in others {
                    self.sees(&other, number, &kind, None);
                }
                self.availability_changed(number);
            }
            (other, _) => tracing::debug!("{number} says {other:?} of itself, which nobody understands"),
        }
    }

    pub(super) fn on_chatstate(&mut self, number: &PhoneNumber, stanza: &NodeRef<'_>) {
        let Some(to) = jid(stanza, "to") else { return };
        let kind = match (stanza.get_optional_child("composing"), stanza.get_optional_child("paused")) {
            (Some(composing), _) if attribute(composing, "media").as_deref() == Some("audio") => {
                PresenceKind::Recording
            }
            (Some(_), _) => PresenceKind::Composing,
            (None, Some(_)) => PresenceKind::Paused,
            (None, None) => return,
        };
        let from = if to.is_pn() { number.jid(0) } else { number.lid_jid(0) };
        if !to.is_group() {
            if let Some(contact) = self.number_behind(&to).filter(|contact| contact != number) {
                self.sees(&contact, number, kind.name(), None);
                self.show_typing(&contact, &typing(kind, from, None));
            }
            return;
        }
        let Some(group) = self.groups.get(&to.user).filter(|group| group.participants.contains(number)) else { return };
        let members: Vec<PhoneNumber> = group.participants.iter().filter(|member| *member != number).cloned().collect();
        let node = typing(kind, from, Some(&to.to_non_ad()));
        for member in members {
            self.sees(&member, number, kind.name(), Some(groups::whole(&to.user)));
            self.show_typing(&member, &node);
        }
    }

    fn subscribe(&mut self, id: ConnectionId, number: &PhoneNumber, to: &Jid, stanza: &NodeRef<'_>) {
        let Some(contact) = self.number_behind(to) else { return };
        if !self.shows_itself_to(&contact, number, Some(stanza)) {
            return;
        }
        self.sees(&contact, number, "subscribed", None);
        if let Some(connection) = self.connections.get_mut(&id)
            && (connection.subscriptions.len() < MAX_SUBSCRIPTIONS || connection.subscriptions.contains_key(&contact))
        {
            connection.subscriptions.insert(contact.clone(), to.to_non_ad());
        }
        let node = self.presence_of(&contact, number, to.to_non_ad());
        self.send(id, node);
    }

    /// A simulated phone shows what it is doing: to who follows it, and to the companions of `to`.
    pub fn show_presence(
        &mut self,
        number: &PhoneNumber,
        to: Option<&PhoneNumber>,
        presence: PresenceKind,
        last_seen: Option<i64>,
        group: Option<&str>,
        addressing: AddressingMode,
    ) {
        let who = match addressing {
            AddressingMode::Pn => number.jid(0),
            AddressingMode::Lid => number.lid_jid(0),
        };
        if matches!(presence, PresenceKind::Composing | PresenceKind::Recording | PresenceKind::Paused) {
            let group = group.map(|group| Jid::group(groups::bare(group)));
            if let Some(to) = to {
                self.show_typing(to, &typing(presence, who, group.as_ref()));
            }
            return;
        }
        let state = if presence == PresenceKind::Available {
            PresenceState::Available
        } else {
            PresenceState::Unavailable { last_seen }
        };
        if let Ok(person) = self.people.meet(number) {
            person.presence = state;
        }
        let told = self.tell_subscribers(number);
        let companions = to.and_then(|to| self.people.get(to)).map(|person| &person.companions);
        let companions: Vec<ConnectionId> =
            companions.into_iter().flat_map(|all| all.values()).filter_map(|one| one.connection).collect();
        for connection in companions.into_iter().filter(|connection| !told.contains(connection)) {
            self.send(connection, presence_node(state, who.clone(), false));
        }
    }

    /// The account is online while one of its companions says so.
    pub fn availability_changed(&mut self, number: &PhoneNumber) {
        let is_available = self.connections.values().any(|connection| {
            connection.available && connection.logged_in().is_some_and(|(account, _)| account == number)
        });
        let now = self.now();
        let Some(person) = self.people.get_mut(number) else { return };
        let was_available = person.presence == PresenceState::Available;
        if is_available == was_available {
            return;
        }
        person.presence =
            if is_available { PresenceState::Available } else { PresenceState::Unavailable { last_seen: Some(now) } };
        self.tell_subscribers(number);
    }

    /// Tells everybody who follows this person; gives who was told.
    fn tell_subscribers(&mut self, number: &PhoneNumber) -> Vec<ConnectionId> {
        let followers: Vec<(ConnectionId, PhoneNumber, Jid)> = self
            .connections
            .iter()
            .filter_map(|(id, connection)| {
                let address = connection.subscriptions.get(number)?.clone();
                let (follower, _) = connection.logged_in()?;
                Some((*id, follower.clone(), address))
            })
            .collect();
        let mut told = Vec::with_capacity(followers.len());
        for (id, follower, address) in followers {
            let node = self.presence_of(number, &follower, address);
            self.send(id, node);
            told.push(id);
        }
        told
    }

    /// As one person sees another, under the address that it asked for.
    fn presence_of(&self, number: &PhoneNumber, seen_by: &PhoneNumber, address: Jid) -> Node {
        let Some(person) = self.people.get(number) else {
            return presence_node(PresenceState::default(), address, false);
        };
        let hides_last = !self.may_see(number, seen_by, PrivacyCategory::Last);
        let hides_online = hides_last && person.privacy.value(PrivacyCategory::Online) == "match_last_seen";
        let state = match person.presence {
            PresenceState::Available if hides_online => PresenceState::default(),
            PresenceState::Unavailable { .. } if hides_last => PresenceState::default(),
            state => state,
        };
        presence_node(state, address, hides_last)
    }

    /// Shows typing to an account's companions: now, or within a moment to those that are away.
    fn show_typing(&mut self, to: &PhoneNumber, node: &Node) {
        let until = Instant::now() + TYPING_LASTS;
        let Some(person) = self.people.get_mut(to) else { return };
        let mut connected = Vec::new();
        for companion in person.companions.values_mut() {
            let online = companion.connection.filter(|id| self.connections.get(id).is_some_and(|one| one.online));
            match online {
                Some(connection) => connected.push(connection),
                None => {
                    if companion.typing.len() == MAX_TYPING {
                        companion.typing.pop_front();
                    }
                    companion.typing.push_back((until, node.clone()));
                }
            }
        }
        for connection in connected {
            self.send(connection, node.clone());
        }
    }

    /// What was typed in the last moment, for a companion that has come back.
    pub fn show_missed_typing(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16) {
        let Some(companion) = self.people.companion_mut(number, device) else { return };
        let now = Instant::now();
        for (until, node) in std::mem::take(&mut companion.typing) {
            if now < until {
                self.send(id, node);
            }
        }
    }

    /// Somebody has another name from now on; later messages carry it.
    pub fn rename(&mut self, number: &PhoneNumber, name: &str) {
        if let Some(person) = self.people.get_mut(number).filter(|person| person.push_name != name) {
            name.clone_into(&mut person.push_name);
            self.dirty = true;
        }
    }

    fn sees(&mut self, who: &PhoneNumber, from: &PhoneNumber, state: &str, group: Option<String>) {
        let timestamp = self.now();
        if let Ok(person) = self.people.meet(who) {
            let (from, state) = (from.clone(), state.to_owned());
            person.inbox.take_presence(ReceivedPresence { from, state, group, timestamp });
        }
    }
}

impl PresenceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Composing => "composing",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }
}

fn presence_node(state: PresenceState, from: Jid, hides_last: bool) -> Node {
    let node = NodeBuilder::new("presence").attr("from", from);
    match state {
        PresenceState::Available => node.build(),
        PresenceState::Unavailable { .. } if hides_last => {
            node.attr("type", "unavailable").attr("last", "deny").build()
        }
        PresenceState::Unavailable { last_seen: Some(last) } => {
            node.attr("type", "unavailable").attr("last", last.to_string()).build()
        }
        PresenceState::Unavailable { last_seen: None } => node.attr("type", "unavailable").build(),
    }
}

fn typing(kind: PresenceKind, who: Jid, group: Option<&Jid>) -> Node {
    let mut state = NodeBuilder::new(if kind == PresenceKind::Paused { "paused" } else { "composing" });
    if kind == PresenceKind::Recording {
        state = state.attr("media", "audio");
    }
    let node = NodeBuilder::new("chatstate");
    let node = match group {
        Some(group) => node.attr("from", group).attr("participant", who),
        None => node.attr("from", who),
    };
    node.children([state.build()]).build()
}
