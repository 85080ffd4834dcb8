//! Whether NATS has each stream, room in it, and as many copies of it as it should.

use super::{
    finding::{CheckArea, Finding},
    unknown,
};
use crate::app_state::AppState;
use async_nats::jetstream::{
    ErrorCode,
    context::GetStreamErrorKind,
    stream::{DiscardPolicy, Info, StorageType},
};
use kurir_contract::stream::{AUDIT, DEAD_LETTERS, DELIVERIES, EVENTS, OUTBOX, RETRIES};

const NEARLY_FULL_PERCENT: u64 = 85;

pub async fn check_streams(app: &AppState) -> Vec<Finding> {
    let names = [EVENTS, RETRIES, OUTBOX, DELIVERIES, DEAD_LETTERS, AUDIT];
    let mut findings: Vec<Finding> =
        futures::future::join_all(names.map(|name| check_stream(app, name))).await.into_iter().flatten().collect();
    if findings.is_empty() {
        findings
            .push(Finding::ok(CheckArea::Streams, format!("NATS has all {} streams, and room in them", names.len())));
    }
    findings
}

async fn check_stream(app: &AppState, name: &str) -> Vec<Finding> {
    match app.broker.jetstream.get_stream(name).await {
        Ok(stream) => {
            let info = stream.cached_info();
            let mut findings: Vec<Finding> = check_room(info).into_iter().collect();
            findings.extend(check_copies(info));
            findings.extend(check_settings(info));
            if name == DEAD_LETTERS && info.state.messages > 0 {
                findings.push(Finding::warning(
                    CheckArea::DeadLetters,
                    format!("{} events were given up for an endpoint and are dead letters", info.state.messages),
                    "Look at them on the page Dead letters (kurir dead-letters), mend the receiver, and replay them (kurir replay dead-letters)",
                ));
            }
            findings
        }
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                vec![Finding::problem(
                    CheckArea::Streams,
                    format!("The stream {name} is missing: somebody deleted it, or NATS lost its store"),
                    "The next service that needs it makes it again, empty. Restore a backup of NATS if you have one, \
                     and keep the folder of NATS on a disk that stays",
                )]
            }
            _ => vec![unknown(CheckArea::Streams, &format!("The stream {name}"), &error.to_string())],
        },
    }
}

/// How much of a stream's bound is used, of bytes or messages, whichever is more; none without a bound.
fn used_percent(info: &Info) -> Option<u64> {
    let part = |used: u64, most: i64| u64::try_from(most).ok().filter(|most| *most > 0).map(|most| used * 100 / most);
    let bytes = part(info.state.bytes, info.config.max_bytes);
    bytes.max(part(info.state.messages, info.config.max_messages))
}

fn check_room(info: &Info) -> Option<Finding> {
    let used = used_percent(info).filter(|used| *used >= NEARLY_FULL_PERCENT)?;
    let name = &info.config.name;
    let advice = format!("Enlarge it (nats stream edit {name} --max-bytes …), or deliver what waits in it");
    let drops_old = info.config.discard == DiscardPolicy::Old;
    Some(match (used, drops_old) {
        (_, true) => Finding::problem(
            CheckArea::Streams,
            format!(
                "The stream {name} is {used} % full, and drops the oldest entries when it is: what was not delivered is lost"
            ),
            advice,
        ),
        (100.., false) => Finding::problem(
            CheckArea::Streams,
            format!(
                "The stream {name} is full: NATS takes nothing more into it; WhatsApp keeps the messages meanwhile"
            ),
            advice,
        ),
        (..100, false) => Finding::warning(CheckArea::Streams, format!("The stream {name} is {used} % full"), advice),
    })
}

