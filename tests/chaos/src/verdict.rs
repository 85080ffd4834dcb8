//! Compares what arrived with what was sent.

use crate::{
    arrivals::text_of,
    faults::FaultCounts,
    load::{SentLoad, SentMessage},
    receivers::{EndpointReceiver, Receivers},
};
use kurir_test_harness::Stack;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

/// Of how many lost messages the whole life is shown.
const MOST_LIVES: usize = 5;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    sent: usize,
    delivered: usize,
    dead_lettered: usize,
    repeated: usize,
    sends: usize,
    faults: FaultCounts,
    problems: Vec<String>,
    lost: usize,
    doubled: usize,
}

impl Verdict {
    /// What must not be: each with everything that is known of the message.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.lost == 0
    }

    /// The messages of contacts.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// The faults that happened, kills among them.
    pub fn faults(&self) -> u32 {
        self.faults.kills + self.faults.others
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {} (and {} through the API), delivered {}, dead-lettered {}, lost {}, repeated under their id {}, unexplained duplicates {}, kills {}, other faults {}",
            self.sent,
            self.sends,
            self.delivered,
            self.dead_lettered,
            self.lost,
            self.repeated,
            self.doubled,
            self.faults.kills,
            self.faults.others
        )
    }
}

pub async fn compare(stack: &Stack, receivers: &Receivers, sent: SentLoad, faults: FaultCounts) -> Verdict {
    let mut verdict = Verdict { faults, sends: sent.sends.len(), ..Verdict::default() };
    verdict.sent = sent.messages.values().map(Vec::len).sum();
    let dead: BTreeSet<String> = stack
        .dead_letters()
        .await
        .into_iter()
        .map(|(subject, _, event)| format!("{subject} {}", text_of(&event)))
        .collect();
    for endpoint in receivers.all() {
        compare_endpoint(&mut verdict, stack, endpoint, &sent.messages, &dead).await;
    }
    compare_sends(&mut verdict, stack, &sent).await;
    verdict
}

async fn compare_endpoint(
    verdict: &mut Verdict,
    stack: &Stack,
    endpoint: &EndpointReceiver,
    messages: &BTreeMap<(String, String), Vec<SentMessage>>,
    dead: &BTreeSet<String>,
) {
    for ((session, contact), sent) in messages {
        let arrived = endpoint.arrivals().order(session, contact).to_vec();
        for message in sent {
            let ids = endpoint.arrivals().ids(&message.text).to_vec();
            match ids.len() {
                1 => verdict.delivered += 1,
                0 if dead.iter().any(|one| one.contains(&endpoint.id) && one.ends_with(&message.text)) => {
                    verdict.dead_lettered += 1;
                }
                0 => {
                    verdict.lost += 1;
                    if verdict.lost <= MOST_LIVES {
                        verdict.problems.push(describe_lost(stack, endpoint.name, message).await);
                    }
                }
                _ => {
                    verdict.doubled += 1;
                    let (name, text) = (endpoint.name, &message.text);
                    verdict.problems.push(format!("{name} got {text:?} as {} events: {ids:?}", ids.len()));
                }
            }
        }
        if endpoint.keeps_order {
            let wanted = sent.iter().map(|message| &message.text);
            let known: HashSet<&String> = arrived.iter().collect();
            if !wanted.filter(|text| known.contains(text)).eq(arrived.iter()) {
                verdict.problems.push(format!("{} got {contact}'s messages to {session} out of order", endpoint.name));
            }
        }
    }
    let texts = endpoint.arrivals().texts();
    compare_ledger(verdict, stack, endpoint, texts).await;
    verdict.repeated += endpoint.arrivals().repeats();
}

/// Everything that is known of a message that never came.
async fn describe_lost(stack: &Stack, endpoint: &str, SentMessage { id, text }: &SentMessage) -> String {
    let line = stack.simulator.get(&format!("/messages?id={id}")).await;
    let events = stack.events().await;
    let stored = events.iter().find(|(_, _, event)| text_of(event) == text);
    let life = match stored {
        Some((_, event, _)) => stack.api.get(&format!("/api/events/{event}/life")).await.1,
        None => Value::Null,
    };
    let stored = if stored.is_some() { "has it" } else { "has it not" };
    format!("{endpoint} never got {text:?}; WhatsApp says {line}; EVENTS {stored}; its life: {life}")
}

/// The ledger says the same as the receiver: how many events were delivered, and that none is missing.
async fn compare_ledger(verdict: &mut Verdict, stack: &Stack, endpoint: &EndpointReceiver, arrived: usize) {
    let (_, ledger) = stack.api.get(&format!("/api/ledger?endpoint={}", endpoint.id)).await;
    let figure = |name: &str| ledger["data"][name].as_i64().unwrap_or(-1);
    // An event that arrived and was answered with an error may be a dead letter all the same.
    let known = figure("delivered") + figure("dead");
    if figure("missing") != 0 || figure("waiting") != 0 || known < i64::try_from(arrived).unwrap_or(i64::MAX) {
        verdict.problems.push(format!("{}: {arrived} events arrived, and the ledger says {ledger}", endpoint.name));
    }
}

/// Each send that was accepted is at its recipient once; one that never was accepted at most once.
async fn compare_sends(verdict: &mut Verdict, stack: &Stack, sent: &SentLoad) {
    let mut inboxes: BTreeMap<&str, HashMap<String, usize>> = BTreeMap::new();
    for send in &sent.sends {
        if !inboxes.contains_key(send.to.as_str()) {
            let mut inbox = HashMap::new();
            for message in stack.simulator.received_by(&send.to).await {
                *inbox.entry(message["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
            inboxes.insert(&send.to, inbox);
        }
        let count = inboxes[send.to.as_str()].get(&send.text).copied().unwrap_or_default();
        let fits = if send.accepted { count == 1 } else { count <= 1 };
        if !fits {
            let answer = if send.accepted { "accepted" } else { "never accepted" };
            verdict.problems.push(format!("{:?} to {} was {answer} and arrived {count} times", send.text, send.to));
        }
    }
}
