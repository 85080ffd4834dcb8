//! Whether somebody receives the events, and who of them does not take them.

use super::{
    finding::{CheckArea, Finding},
    unknown,
};
use crate::{app_state::AppState, endpoint_store::StoredEndpoint, routes::endpoints::find_warnings};
use kurir_contract::endpoint::{CircuitState, EndpointId, EndpointState, mask_password};

pub async fn check_endpoints(app: &AppState) -> Vec<Finding> {
    let (endpoints, states) = match futures::try_join!(app.endpoint_store.all(), app.endpoint_store.states()) {
        Ok(read) => read,
        Err(error) => return vec![unknown(CheckArea::Endpoints, "The endpoints", &error.message)],
    };
    if endpoints.is_empty() && app.webhook_url.is_none() {
        return vec![Finding::warning(
            CheckArea::Endpoints,
            "There is no endpoint: events are stored, and no receiver gets them",
            "Set WEBHOOK_URL, or make an endpoint on the page Endpoints. Services that read NATS need none",
        )];
    }
    let mut findings: Vec<Finding> =
        endpoints.iter().flat_map(|endpoint| check_endpoint(endpoint, states.get(&endpoint.id))).collect();
    if let Some(url) = &app.webhook_url {
        let id = EndpointId::default();
        findings.extend(check_state(&format!("WEBHOOK_URL ({})", mask_password(url)), states.get(&id)));
    }
    let all = endpoints.len() + usize::from(app.webhook_url.is_some());
    if findings.is_empty() {
        findings.push(Finding::ok(CheckArea::Endpoints, format!("{all} endpoints take their events")));
    }
    findings
}

fn check_endpoint(endpoint: &StoredEndpoint, state: Option<&EndpointState>) -> Vec<Finding> {
    let settings = &endpoint.settings;
    let name = format!("The endpoint {} ({})", endpoint.id, mask_password(&settings.url));
    let warnings = find_warnings(settings).into_iter();
    let mut findings: Vec<Finding> = warnings
        .map(|warning| {
            Finding::warning(CheckArea::Endpoints, format!("{name}: {warning}"), "Change it on the page Endpoints")
        })
        .collect();
    if settings.enabled {
        findings.extend(check_state(&name, state));
        return findings;
    }
    findings.push(match &settings.disabled_reason {
        Some(reason) => Finding::problem(
            CheckArea::Endpoints,
            format!("{name} was disabled: {reason}. Its events wait"),
            "Mend the receiver, then enable the endpoint: what waits is delivered, up to 14 days back",
        ),
        None => Finding::warning(
            CheckArea::Endpoints,
            format!("{name} is disabled by its user. Its events wait, for up to 14 days"),
            "Enable it, or delete it if nobody needs it",
        ),
    });
    findings
}

fn check_state(name: &str, state: Option<&EndpointState>) -> Option<Finding> {
    let state = state?;
    let since = state.failing_since.as_ref();
    if since.is_none() && state.circuit == CircuitState::Closed {
        return None;
    }
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    let last = state.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    Some(Finding::problem(
        CheckArea::Endpoints,
        format!("{name} takes no events{since}{last}. They wait, and come when it does"),
        "Start the receiver, and check the URL from the machine of the webhook-dispatcher",
    ))
}
