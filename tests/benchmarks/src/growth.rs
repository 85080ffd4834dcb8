//! A gateway's memory over as many events as two hours bring at 20 events a second, sent as fast as the gateway accepts them.
//! The mixture has everything that happens on WhatsApp. It is long enough to fill the caches.

use crate::gateway::PairedGateway;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

const PER_SECOND: usize = 20;
const MINUTES: usize = 120;
/// The output shows the growth of each part.
const A_THIRD: usize = MINUTES / 3;
const CONTACTS: usize = 200;
/// How many events the simulator sends at the same time, each from another contact.
const AT_ONCE: usize = 16;

pub async fn measure(gateway: &Path) -> anyhow::Result<()> {
    println!("\nmemory of one gateway over {MINUTES} minutes' worth of mixed events, MB");
    println!("{:>12}  {:>10}  {:>8}  {:>8}", "minutes", "events", "RSS", "NATS");
    let mut paired = PairedGateway::start(gateway).await?;
    let group = group(&paired).await?;
    let mut thirds = Vec::new();
    for minute in 1..=MINUTES {
        let before = paired.stored().await?;
        // One event each, typing too: the gateway publishes these one after another, and they would pile up.
        let told: Vec<()> = stream::iter((0..60 * PER_SECOND).map(|number| {
            let (simulator, group) = (&paired.simulator, &group);
            async move {
                let (path, body) = happening(minute, number, group);
                simulator.post(&path, body).await;
                anyhow::Ok(())
            }
        }))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
        paired.wait_for(before + told.len() as u64, Duration::from_secs(120)).await?;
        let used = paired.used()?;
        if minute % A_THIRD == 0 {
            thirds.push(used.gateway.rss_megabytes);
        }
        if minute == 1 || minute % 10 == 0 {
            let stored = paired.stored().await?;
            println!(
                "{minute:>12}  {stored:>10}  {:>8.1}  {:>8.1}",
                used.gateway.rss_megabytes, used.nats.rss_megabytes
            );
        }
    }
    for (third, of) in thirds.windows(2).zip(["second", "last"]) {
        println!("growth in the {of} third: {:+.1} MB", third[1] - third[0]);
    }
    Ok(())
}

async fn group(paired: &PairedGateway) -> anyhow::Result<String> {
    let members: Vec<String> = (0..10).map(contact).collect();
    let accounts = paired.simulator.get("/accounts").await;
    let account = accounts[0]["number"].as_str().unwrap_or_default().to_owned();
    let everybody: Vec<String> = members.into_iter().chain([account]).collect();
    let made = paired.simulator.post("/groups", json!({"subject": "Growth", "participants": everybody})).await;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(!id.is_empty(), "the simulator made no group: {made}");
    Ok(id)
}

fn contact(number: usize) -> String {
    format!("62812{:07}", number % CONTACTS)
}

/// The simulator's path and body for an event. Of twenty events thirteen are texts, three of them in the group; the others
/// are one of each kind.
fn happening(minute: usize, number: usize, group: &str) -> (String, Value) {
    // All of them within four minutes.
    let who = contact(number / 20 + minute * 60);
    let messages = format!("/contacts/{who}/messages");
    let text = format!("minute {minute}, number {number}: a text as people write them, with some words more");
    let target = format!("3A{minute:04}{:06}", number / 20 * 20);
    match number % 20 {
        // The others refer to this one.
        0 => (messages, json!({"text": text, "id": target})),
        1 => (messages, json!({"type": "reaction", "target": target, "text": "👍"})),
        2 => (messages, json!({"type": "edit", "target": target, "text": text})),
        3 => (messages, json!({"type": "location", "latitude": -6.2, "longitude": 106.8, "name": "Jakarta"})),
        4 => (messages, json!({"type": "contact", "displayName": "Sari", "vcard": "BEGIN:VCARD\nFN:Sari\nEND:VCARD"})),
        5 => (messages, json!({"type": "poll", "name": "When?", "options": ["today", "tomorrow"], "selectable": 1})),
        6 => (format!("/contacts/{who}/presence"), json!({"state": "composing"})),
        7..=9 => (format!("/contacts/{}/messages", contact(number % 10)), json!({"text": text, "group": group})),
        19 => (messages, json!({"type": "revoke", "target": target})),
        _ => (messages, json!({"text": text})),
    }
}
