//! Whether the account appears online. The client says so by itself at every login and whenever the account's name
//! changes, and a phone stays quiet while another of the account's devices is online.
//!
//! So each time it is taken back at once, unless it is wanted: who looks in these milliseconds sees it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::{Client, NodeFilter};

/// What the account wants to appear as. A clone is the same.
#[derive(Clone)]
pub struct OnlineAppearance(Arc<AppearanceWish>);

struct AppearanceWish {
    online: AtomicBool,
    logged_in: Notify,
}

/// WhatsApp answers in a fraction of it, or the connection is lost, and the next login begins anew.
const SAID_WITHIN: Duration = Duration::from_secs(10);
/// The client forgets who waits for its stanzas when its connection is lost; it says nothing before the next one.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl OnlineAppearance {
    /// `WHATSAPP_MARK_ONLINE`.
    #[must_use]
    pub fn new(online: bool) -> Self {
        Self(Arc::new(AppearanceWish { online: AtomicBool::new(online), logged_in: Notify::new() }))
    }

    /// What the account appears as from the next time on that something is said of it.
    pub fn set_online(&self, online: bool) {
        self.0.online.store(online, Ordering::Relaxed);
    }

    /// A login is complete: what the client says by itself at it has been said.
    pub fn notify_login(&self) {
        self.0.logged_in.notify_one();
    }

    /// Takes back what the client says by itself, as long as the client lives.
    pub async fn run(self, client: Arc<Client>) {
        let says_online = || client.wait_for_sent_node(NodeFilter::tag("presence").attr("type", "available"));
        let mut said = says_online();
        loop {
            tokio::select! {
                told = &mut said => {
                    if told.is_err() {
                        sleep(ASK_AGAIN_AFTER).await;
                        said = says_online();
                        continue;
                    }
                    said = says_online();
                    // The client tells just before it writes: an answer to a later question comes after that.
                    let _ = timeout(SAID_WITHIN, client.execute(KeepaliveSpec::with_timeout(SAID_WITHIN))).await;
                }
                () = self.0.logged_in.notified() => {}
            }
            if self.0.online.load(Ordering::Relaxed) {
                continue;
            }
            match timeout(SAID_WITHIN, client.presence().set_unavailable()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("the account may appear online: {error}"),
                Err(_) => tracing::debug!("the account may appear online: WhatsApp took nothing more"),
            }
        }
    }
}
