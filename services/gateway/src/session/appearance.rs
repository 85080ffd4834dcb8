//! Decides whether the account appears online. The client announces it as online at every login and whenever the
//! account's name changes, and a phone shows no notifications while another device of the account is online.
//!
//! So the announcement is taken back at once, unless it is wanted. A contact that looks in these milliseconds sees it.

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

/// What the account should appear as. Clones share the wish.
#[derive(Clone)]
pub struct OnlineAppearance(Arc<AppearanceWish>);

struct AppearanceWish {
    online: AtomicBool,
    logged_in: Notify,
}

/// WhatsApp answers in a fraction of this time, or the connection is lost and the next login starts over.
const SAID_WITHIN: Duration = Duration::from_secs(10);
/// The client drops its waiters for stanzas when the connection is lost. It announces nothing before the next one.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl OnlineAppearance {
    /// The setting `WHATSAPP_MARK_ONLINE`.
    #[must_use]
    pub fn new(online: bool) -> Self {
        Self(Arc::new(AppearanceWish { online: AtomicBool::new(online), logged_in: Notify::new() }))
    }

    /// Sets the appearance, from the next announcement on.
    pub fn set_online(&self, online: bool) {
        self.0.online.store(online, Ordering::Relaxed);
    }

    /// Called when a login is complete and the client has announced the account.
    pub fn notify_login(&self) {
        self.0.logged_in.notify_one();
    }

    /// Takes the client's announcements back, as long as the client runs.
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
                    // The client signals just before it writes, so the answer to a later request comes after the
                    // announcement.
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
                Err(_) => tracing::debug!("the account may appear online: WhatsApp did not take the presence in time"),
            }
        }
    }
}
