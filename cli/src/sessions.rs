//! Commands about sessions: list, make, start, stop, restart, delete. `session_files` moves them.

use crate::{
    api_client::{ApiClient, ApiReply},
    commands::SessionCommand,
    history::escape,
    session_files,
    table::{cell, print_one, print_rows},
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
        SessionCommand::Adopt { folder, session } => {
            return session_files::adopt(api, &folder, &session, as_json).await;
        }
        SessionCommand::Export { id, to, passphrase } => {
            return session_files::export(api, &id, &to, &passphrase.passphrase).await;
        }
        SessionCommand::Import { file, id, passphrase } => {
            session_files::import(api, &file, id.as_deref(), &passphrase.passphrase).await?
        }
        SessionCommand::Delete { id, keep_linked } => {
            let reply = api.delete(&format!("/api/sessions/{}?keepLinked={keep_linked}", escape(&id))).await?;
            return Ok(print_one(&reply, as_json, |done| {
                println!(
                    "{id}: logged out {}, keys wiped {}, jobs cancelled {}",
                    done["loggedOut"], done["keysWiped"], done["jobsCancelled"]
                );
            }));
        }
    };
    print_session(&reply, as_json);
    Ok(reply.succeeded())
}

fn print_session(reply: &ApiReply, as_json: bool) {
    let is_done = print_one(reply, as_json, |session| {
        // A restart is answered with a text alone.
        if session["id"].is_null() {
            println!("{}", reply.message());
        } else {
            println!("{}: {}, status {}", cell(&session["id"]), cell(&session["desired"]), cell(&session["status"]));
        }
    });
    for problem in reply.body["problems"].as_array().filter(|_| !is_done).into_iter().flatten() {
        eprintln!("  {} {}", cell(&problem["field"]), cell(&problem["message"]));
    }
}
