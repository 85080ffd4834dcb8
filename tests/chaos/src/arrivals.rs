//! What an endpoint received, kept small: a run may deliver millions of events.

use kurir_test_harness::Request;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Each text with the event ids under which it came, and the order of the first arrivals.
#[derive(Default)]
pub struct Arrivals {
    ids: HashMap<String, Vec<String>>,
    requests: usize,
    /// By session and contact.
    order: BTreeMap<(String, String), Vec<String>>,
}

impl Arrivals {
    pub fn record(&mut self, request: &Request) {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let (text, data) = (text_of(&event), &event["data"]);
        let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        self.requests += 1;
        if !self.ids.contains_key(text) {
            let contact = field("from").split('@').next().unwrap_or_default().to_owned();
            self.order.entry((field("session"), contact)).or_default().push(text.to_owned());
        }
        let (ids, id) = (self.ids.entry(text.to_owned()).or_default(), request.header("webhook-id"));
        if ids.iter().all(|known| known != id) {
            ids.push(id.to_owned());
        }
    }

    /// The event ids under which a text came.
    pub fn ids(&self, text: &str) -> &[String] {
        self.ids.get(text).map_or(&[], Vec::as_slice)
    }

    /// How many texts came.
    pub fn texts(&self) -> usize {
        self.ids.len()
    }

    /// How many requests repeated a text.
    pub fn repeats(&self) -> usize {
        self.requests - self.ids.len()
    }

    /// A contact's texts to a session in the order of their first arrivals.
    pub fn order(&self, session: &str, contact: &str) -> &[String] {
        self.order.get(&(session.to_owned(), contact.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// The text of an event about a message.
pub fn text_of(event: &Value) -> &str {
    event["data"]["content"]["text"].as_str().unwrap_or_default()
}
