//! Commands about endpoints and keys.

use crate::{api_client::ApiClient, commands::KeyCommand, history::escape, table::print_rows};
use serde_json::json;

/// Prints the endpoints, the oldest first.
pub async fn list_endpoints(api: &ApiClient, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get("/api/endpoints?limit=1000").await?;
    let columns = [
        ("ID", "id"),
        ("NAME", "description"),
        ("ENABLED", "enabled"),
        ("EVENTS", "events"),
        ("FORMAT", "format"),
        ("MADE", "createdAt"),
    ];
    Ok(print_rows(&reply, &columns, as_json))
}

/// Lists, makes or deletes keys; true if the API did it.
pub async fn run_key_command(api: &ApiClient, command: KeyCommand, as_json: bool) -> anyhow::Result<bool> {
    match command {
        KeyCommand::List => {
            let reply = api.get("/api/keys?limit=1000").await?;
            let columns = [
                ("ID", "id"),
                ("NAME", "name"),
                ("SCOPES", "scopes"),
                ("SESSIONS", "sessions"),
                ("ENDS", "expiresAt"),
                ("MADE", "createdAt"),
            ];
            Ok(print_rows(&reply, &columns, as_json))
        }
        KeyCommand::Create { name, scopes, sessions } => {
            let body = json!({"name": name, "scopes": scopes, "sessions": sessions});
            let reply = api.post("/api/keys", &body).await?;
            match reply.body["data"]["key"].as_str().filter(|_| reply.succeeded()) {
                Some(key) if !as_json => println!("{key}\nIt is shown this once."),
                Some(_) => println!("{}", reply.body["data"]),
                None => eprintln!("{}", reply.message()),
            }
            Ok(reply.succeeded())
        }
        KeyCommand::Delete { id } => {
            let reply = api.delete(&format!("/api/keys/{}", escape(&id))).await?;
            println!("{}", reply.message());
            Ok(reply.succeeded())
        }
    }
}
