//! Commands about what happened: the life of a message, deliveries, chats, and the search index.

use crate::{
    api_client::ApiClient,
    progress::ProgressBar,
    table::{cell, print_rows},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at an index that is being made.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Prints everything that happened to an event or a message; true if it is known.
pub async fn show_life(api: &ApiClient, id: &str, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get(&format!("/api/events/{}/life", escape(id))).await?;
    if !reply.succeeded() {
        eprintln!("{}", reply.message());
        return Ok(false);
    }
    let life = &reply.body["data"];
    if as_json {
        println!("{life}");
        return Ok(true);
    }
    println!(
        "{} {} of the session {}",
        cell(&life["event"]["event"]),
        cell(&life["event"]["id"]),
        cell(&life["event"]["session"])
    );
    for step in rows(&life["steps"]) {
        println!("  {:<24}  {:<13} {}", cell(&step["at"]), cell(&step["step"]), cell(&step["text"]));
    }
    for endpoint in rows(&life["endpoints"]) {
        println!("{}: {}: {}", cell(&endpoint["endpoint"]), cell(&endpoint["state"]), cell(&endpoint["reason"]));
        for attempt in rows(&endpoint["attempts"]) {
            let answer = if attempt["status"].is_null() { &attempt["class"] } else { &attempt["status"] };
            let (at, took) = (cell(&attempt["at"]), cell(&attempt["durationMs"]));
            println!(
                "  {at:<24}  attempt {} {} {} in {took} ms",
                attempt["attempt"],
                cell(&attempt["outcome"]),
                cell(answer)
            );
        }
        if endpoint["until"].is_string() {
            println!("  next attempt {}", cell(&endpoint["until"]));
        }
    }
    Ok(true)
}

/// Prints attempts, the newest first.
pub async fn list_deliveries(api: &ApiClient, query: &str, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get(&format!("/api/deliveries?{query}")).await?;
    let columns = [
        ("AT", "at"),
        ("ENDPOINT", "endpoint"),
        ("EVENT", "event"),
        ("OUTCOME", "outcome"),
        ("STATUS", "status"),
        ("ATTEMPT", "attempt"),
        ("MS", "durationMs"),
        ("EVENT ID", "eventId"),
    ];
    Ok(print_rows(&reply, &columns, as_json))
}

/// Prints chats, or the messages of one.
pub async fn list_chats(api: &ApiClient, chat: Option<&str>, limit: u16, as_json: bool) -> anyhow::Result<bool> {
    let Some(chat) = chat else {
        let reply = api.get(&format!("/api/chats?limit={limit}")).await?;
        let columns =
            [("LAST", "lastAt"), ("CHAT", "id"), ("NAME", "name"), ("MESSAGES", "messages"), ("TEXT", "lastText")];
        return Ok(print_rows(&reply, &columns, as_json));
    };
    let reply = api.get(&format!("/api/chats/{}/messages?limit={limit}", escape(chat))).await?;
    let columns = [
        ("AT", "at"),
        ("FROM ME", "fromMe"),
        ("NAME", "authorName"),
        ("KIND", "kind"),
        ("TEXT", "text"),
        ("STATUS", "status"),
        ("ID", "id"),
    ];
    Ok(print_rows(&reply, &columns, as_json))
}

/// Makes the search index of one replica again, and waits until it is; true if it is.
pub async fn rebuild_index(api: &ApiClient) -> anyhow::Result<bool> {
    let reply = api.post("/api/index/rebuild", &json!({})).await?;
    if !reply.succeeded() {
        eprintln!("{}", reply.message());
        return Ok(false);
    }
    let bar = ProgressBar::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let reply = api.get("/api/index").await?;
        let (mut read, mut last) = (0, 0);
        for stream in rows(&reply.body["data"]["streams"]) {
            read += stream["read"].as_u64().unwrap_or(0);
            last += stream["last"].as_u64().unwrap_or(0);
        }
        bar.show(read, last)?;
        if reply.body["data"]["caughtUp"] == true {
            bar.end();
            println!("The index has {read} messages of the streams.");
            return Ok(true);
        }
    }
}

fn rows(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A part of a path or a query: everything but letters, digits and a few signs is escaped.
pub fn escape(part: &str) -> String {
    let escaped = part.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}
