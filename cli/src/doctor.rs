//! `kurir doctor`: the API's own diagnosis, and why there is none.

use crate::api_client::{ApiClient, ApiReply};
use serde_json::Value;

/// Prints what was found, the worst first; true if there is no problem.
pub async fn examine(api: &ApiClient, as_json: bool) -> anyhow::Result<bool> {
    let reply = api.get("/api/diagnosis").await?;
    if !reply.succeeded() {
        eprintln!("{}", without_diagnosis(&reply));
        return Ok(false);
    }
    let diagnosis = &reply.body["data"];
    let (problems, warnings) = (number(&diagnosis["problems"]), number(&diagnosis["warnings"]));
    if as_json {
        println!("{diagnosis}");
        return Ok(problems == 0);
    }
    let findings = diagnosis["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (severity, sign) in [("problem", "PROBLEM"), ("warning", "WARNING"), ("ok", "ok")] {
        for finding in findings.iter().filter(|finding| finding["severity"] == severity) {
            println!("{sign:<8} {}", line(&finding["message"]));
            if !finding["advice"].is_null() {
                println!("         {}", line(&finding["advice"]));
            }
        }
    }
    let version = line(&diagnosis["version"]);
    if version != env!("CARGO_PKG_VERSION") {
        println!("WARNING  This program is {}, the API is {version}", env!("CARGO_PKG_VERSION"));
        println!("         Use the kurir of the same version");
    }
    println!("\n{problems} problems, {warnings} warnings");
    Ok(problems == 0)
}

/// Why an API gives no diagnosis.
fn without_diagnosis(reply: &ApiReply) -> String {
    match reply.body["code"].as_str() {
        Some("route_not_found") => {
            "PROBLEM  The API is older than this program and knows no diagnosis\n         Update it, or use its own kurir"
                .to_owned()
        }
        Some("insufficient_scope") => {
            "PROBLEM  This key may not look\n         Use the admin key, or one with the scope read".to_owned()
        }
        _ => format!("PROBLEM  The API gives no diagnosis: {}", line(&Value::String(reply.message()))),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A text of the API as one line, with nothing that a terminal would obey.
fn line(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