fn check_copies(info: &Info) -> Vec<Finding> {
    let (name, wanted) = (&info.config.name, info.config.num_replicas);
    let Some(cluster) = &info.cluster else { return Vec::new() };
    let mut findings = Vec::new();
    if cluster.leader.as_ref().is_none_or(String::is_empty) {
        findings.push(Finding::problem(
            CheckArea::Streams,
            format!("The stream {name} has no leader: nothing can be stored in it"),
            "Start the nodes of NATS that are down: more than half of a stream's copies must run",
        ));
    }
    for replica in &cluster.replicas {
        if replica.offline {
            findings.push(Finding::warning(
                CheckArea::Streams,
                format!("A copy of the stream {name} is offline, on the node {}", replica.name),
                "Start this node of NATS: while it is down, the stream survives one failure less",
            ));
        } else if !replica.current && replica.lag.unwrap_or(0) > 1_000 {
            findings.push(Finding::warning(
                CheckArea::Streams,
                format!(
                    "The copy of {name} on the node {} is {} entries behind",
                    replica.name,
                    replica.lag.unwrap_or(0)
                ),
                "Wait; if it stays behind, look at the disk of this node",
            ));
        }
    }
    if cluster.name.is_some() && wanted == 1 {
        findings.push(Finding::warning(
            CheckArea::Streams,
            format!("NATS is a cluster, and the stream {name} has one copy: it is away whenever its node is"),
            format!("STREAM_REPLICAS=3 for new installations; here: nats stream edit {name} --replicas 3"),
        ));
    }
    findings
}

fn check_settings(info: &Info) -> Vec<Finding> {
    let (config, name) = (&info.config, &info.config.name);
    let mut findings = Vec::new();
    if config.storage == StorageType::Memory {
        findings.push(Finding::problem(
            CheckArea::Streams,
            format!("The stream {name} is in memory: a restart of NATS loses what is in it"),
            format!("Delete it while nothing waits in it (nats stream rm {name}); Kurir makes it again, on disk"),
        ));
    }
    if config.sealed {
        findings.push(Finding::problem(
            CheckArea::Streams,
            format!("The stream {name} is sealed: NATS takes nothing into it"),
            "A seal cannot be taken off: back the stream up, delete it, and let Kurir make it again",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::finding::FindingSeverity;
    use serde_json::{Value, json};

    fn stream(config: Value, state: Value) -> Info {
        let mut whole = json!({
            "config": {
                "name": "EVENTS", "subjects": [], "retention": "limits", "max_consumers": -1, "max_msgs": -1,
                "max_msgs_per_subject": -1, "max_bytes": -1, "discard": "new", "max_age": 0, "storage": "file",
                "num_replicas": 1,
            },
            "state": {
                "messages": 0, "bytes": 0, "first_seq": 1, "first_ts": "2026-11-24T13:27:25Z", "last_seq": 0,
                "last_ts": "2026-11-24T13:27:25Z", "consumer_count": 0,
            },
            "created": "2026-11-24T13:27:25Z", "ts": "2026-11-24T13:27:25Z",
        });
        for (part, values) in [("config", config), ("state", state)] {
            for (name, value) in values.as_object().expect("fields") {
                whole[part][name] = value.clone();
            }
        }
        serde_json::from_value(whole).expect("as NATS writes it")
    }

    #[test]
    fn a_bound_that_is_nearly_reached_is_told_of_and_a_full_stream_is_a_problem() {
        use FindingSeverity::{Problem, Warning};
        for (config, state, expected) in [
            (json!({}), json!({"bytes": 1_u64 << 40}), None),
            (json!({"max_bytes": 1_000}), json!({"bytes": 500}), None),
            (json!({"max_bytes": 1_000}), json!({"bytes": 900}), Some(Warning)),
            (json!({"max_msgs": 4}), json!({"messages": 4}), Some(Problem)),
            (json!({"max_bytes": 1_000, "discard": "old"}), json!({"bytes": 900}), Some(Problem)),
        ] {
            let severity = check_room(&stream(config.clone(), state.clone())).map(|finding| finding.severity);
            assert_eq!(severity, expected, "{config} {state}");
        }
    }

    #[test]
    fn a_stream_in_memory_is_a_problem() {
        let findings = check_settings(&stream(json!({"storage": "memory"}), json!({})));
        assert!(findings.iter().any(|finding| finding.message.contains("in memory")), "{findings:?}");
    }
}
