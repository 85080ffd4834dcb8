//! Commands about what was not delivered: dead letters, replays, and the ledger.

use crate::{
    api_client::{ApiClient, ApiReply},
    commands::ReplayCommand,
    history::escape,
    progress::ProgressBar,
    table::{cell, print_one, print_rows},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at a replay.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Prints dead letters, the oldest first.
pub async fn list_dead_letters(api: &ApiClient, query: &str, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get(&format!("/api/dead-letters?{query}")).await?;
    let columns = [
        ("ID", "id"),
        ("AT", "at"),
        ("ENDPOINT", "endpoint"),
        ("EVENT", "event"),
        ("ATTEMPTS", "attempts"),
        ("REASON", "reason"),
        ("EVENT ID", "eventId"),
    ];
    Ok(print_rows(&reply, &columns, as_json))
}

/// Lists, ends or begins a replay, and waits for its end if that is wanted; true if the API did it.
pub async fn run_replay_command(
    api: &ApiClient,
    command: ReplayCommand,
    waits: bool,
    as_json: bool,
) -> anyhow::Result<bool> {
    let reply = match command {
        ReplayCommand::List => {
            let reply = api.get("/api/replays?limit=1000").await?;
            let columns = [
                ("ID", "id"),
                ("ENDPOINT", "endpoint"),
                ("STATE", "state"),
                ("WAITING", "waiting"),
                ("TOTAL", "total"),
                ("MADE", "createdAt"),
            ];
            return Ok(print_rows(&reply, &columns, as_json));
        }
        ReplayCommand::Cancel { id } => {
            let reply = api.delete(&format!("/api/replays/{}", escape(&id))).await?;
            println!("{}", if reply.succeeded() { format!("{id} is ended") } else { reply.message() });
            return Ok(reply.succeeded());
        }
        ReplayCommand::DeadLetters { endpoint } => {
            api.post("/api/dead-letters/replay", &json!({"endpoint": endpoint})).await?
        }
        ReplayCommand::DeadLetter { id } => api.post(&format!("/api/dead-letters/{id}/replay"), &json!({})).await?,
        ReplayCommand::Since { time, endpoint } => {
            api.post("/api/replays", &json!({"endpoint": endpoint, "since": time})).await?
        }
    };
    let id = reply.body["data"]["id"].as_str().filter(|_| reply.succeeded()).map(str::to_owned);
    match id {
        None => {
            eprintln!("{}", reply.message());
            Ok(false)
        }
        Some(id) if waits => follow_replay(api, &id, as_json).await,
        Some(_) => {
            print_replay(&reply, as_json);
            Ok(true)
        }
    }
}

/// Waits until a replay has ended; true if it was not ended by somebody.
async fn follow_replay(api: &ApiClient, id: &str, as_json: bool) -> anyhow::Result<bool> {
    let bar = ProgressBar::new();
    loop {
        let reply = api.get(&format!("/api/replays/{}", escape(id))).await?;
        let replay = &reply.body["data"];
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        if reply.succeeded() {
            let all = count(&replay["total"]);
            bar.show(all.saturating_sub(count(&replay["waiting"])), all)?;
        }
        if !reply.succeeded() || replay["state"] != "running" {
            bar.end();
            print_replay(&reply, as_json);
            return Ok(replay["state"] == "done");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn print_replay(reply: &ApiReply, as_json: bool) {
    print_one(reply, as_json, |replay| {
        println!(
            "{} to {}: {}, {} of {} still wait",
            cell(&replay["id"]),
            cell(&replay["endpoint"]),
            cell(&replay["state"]),
            replay["waiting"],
            replay["total"]
        );
    });
}

/// Prints where an endpoint's events are; true if none is missing.
pub async fn show_ledger(api: &ApiClient, query: &str, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get(&format!("/api/ledger?{query}")).await?;
    let is_known = print_one(&reply, as_json, |ledger| {
        println!(
            "{}: {} matched = {} delivered + {} waiting + {} dead + {} filtered + {} missing",
            cell(&ledger["endpoint"]),
            ledger["matched"],
            ledger["delivered"],
            ledger["waiting"],
            ledger["dead"],
            ledger["filtered"],
            ledger["missing"]
        );
    });
    Ok(is_known && reply.body["data"]["missing"] == 0)
}
