//! Seals at each start what was stored as plain text, or with an older key: endpoints, sessions' records, the key of logins.

use kurir_chassis::{
    backoff::Backoff,
    broker::Broker,
    bucket::{BUCKETS_OF_SECRETS, Bucket},
    shutdown::CancellationToken,
};
use std::time::Duration;

/// Between tries, while NATS does not take it.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Writes again what is stored differently from what `SECRETS_KEY` says; the log has the number.
///
/// # Errors
/// None: a broker that is away is waited for.
pub async fn seal(broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
    let seal = async {
        broker.wait_until_ready().await;
        if broker.secrets_key().is_none() {
            tracing::warn!(
                "SECRETS_KEY is not set: whoever reads NATS' disk reads the secrets of endpoints and the passwords of proxies: \
                 SECRETS_KEY=$(openssl rand -hex 32)"
            );
            return;
        }
        for bucket in BUCKETS_OF_SECRETS {
            let bucket_of_secrets = Bucket::new(broker.clone(), bucket);
            let mut pauses = PAUSES.pauses();
            let written = loop {
                match bucket_of_secrets.seal_again().await {
                    Ok(written) => break written,
                    Err(error) => {
                        tracing::warn!("what {bucket} holds is not yet sealed with the first SECRETS_KEY: {error}")
                    }
                }
                tokio::time::sleep(pauses.next_pause()).await;
            };
            if written > 0 {
                tracing::info!("wrote {written} values of {bucket} again, as the first SECRETS_KEY says");
            }
        }
    };
    tokio::select! {
        () = seal => shutdown.cancelled().await,
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
