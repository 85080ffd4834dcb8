//! Commands about jobs: sends that wait for their time, or go out one after the other.

use crate::{
    api_client::ApiClient,
    commands::{JobCommand, SessionChoice},
    history::escape,
    table::{cell, print_one, print_rows},
};

/// Lists, shows or cancels jobs; true if the API did it.
pub async fn run_job_command(
    api: &ApiClient,
    session: &SessionChoice,
    command: Option<JobCommand>,
    as_json: bool,
) -> anyhow::Result<bool> {
    match command.unwrap_or(JobCommand::List) {
        JobCommand::List => {
            let reply = api.get(&session.path("jobs?limit=1000")).await?;
            let columns = [
                ("ID", "id"),
                ("NAME", "name"),
                ("STATE", "state"),
                ("SENT", "sent"),
                ("FAILED", "failed"),
                ("TOTAL", "total"),
                ("SEND AT", "sendAt"),
                ("REASON", "reason"),
            ];
            Ok(print_rows(&reply, &columns, as_json))
        }
        JobCommand::Show { id } => {
            let reply = api.get(&session.path(&format!("jobs/{}", escape(&id)))).await?;
            Ok(print_one(&reply, as_json, |job| {
                println!(
                    "{} {}: {} of {} sent, {} failed",
                    cell(&job["id"]),
                    cell(&job["state"]),
                    job["sent"],
                    job["total"],
                    job["failed"]
                );
                for field in ["sendAt", "until", "reason"] {
                    if !job[field].is_null() {
                        println!("  {field}: {}", cell(&job[field]));
                    }
                }
                for failure in job["failures"].as_array().map(Vec::as_slice).unwrap_or_default() {
                    println!("  failed: {}", cell(failure));
                }
            }))
        }
        JobCommand::Cancel { id } => {
            let reply = api.delete(&session.path(&format!("jobs/{}", escape(&id)))).await?;
            println!("{}", if reply.succeeded() { format!("{id} is cancelled") } else { reply.message() });
            Ok(reply.succeeded())
        }
    }
}
