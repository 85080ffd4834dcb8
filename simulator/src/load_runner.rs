//! Load: many contacts write numbered texts at a steady rate.
//! Promises `<load id> <n>` with `n` from 1 per contact, round robin, and that nothing is left
//! out: where a queue is full it waits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use waproto::whatsapp::Message;

use crate::load::MAX_LOADS;
use crate::{
    ledger::MessageState,
    load::{LoadProgress, LoadRun},
    phone_number::PhoneNumber,
    randomness::random,
    stanza::{OutboundMessage, SendError},
    state::{ServerState, SharedState},
};

/// Texts said under one lock.
const BATCH: u64 = 32;

/// How often the rate is looked at.
const TICK: Duration = Duration::from_millis(5);

/// How long to wait when the companion's queue is full.
const FULL: Duration = Duration::from_millis(100);

impl ServerState {
    /// Contacts that none had before, so that the messages of two loads are told apart.
    pub fn new_contacts(&self, contacts: u64) -> Result<Vec<PhoneNumber>> {
        let number = self.loads.next % 10_000;
        (0..contacts)
            .map(|contact| format!("1999{number:04}{contact:04}").parse().map_err(anyhow::Error::msg))
            .collect()
    }

    /// The members of a group who are not this account.
    pub fn group_members_but(&self, group: &str, account: &PhoneNumber) -> Result<Vec<PhoneNumber>> {
        let found = self.groups.get(group).with_context(|| format!("there is no group {group:?}"))?;
        let members: Vec<_> = found.participants.iter().filter(|member| *member != account).cloned().collect();
        ensure!(!members.is_empty(), "group {group:?} has no other member");
        Ok(members)
    }

    pub fn begin_load(
        &mut self,
        to: PhoneNumber,
        messages: u64,
        rate: f64,
        contacts: Vec<PhoneNumber>,
        group: Option<String>,
    ) -> LoadRun {
        let number = self.loads.next;
        self.loads.next += 1;
        let load = LoadRun {
            id: format!("L{:04x}{number}", random::<u16>()),
            to,
            messages,
            rate,
            contacts,
            group,
            said: 0,
            failed: None,
            begun: Instant::now(),
            ended: None,
        };
        self.loads.loads.insert(number, load.clone());
        if self.loads.loads.len() > MAX_LOADS {
            self.loads.loads.pop_first();
        }
        load
    }

    pub fn load_progress(&self, id: &str) -> Option<LoadProgress> {
        let load = self.loads.loads.values().find(|load| load.id == id)?;
        let contacts: std::collections::HashSet<&PhoneNumber> = load.contacts.iter().collect();
        let acknowledged = self
            .ledger
            .iter()
            .filter(|line| line.state == MessageState::Acknowledged && contacts.contains(&line.contact))
            .count() as u64;
        let elapsed = load.ended.unwrap_or_else(Instant::now) - load.begun;
        Some(LoadProgress {
            id: load.id.clone(),
            to: load.to.clone(),
            messages: load.messages,
            sent: load.said,
            acknowledged,
            done: load.ended.is_some(),
            error: load.failed.clone(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            contacts: load.contacts.clone(),
        })
    }

    fn say_next(&mut self, load: &LoadRun, index: u64) -> Result<(), SendError> {
        let contacts = load.contacts.len() as u64;
        let contact = usize::try_from(index % contacts).unwrap_or_default();
        let id = self.fresh_id("3A");
        let utterance = OutboundMessage {
            id,
            message: Message {
                conversation: Some(format!("{} {}", load.id, index / contacts + 1)),
                ..Default::default()
            },
            to: load.group.is_none().then(|| load.to.clone()),
            group: load.group.clone(),
            ..OutboundMessage::default()
        };
        self.say(&load.contacts[contact], utterance)
    }
}

/// Says everything, at the rate asked for or as fast as it goes.
pub async fn run(shared: SharedState, load: LoadRun) {
    let mut said = 0;
    while said < load.messages {
        let due = (load.begun.elapsed().as_secs_f64() * load.rate) as u64 + 1;
        let end = due.min(load.messages).min(said + BATCH);
        let mut pause = Duration::ZERO;
        {
            let mut server = shared.lock();
            while said < end {
                match server.say_next(&load, said) {
                    Ok(()) => said += 1,
                    Err(SendError::Full(_)) => {
                        pause = FULL;
                        break;
                    }
                    Err(error) => {
                        if let Some(load) = server.loads.get_mut(&load.id) {
                            load.failed = Some(error.to_string());
                            load.ended = Some(Instant::now());
                        }
                        return;
                    }
                }
            }
            if let Some(load) = server.loads.get_mut(&load.id) {
                load.said = said;
            }
        }
        if pause.is_zero() && said >= due {
            pause = TICK;
        }
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
    if let Some(load) = shared.lock().loads.get_mut(&load.id) {
        load.ended = Some(Instant::now());
    }
}
