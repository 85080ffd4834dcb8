//! `GET /api/diagnosis`: looks at the whole installation, and says in plain words what is wrong and what to do.
//!
//! `services` asks each service (ready, version, clock, disks), `streams` looks at NATS' streams and their limits,
//! `sessions` and `endpoints` at what the user made,
//! `stored_secrets` at how their secrets are stored. What cannot be looked at while NATS is away is left out.

mod endpoints;
mod finding;
mod services;
mod sessions;
mod stored_secrets;
mod streams;

use crate::{
    app_state::AppState,
    response::{DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use finding::{CheckArea, Finding, FindingSeverity};
use kurir_contract::clock;
use schemars::JsonSchema;
use serde::Serialize;

/// The state of an installation.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// ISO 8601.
    checked_at: String,
    version: &'static str,
    problems: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

pub async fn diagnose(State(app): State<AppState>) -> JsonResult<DataResponse<Diagnosis>> {
    let findings = find(&app).await;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    Ok(data_response(Diagnosis {
        checked_at: clock::now_iso(),
        version: env!("CARGO_PKG_VERSION"),
        problems: count(FindingSeverity::Problem),
        warnings: count(FindingSeverity::Warning),
        findings,
    }))
}

async fn find(app: &AppState) -> Vec<Finding> {
    let mut findings = check_key(app);
    if !app.broker.is_connected() {
        findings.push(Finding::problem(
            CheckArea::Nats,
            "The API has no connection to NATS. Nothing is received, sent or delivered; WhatsApp keeps the messages meanwhile",
            "Start NATS, and check NATS_URL, NATS_USER and NATS_PASSWORD; the log of the API says why it cannot connect",
        ));
        return findings;
    }
    findings
        .push(Finding::ok(CheckArea::Nats, format!("NATS {} is connected", app.broker.client.server_info().version)));
    let (services, streams, sessions, endpoints, secrets) = futures::join!(
        services::check_services(app),
        streams::check_streams(app),
        sessions::check_sessions(app),
        endpoints::check_endpoints(app),
        stored_secrets::check_stored_secrets(app)
    );
    findings.extend(services.into_iter().chain(streams).chain(sessions).chain(endpoints).chain(secrets));
    findings
}

fn check_key(app: &AppState) -> Vec<Finding> {
    let advice = "Set a longer one: API_KEY=$(openssl rand -hex 32)";
    let message = "API_KEY has fewer than 16 characters and can be guessed";
    app.api_key.is_short().then(|| Finding::warning(CheckArea::Security, message, advice)).into_iter().collect()
}

/// For what cannot be looked at although NATS is connected.
fn unknown(area: CheckArea, what: &str, reason: &str) -> Finding {
    let advice = "Ask again; if it stays so, the log of the API and that of NATS say why";
    Finding::problem(area, format!("{what} could not be looked at: {reason}"), advice)
}
