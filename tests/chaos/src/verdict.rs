//! Compares what arrived with what was sent.

use crate::{
    faults::FaultCounts,
    load::{SentLoad, SentMessage},
    receivers::{EndpointReceiver, Receivers},
};
use kurir_test_harness::Stack;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
        self.problems.is_empty()
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

/// What one endpoint received: for each text the event ids under which it came, and the order of the first arrivals.
#[derive(Default)]
struct Arrivals {
    ids: HashMap<String, BTreeSet<String>>,
    requests: usize,
    order: HashMap<(String, String), Vec<String>>,
}

pub async fn compare(stack: &Stack, receivers: &Receivers, sent: SentLoad, faults: FaultCounts) -> Verdict {
    let mut verdict = Verdict { faults, sends: sent.sends.len(), ..Verdict::default() };
    verdict.sent = sent.messages.values().map(Vec::len).sum();
    let dead: BTreeSet<String> = stack
        .dead_letters()
        .await
        .into_iter()
        .map(|(subject, _, event)| format!("{subject} {}", text(&event)))
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
    let arrivals = arrivals(endpoint);
    for ((session, contact), sent) in messages {
        for message in sent {
            match arrivals.ids.get(&message.text) {
                Some(ids) if ids.len() == 1 => verdict.delivered += 1,
                Some(ids) => {
                    verdict.doubled += 1;
                    verdict.problems.push(format!(
                        "{} got {:?} as {} events: {ids:?}",
                        endpoint.name,
                        message.text,
                        ids.len()
                    ));
                }
                None if dead.iter().any(|one| one.contains(&endpoint.id) && one.ends_with(&message.text)) => {
                    verdict.dead_lettered += 1;
                }
                None => {
                    verdict.lost += 1;
                    let line = stack.simulator.get(&format!("/messages?id={}", message.id)).await;
                    let life =
                        if verdict.lost <= MOST_LIVES { life_of(stack, &message.text).await } else { Value::Null };
                    verdict.problems.push(format!(
                        "{} never got {:?} of {contact} for {session}; WhatsApp says {line}; EVENTS {}; its life: {life}",
                        endpoint.name,
                        message.text,
                        if is_stored(stack, &message.text).await { "has it" } else { "has it not" },
                    ));
                }
            }
        }
        if endpoint.keeps_order {
            let arrived = arrivals.order.get(&(session.clone(), contact.clone())).cloned().unwrap_or_default();
            let wanted: Vec<&String> =
                sent.iter().map(|message| &message.text).filter(|text| arrived.contains(text)).collect();
            if !wanted.iter().copied().eq(arrived.iter()) {
                verdict.problems.push(format!("{} got {contact}'s messages to {session} out of order", endpoint.name));
            }
        }
    }
    compare_ledger(verdict, stack, endpoint, arrivals.ids.len()).await;
    verdict.repeated += arrivals.requests.saturating_sub(arrivals.ids.len());
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

/// What the API knows of the message: every attempt to deliver it.
async fn life_of(stack: &Stack, wanted: &str) -> Value {
    let events = stack.events().await;
    let Some((_, id, _)) = events.iter().find(|(_, _, event)| text(event) == wanted) else { return Value::Null };
    stack.api.get(&format!("/api/events/{id}/life")).await.1
}

fn arrivals(endpoint: &EndpointReceiver) -> Arrivals {
    let mut arrivals = Arrivals::default();
    for request in endpoint.requests() {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let (text, data) = (text(&event).to_owned(), &event["data"]);
        let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let contact = field("from").split('@').next().unwrap_or_default().to_owned();
        arrivals.requests += 1;
        let ids = arrivals.ids.entry(text.clone()).or_default();
        if ids.is_empty() {
            arrivals.order.entry((field("session"), contact)).or_default().push(text);
        }
        ids.insert(request.header("webhook-id").to_owned());
    }
    arrivals
}

/// Each send that was accepted is at its recipient once; one that never was accepted at most once.
async fn compare_sends(verdict: &mut Verdict, stack: &Stack, sent: &SentLoad) {
    let mut inboxes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for send in &sent.sends {
        if !inboxes.contains_key(send.to.as_str()) {
            inboxes.insert(&send.to, stack.simulator.received_by(&send.to).await);
        }
        let inbox = &inboxes[send.to.as_str()];
        let count = inbox.iter().filter(|message| message["text"] == send.text.as_str()).count();
        let fits = if send.accepted { count == 1 } else { count <= 1 };
        if !fits {
            let answer = if send.accepted { "accepted" } else { "never accepted" };
            verdict.problems.push(format!("{:?} to {} was {answer} and arrived {count} times", send.text, send.to));
        }
    }
}

async fn is_stored(stack: &Stack, wanted: &str) -> bool {
    stack.events().await.iter().any(|(_, _, event)| text(event) == wanted)
}

fn text(event: &Value) -> &str {
    event["data"]["content"]["text"].as_str().unwrap_or_default()
}
