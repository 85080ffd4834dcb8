//! What happened to the message of an event, in order. Pure.

use crate::index::query::events::EventSummary;
use kurir_contract::audit::AuditEntry;
use schemars::JsonSchema;
use serde::Serialize;

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifeStep {
    /// `asked`, `queued`, `sent`, `received`, `stored`, `acknowledged`, `server`, `delivered`, `read`, `played`, or the type
    /// of another event about the message.
    pub step: String,
    /// ISO 8601; null if nobody noted it.
    pub at: Option<String>,
    /// More about it, in words.
    pub text: String,
    /// The event that says so.
    pub event_id: Option<String>,
}

pub fn steps(
    event: &EventSummary,
    related: &[EventSummary],
    about: &[EventSummary],
    asked: &[AuditEntry],
) -> Vec<LifeStep> {
    let mut steps = Vec::new();
    if event.event == "message.sent" || event.event == "message.queued" {
        let sends = asked.iter().rev().filter(|entry| (200..300).contains(&entry.status));
        steps.extend(sends.map(asked_step));
    }
    if event.event == "message.received" {
        steps.push(step("received", Some(&event.at), "written at WhatsApp", event));
    }
    // Its queue first, then the event itself, then what followed.
    let before = related.iter().filter(|other| other.sequence < event.sequence && other.event == "message.queued");
    steps.extend(before.map(related_step));
    if event.event == "message.sent" {
        steps.push(step("sent", Some(&event.at), "WhatsApp accepted it", event));
    }
    let place = format!("message {} of EVENTS", event.sequence);
    steps.push(step("stored", Some(&event.stored_at), &place, event));
    if event.event == "message.received" {
        steps.push(step("acknowledged", None, "WhatsApp was told only after it was stored", event));
    }
    let after = related.iter().filter(|other| other.id != event.id && other.event != event.event);
    steps.extend(
        after.filter(|other| other.sequence > event.sequence || other.event != "message.queued").map(related_step),
    );
    steps.extend(about.iter().filter(|other| other.id != event.id).map(related_step));
    steps
}

fn asked_step(entry: &AuditEntry) -> LifeStep {
    let via = if entry.via_dashboard { ", on the dashboard" } else { "" };
    LifeStep {
        step: "asked".to_owned(),
        at: Some(entry.at.clone()),
        text: format!("by the key {:?} ({}) from {}{via}", entry.key_name, entry.key_id, entry.address),
        event_id: None,
    }
}

fn related_step(event: &EventSummary) -> LifeStep {
    let name = match (event.event.as_str(), event.detail.as_deref()) {
        ("message.ack", Some(status)) => status,
        ("message.queued", _) => "queued",
        ("message.sent", _) => "sent",
        (other, _) => other,
    };
    let who = event.author.as_deref().filter(|_| event.event == "message.ack" && !event.from_me);
    let text = match (who, event.detail.as_deref()) {
        (Some(who), _) => format!("by {who}"),
        (None, Some(detail)) if detail != name => detail.to_owned(),
        (None, _) => String::new(),
    };
    step(name, Some(&event.at), &text, event)
}

fn step(name: &str, at: Option<&String>, text: &str, event: &EventSummary) -> LifeStep {
    LifeStep { step: name.to_owned(), at: at.cloned(), text: text.to_owned(), event_id: Some(event.id.clone()) }
}
