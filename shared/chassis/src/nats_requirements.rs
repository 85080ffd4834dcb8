//! What Kurir needs of NATS, checked before a service becomes ready: each reason names the fix.

use async_nats::jetstream::{Context, ErrorCode, account::Account, context::AccountErrorKind};

/// Endpoints that keep their chats in order need `CONSUMER.RESET`, retries need scheduled messages.
const OLDEST: (u64, u64) = (2, 14);
/// Streams, buckets and object stores of all services.
const STREAMS: i64 = 16;
/// Two for each endpoint, and some for reading.
const CONSUMERS: i64 = 32;
/// With less room NATS refuses events after a few minutes.
const STORAGE: i64 = 64 << 20;
/// With less, most events with a picture would lose parts.
const PAYLOAD: usize = 64 << 10;

/// Checks the server's version and limits.
///
/// # Errors
/// Why Kurir cannot run on this NATS, and how to correct it; or NATS does not answer.
pub async fn check_requirements(client: &async_nats::Client, jetstream: &Context) -> anyhow::Result<()> {
    let server = client.server_info();
    if let Some(reason) = version_problem(&server.version).or_else(|| payload_problem(server.max_payload)) {
        anyhow::bail!(reason);
    }
    match jetstream.query_account().await {
        Ok(account) => limits_problem(&account).map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason))),
        Err(error) => match error.kind() {
            AccountErrorKind::JetStreamUnavailable => anyhow::bail!(JETSTREAM_OFF),
            AccountErrorKind::JetStream(refusal)
                if [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
                    .contains(&refusal.error_code()) =>
            {
                anyhow::bail!(JETSTREAM_OFF)
            }
            // A user without the right to read the account's limits: the streams show whether they suffice.
            AccountErrorKind::JetStream(_) | AccountErrorKind::TimedOut => Ok(()),
            AccountErrorKind::Other => Err(anyhow::Error::new(error)),
        },
    }
}

const JETSTREAM_OFF: &str = "JetStream is off in NATS: start nats-server with -js, or enable JetStream for the account";

fn version_problem(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u64>);
    // A server that counts in another way is taken as it is.
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    ((major, minor) < OLDEST)
        .then(|| format!("nats-server {version} is too old: Kurir needs {}.{} or later", OLDEST.0, OLDEST.1))
}

fn payload_problem(bytes: usize) -> Option<String> {
    (bytes < PAYLOAD)
        .then(|| format!("max_payload of NATS is {bytes} bytes: Kurir needs at least {PAYLOAD}, 1MB is right"))
}

fn limits_problem(account: &Account) -> Option<String> {
    let limits = &account.limits;
    // NATS writes -1 for no limit, and 0 where the limit is given for each number of replicas.
    let too_small = |name: &str, limit: Option<i64>, least: i64| {
        let limit = limit.filter(|limit| (1..least).contains(limit))?;
        Some(format!("the limit of {name} of the NATS account is {limit}: Kurir needs at least {least}"))
    };
    too_small("streams", limits.max_streams, STREAMS)
        .or_else(|| too_small("consumers", limits.max_consumers, CONSUMERS))
        .or_else(|| too_small("bytes on disk", limits.max_storage, STORAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_lack_what_kurir_needs_are_too_old() {
        for (version, works) in [
            ("2.9.25", false),
            ("2.11.3", false),
            ("2.12.0", false),
            ("2.13.9-RC.1", false),
            ("2.14.0", true),
            ("2.14.0-dev", true),
            ("2.15.1", true),
            ("3.0.0", true),
            ("a fork", true),
        ] {
            assert_eq!(version_problem(version).is_none(), works, "{version}");
        }
        assert!(version_problem("2.11.3").is_some_and(|reason| reason.contains("2.11.3") && reason.contains("2.14")));
    }

    #[test]
    fn a_payload_of_a_few_kilobytes_is_too_small() {
        assert!(payload_problem(1024).is_some() && payload_problem(1 << 20).is_none());
    }
}
