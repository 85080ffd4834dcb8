//! The signals of a service: SIGTERM or SIGINT cancel one token, which every task watches; SIGHUP opens the log again.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
pub use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the process at once.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn token_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("failed to listen for SIGHUP")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    // This task needs no supervision: it runs as long as the process, owns nothing and cannot fail.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    // The log file looks at every line whether it was moved away, as logrotate does before it says so.
                    tracing::info!("SIGHUP: the log file is opened again");
                    continue;
                }
            }
            if cancelled.is_cancelled() {
                std::process::exit(1);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
