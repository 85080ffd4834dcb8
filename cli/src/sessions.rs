//! Commands about sessions: list, make, start, stop, restart, delete.

use crate::{
    api_client::{ApiClient, ApiReply},
    history::escape,
    settings::SessionCommand,
    table::{cell, print_rows},
};
use serde_json::json;

/// True if the API did it.
pub async fn run_session_command(
    api: &ApiClient,
    command: Option<SessionCommand>,
    as_json: bool,
) -> anyhow::Result<bool> {
    let reply = match command.unwrap_or(SessionCommand::List) {
        SessionCommand::List => {
            let reply = api.get("/api/sessions?limit=1000").await?;
            let columns = [
                ("ID", "id"),
                ("NAME", "name"),
                ("DESIRED", "desired"),
                ("STATUS", "status"),
                ("ACCOUNT", "jid"),
                ("MADE", "createdAt"),
            ];
            return Ok(print_rows(&reply, &columns, as_json));
        }
        SessionCommand::Create { id, name, proxy } => {
            let mut session = json!({"id": id});
            for (field, value) in [("name", name), ("proxy", proxy)] {
                if let Some(value) = value {
                    session[field] = value.into();
                }
            }
            api.post("/api/sessions", &session).await?
        }
        SessionCommand::Start { id } => api.post(&format!("/api/sessions/{}/start", escape(&id)), &json!({})).await?,
        SessionCommand::Stop { id } => api.post(&format!("/api/sessions/{}/stop", escape(&id)), &json!({})).await?,
        SessionCommand::Restart { id } => {
            api.post(&format!("/api/sessions/{}/restart", escape(&id)), &json!({})).await?
        }
        SessionCommand::Delete { id, keep_linked } => {
            let reply = api.delete(&format!("/api/sessions/{}?keepLinked={keep_linked}", escape(&id))).await?;
            let done = &reply.body["data"];
            if reply.succeeded() && !as_json {
                println!(
                    "{id}: logged out {}, keys wiped {}, jobs cancelled {}",
                    done["loggedOut"], done["keysWiped"], done["jobsCancelled"]
                );
                return Ok(true);
            }
            reply
        }
    };
    print_session(&reply, as_json);
    Ok(reply.succeeded())
}

fn print_session(reply: &ApiReply, as_json: bool) {
    let session = &reply.body["data"];
    if !reply.succeeded() {
        eprintln!("{}", reply.message());
        for problem in reply.body["problems"].as_array().map(Vec::as_slice).unwrap_or_default() {
            eprintln!("  {} {}", cell(&problem["field"]), cell(&problem["message"]));
        }
    } else if as_json {
        println!("{session}");
    } else if session["id"].is_null() {
        println!("{}", reply.message());
    } else {
        println!("{}: {}, status {}", cell(&session["id"]), cell(&session["desired"]), cell(&session["status"]));
    }
}
