//! What of a companion's offline queue is written when: the whole queue after `<active/>`, each
//! new entry at once after that, and the faults in between.
//! Promises that an entry is written again on every connection until it is acknowledged.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use wacore_binary::{Node, NodeContent, builder::NodeBuilder};
use wacore_libsignal::protocol::PreKeySignalMessage;

use crate::{
    connection::{ConnectionId, OutboxItem},
    faults::{FaultKind, StanzaFacts, TrafficDirection},
    ledger::RecordKey,
    offline_queue::StanzaClass,
    phone_number::PhoneNumber,
    state::ServerState,
    timers::TimerAction,
};

/// How long a held entry waits to be overtaken.
const HOLD: Duration = Duration::from_secs(2);

/// What the writing half takes at once.
#[derive(Default)]
pub struct WriteBatch {
    pub nodes: Vec<Node>,
    /// The lines of the ledger that these stanzas are.
    pub records: Vec<(RecordKey, u32)>,
    pub close: bool,
}

impl ServerState {
    /// The client is ready: announces and writes everything that waits.
    pub fn write_offline_queue(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16) {
        let Some(companion) = self.people.companion(number, device) else {
            return;
        };
        let places: Vec<u64> = companion.queue.places().collect();
        let messages = companion.queue.messages();
        let count = |class| companion.queue.entries().filter(|entry| entry.class.as_str() == class).count().to_string();
        let preview = NodeBuilder::new("offline_preview")
            .attr("count", places.len().to_string())
            .attr("message", messages.to_string())
            .attr("receipt", count("receipt"))
            .attr("notification", count("notification"))
            .attr("appdata", "0")
            .build();
        self.send(id, from_server(preview));
        for place in &places {
            self.deliver(number, device, *place, true);
        }
        self.release_held(id);
        let offline = NodeBuilder::new("offline").attr("count", places.len().to_string()).build();
        self.send(id, from_server(offline));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.online = true;
        }
        self.show_missed_typing(id, number, device);
    }

    /// Writes one entry now, unless a fault decides otherwise or the companion is not there.
    pub fn deliver(&mut self, number: &PhoneNumber, device: u16, place: u64, offline: bool) {
        let Some(companion) = self.people.companion(number, device) else {
            return;
        };
        let Some(connection) = companion.connection else {
            return;
        };
        if !offline && !self.connections.get(&connection).is_some_and(|c| c.online) {
            return;
        }
        let Some(entry) = companion.queue.get(place) else {
            return;
        };
        let record = entry.record.and_then(|key| self.ledger.get(key));
        let stanza_type = entry.node.attrs.get("type").map(|value| value.as_str());
        let seen = StanzaFacts {
            stanza: entry.class.as_str(),
            id: Some(&entry.id),
            contact: record.map(|record| record.contact.as_str()),
            account: number.as_str(),
            device,
            group: record.and_then(|record| record.group.as_deref()),
            kind: stanza_type.as_deref(),
            xmlns: None,
        };
        if let Some(until) = self.receipt_waits_until(number, device, place) {
            let delay = until.saturating_duration_since(Instant::now());
            self.timers.after(delay, TimerAction::Deliver { number: number.clone(), device, place });
            return;
        }
        let fault = self.faults.meet(TrafficDirection::ToClient, &seen);
        let Some(fault) = fault else {
            self.write_entry(number, device, place, offline, false);
            return;
        };
        match fault.kind {
            FaultKind::Lose => {}
            FaultKind::Delay => {
                let delay = Duration::from_millis(fault.delay_ms.unwrap_or(1_000));
                self.timers.after(delay, TimerAction::Deliver { number: number.clone(), device, place });
            }
            FaultKind::Duplicate => {
                self.write_entry(number, device, place, offline, false);
                self.write_entry(number, device, place, offline, false);
            }
            FaultKind::Reorder => {
                self.release_held(connection);
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.held = Some(place);
                }
                self.timers.after(HOLD, TimerAction::ReleaseHeld(connection));
            }
            FaultKind::Corrupt => self.write_entry(number, device, place, offline, true),
            // Not of this direction: `meet` never gives them here.
            FaultKind::SwallowAck | FaultKind::Nack | FaultKind::Silence | FaultKind::HalfDeaf => {
                self.write_entry(number, device, place, offline, false);
            }
        }
    }

    /// Receipts for a message wait until its ack is written, if a fault delays the ack.
    pub fn hold_receipts(&mut self, number: &PhoneNumber, id: &str, delay: Duration) {
        let now = Instant::now();
        self.delayed_acks.retain(|_, until| now < *until);
        self.delayed_acks.insert((number.clone(), id.to_owned()), now + delay);
    }

    fn receipt_waits_until(&self, number: &PhoneNumber, device: u16, place: u64) -> Option<Instant> {
        let entry = self.people.companion(number, device)?.queue.get(place)?;
        if self.delayed_acks.is_empty() || entry.class != StanzaClass::Receipt {
            return None;
        }
        self.delayed_acks.get(&(number.clone(), entry.id.clone())).copied().filter(|until| Instant::now() < *until)
    }

    /// Puts an entry into the outbox of the companion's connection, and after it what it was
    /// held back for.
    pub fn write_entry(&mut self, number: &PhoneNumber, device: u16, place: u64, offline: bool, corrupt: bool) {
        let connection = self.people.companion(number, device).and_then(|companion| companion.connection);
        let Some(connection) = connection else { return };
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.push(OutboxItem::Entry { place, offline, corrupt });
        }
        self.release_held(connection);
    }

    pub fn release_held(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && let Some(place) = connection.held.take()
        {
            let offline = !connection.online;
            connection.push(OutboxItem::Entry { place, offline, corrupt: false });
        }
    }

    /// What the writing half of a connection writes next.
    pub fn take_batch(&mut self, id: ConnectionId, most: usize) -> WriteBatch {
        let mut batch = WriteBatch::default();
        let Some(connection) = self.connections.get_mut(&id) else {
            batch.close = true;
            return batch;
        };
        let owner = connection.logged_in().map(|(number, device)| (number.clone(), device));
        let hush = owner.as_ref().and_then(|(number, device)| self.faults.hush(number.as_str(), *device));
        if hush == Some(FaultKind::HalfDeaf) {
            // The rest waits.
            let is_answer = |out: &OutboxItem| matches!(out, OutboxItem::Stanza(node) if node.tag == "iq");
            let (answers, rest) = connection.outbox.drain(..).partition(is_answer);
            connection.outbox = rest;
            let answers: VecDeque<OutboxItem> = answers;
            batch.nodes.extend(answers.into_iter().filter_map(|out| match out {
                OutboxItem::Stanza(node) => Some(*node),
                OutboxItem::Entry { .. } | OutboxItem::Close => None,
            }));
        }
        if hush.is_some() {
            return batch;
        }
        while batch.nodes.len() < most {
            match connection.outbox.pop_front() {
                None => break,
                Some(OutboxItem::Close) => {
                    batch.close = true;
                    break;
                }
                Some(OutboxItem::Stanza(node)) => batch.nodes.push(*node),
                Some(OutboxItem::Entry { place, offline, corrupt }) => {
                    let Some((number, device)) = &owner else {
                        continue;
                    };
                    let entry =
                        self.people.companion_mut(number, *device).and_then(|companion| companion.queue.get_mut(place));
                    // Acknowledged in the meantime: a copy of it was written before.
                    let Some(entry) = entry else { continue };
                    entry.written += 1;
                    let mut node = entry.node.clone();
                    if offline {
                        node.attrs.insert("offline", "1");
                    }
                    if corrupt {
                        damage(&mut node);
                    }
                    if let Some(key) = entry.record {
                        batch.records.push((key, self.ledger.handed(key)));
                    }
                    batch.nodes.push(node);
                }
            }
        }
        for node in &batch.nodes {
            self.statistics.went(&node.tag);
        }
        batch
    }

    /// These messages were written to the socket.
    pub fn written(&mut self, records: &[(RecordKey, u32)]) {
        for (record, nth) in records {
            self.dirty = true;
            self.ledger.written(*record, *nth);
        }
    }
}

fn from_server(child: Node) -> Node {
    NodeBuilder::new("ib").attr("from", "s.whatsapp.net").children([child]).build()
}

/// Turns one bit of the MAC or signature of every ciphertext: what is around it stays readable.
fn damage(node: &mut Node) {
    let Some(NodeContent::Nodes(children)) = &mut node.content else {
        return;
    };
    for child in children.iter_mut().filter(|child| child.tag == "enc") {
        if let Some(NodeContent::Bytes(bytes)) = &mut child.content
            && let Some(last) = end_of_mac(bytes).and_then(|end| bytes.get_mut(end))
        {
            *last ^= 1;
        }
    }
}

/// The message inside a pkmsg is followed by other fields; any other ciphertext ends with its MAC.
fn end_of_mac(bytes: &[u8]) -> Option<usize> {
    let inside = PreKeySignalMessage::try_from(bytes).ok().and_then(|prekey| {
        let inner = prekey.message().serialized();
        let begin = bytes.windows(inner.len()).position(|window| window == inner)?;
        Some(begin + inner.len() - 1)
    });
    inside.or_else(|| bytes.len().checked_sub(1))
}
