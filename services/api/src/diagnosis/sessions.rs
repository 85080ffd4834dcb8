//! Whether each session that shall run is connected to WhatsApp; if not, why, and what its user does about it.

use super::{
    finding::{CheckArea, Finding},
    unknown,
};
use crate::app_state::AppState;
use futures::StreamExt as _;
use kurir_contract::{
    clock,
    command::SessionInfo,
    session::{SessionId, SessionStatus},
    session_record::DesiredState,
};
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// More of them are not asked one by one.
const MOST_SESSIONS: usize = 500;
const AT_ONCE: usize = 16;
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// WhatsApp removes linked devices after 14 days without the phone.
const PHONE_AWAY: time::Duration = time::Duration::days(10);

pub async fn check_sessions(app: &AppState) -> Vec<Finding> {
    let records = match app.session_store.all().await {
        Ok(records) => records,
        Err(error) => return vec![unknown(CheckArea::Sessions, "The sessions", &error.message)],
    };
    let running: Vec<SessionId> = records
        .into_iter()
        .filter(|(_, record)| record.desired == DesiredState::Running)
        .map(|(session, _)| session)
        .take(MOST_SESSIONS)
        .collect();
    let asked = running.into_iter().map(|session| async move {
        let info = tokio::time::timeout(ANSWER_WITHIN, app.gateway.status(&session)).await;
        (session, info.ok().and_then(Result::ok))
    });
    let states: Vec<_> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let connected =
        states.iter().filter(|(_, info)| info.as_ref().is_some_and(|info| info.status == SessionStatus::Connected));
    let connected = connected.count();
    let mut findings = Vec::new();
    if connected > 0 {
        findings.push(Finding::ok(CheckArea::Sessions, format!("{connected} sessions are connected to WhatsApp")));
    }
    for (session, info) in &states {
        // An operator who has sessions of other names may leave this one unpaired.
        let is_left_alone = *session == SessionId::default()
            && connected > 0
            && info.as_ref().is_none_or(|info| info.status == SessionStatus::Pairing);
        if !is_left_alone {
            findings.extend(check_session(session, info.as_ref()));
        }
    }
    findings
}

fn check_session(session: &SessionId, info: Option<&SessionInfo>) -> Vec<Finding> {
    let Some(info) = info else {
        return vec![Finding::problem(
            CheckArea::Sessions,
            format!("No gateway has the session {session}"),
            "Start a gateway. If one runs, its folder of sessions is another one (WHATSAPP_SESSION_PATH), or its log says \
             why it leaves the session alone",
        )];
    };
    let mut findings: Vec<Finding> = check_status(session, info).into_iter().collect();
    if let Some(restriction) = &info.restriction {
        let told = serde_json::to_string(restriction).unwrap_or_default();
        findings.push(Finding::warning(
            CheckArea::Sessions,
            format!("WhatsApp restricts the account of the session {session}: {told}"),
            "Write to fewer strangers for some days; sends that the restriction forbids wait or are refused",
        ));
    }
    let seen = info.phone_last_seen.as_deref().and_then(|seen| OffsetDateTime::parse(seen, &Rfc3339).ok());
    if let Some(away) = seen.map(|seen| clock::now() - seen).filter(|away| *away > PHONE_AWAY) {
        findings.push(Finding::warning(
            CheckArea::Sessions,
            format!("The phone of the session {session} was last seen {} days ago", away.whole_days()),
            "Open WhatsApp on the phone: after 14 days without it WhatsApp removes this device",
        ));
    }
    findings
}

fn check_status(session: &SessionId, info: &SessionInfo) -> Option<Finding> {
    use SessionStatus as S;
    let reason = info.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let pair_again = "Pair it again: kurir qr, or the page Sessions";
    let (says, advice) = match info.status {
        S::Connected => return None,
        S::Connecting | S::Reconnecting => {
            let text = format!("The session {session} is not connected yet: {}{reason}", info.status.as_str());
            let advice =
                "Wait a little. If it stays so, the gateway cannot reach WhatsApp: check DNS, firewall and proxy";
            return Some(Finding::warning(CheckArea::Sessions, text, advice));
        }
        S::Pairing => ("is not paired with a phone", "Scan the QR code: kurir qr, or the page Sessions"),
        S::ProxyUnavailable => (
            "cannot reach WhatsApp through its proxy",
            "Start the proxy, or change it: PATCH /api/sessions/{id} with proxy, or WHATSAPP_PROXY of the gateway",
        ),
        S::WaitingForBroker => ("left WhatsApp because NATS is away", "Start NATS, and check the gateway's NATS_URL"),
        S::StorageFull => ("left WhatsApp because NATS has no room", "Make room on NATS' disk, or enlarge the stream"),
        S::StorageRefused | S::StorageUnavailable => (
            "left WhatsApp because NATS stores nothing",
            "The log of NATS says why; in a cluster, start the nodes that are down",
        ),
        S::LoggedOut => ("was logged out", pair_again),
        S::Replaced => (
            "was taken over by another client with the same keys",
            "End the other program that uses these keys, then restart the session",
        ),
        S::Banned => ("was banned by WhatsApp", "Ask WhatsApp for a review in the app on the phone"),
        S::Locked => ("is locked by WhatsApp", "The app on the phone shows what to do"),
        S::Outdated => ("is refused because this version is too old", "Update Kurir"),
        S::Refused => ("was refused by WhatsApp", "Update Kurir; if it stays so, pair the session again"),
        S::Damaged => (
            "has keys that cannot be read",
            "Restore the folder of sessions from a backup, or log the session out and pair it again",
        ),
    };
    Some(Finding::problem(CheckArea::Sessions, format!("The session {session} {says}{reason}"), advice))
}
