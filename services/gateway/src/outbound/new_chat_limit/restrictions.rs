//! Tracks WhatsApp's restrictions: asks at each connection and after a nack, publishes each change, and ends a
//! restriction when its time is over.

use crate::{
    publish::{EventPublisher, OutgoingEvent},
    session::{SessionView, restriction, restriction::AccountRestriction, state::SessionState},
};
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::{
    clock,
    event::{EventId, EventType, SessionRestricted},
    session::{RestrictionKind, SessionId},
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use wacore::iq::mex_operations::fetch_new_chat_message_capping_info as capping;
use whatsapp_rust::{Client, MexRequest};

/// WhatsApp's nack for a message to a stranger: the account is locked, or this recipient takes no messages from
/// strangers.
pub const NO_TOKEN: u16 = 463;
/// WhatsApp's nack for an account that has started as many chats as it may.
pub const CAPPED: u16 = 475;

/// The restriction of one session, if there is one. Clones share it.
#[derive(Clone)]
pub struct RestrictionTracker(Arc<watch::Sender<Option<AccountRestriction>>>);

/// WhatsApp answers within a second, or not at all.
const WITHIN: Duration = Duration::from_secs(10);
/// Time for one try to publish. The status shows a restriction whose event was lost.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

impl Default for RestrictionTracker {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl RestrictionTracker {
    /// The restriction that is in force.
    #[must_use]
    pub fn current(&self, now: OffsetDateTime) -> Option<AccountRestriction> {
        self.0.borrow().filter(|restriction| restriction.is_active(now))
    }

    /// The restriction behind a nack, if there is one.
    pub async fn explain_nack(&self, client: &Client, code: Option<u16>) -> Option<AccountRestriction> {
        match code {
            Some(NO_TOKEN) => self.query_time_lock(client).await,
            Some(CAPPED) => {
                let ends = query_cycle_end(client).await;
                Some(self.record(RestrictionKind::NewChatCap, ends))
            }
            Some(_) | None => None,
        }
    }

    /// Asks WhatsApp, which may have locked the account before this client connected.
    async fn query_time_lock(&self, client: &Client) -> Option<AccountRestriction> {
        let lock = match timeout(WITHIN, client.mex().fetch_reachout_timelock()).await {
            Ok(Ok(lock)) => lock,
            Ok(Err(error)) => {
                tracing::debug!("WhatsApp did not say whether the account is restricted: {error}");
                return None;
            }
            Err(_) => return None,
        };
        if lock.is_active != Some(true) {
            return None;
        }
        let ends = lock.time_enforcement_ends.and_then(|ends| ends.parse().ok());
        Some(self.record(RestrictionKind::TimeLock, ends))
    }

    fn record(&self, kind: RestrictionKind, ends: Option<i64>) -> AccountRestriction {
        let now = clock::now();
        let until = restriction::restriction_end(ends, now);
        let next = restriction::next_restriction(*self.0.borrow(), kind, until, now);
        self.0.send_if_modified(|was| was.replace(next) != Some(next));
        next
    }

    /// Asks at each connection, publishes each change, and ends a restriction whose time is over; until the shutdown.
    ///
    /// # Errors
    /// Never; the type is the supervisor's.
    pub async fn run(
        self,
        session: SessionId,
        mut view: watch::Receiver<SessionView>,
        publisher: EventPublisher,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut seen = self.0.subscribe();
        let mut was_connected = false;
        let follow = async {
            loop {
                let current = *seen.borrow();
                tokio::select! {
                    Ok(()) = seen.changed() => {
                        let changed = *seen.borrow_and_update();
                        publish_change(&session, current.or(changed), changed, &publisher).await;
                    }
                    () = wait_until_over(current) => {
                        self.0.send_replace(None);
                        seen.mark_unchanged();
                        publish_change(&session, current, None, &publisher).await;
                    }
                    Ok(()) = view.changed() => {
                        let client = {
                            let view = view.borrow_and_update();
                            let is_connected = view.state == SessionState::Connected;
                            let begins = is_connected && !was_connected;
                            was_connected = is_connected;
                            view.client.clone().filter(|_| begins)
                        };
                        if let Some(client) = client {
                            self.query_time_lock(&client).await;
                        }
                    }
                    else => std::future::pending::<()>().await,
                }
            }
        };
        tokio::select! {
            () = follow => {}
            () = shutdown.cancelled() => {}
        }
        publisher.metrics.forget_restricted(&session);
        Ok(())
    }
}

async fn query_cycle_end(client: &Client) -> Option<i64> {
    let variables =
        capping::Variables { input: Some(capping::Input { r#type: Some("INDIVIDUAL_NEW_CHAT_MSG".to_owned()) }) };
    let request = MexRequest::new(capping::NAME, capping::DOC_ID, variables);
    let answer = timeout(WITHIN, client.mex().query(request)).await.ok()?.ok()?;
    let answer: capping::Response = serde_json::from_value(answer.data?).ok()?;
    answer.xwa2_message_capping_info?.cycle_end_timestamp
}

/// Waits until the restriction is over; forever without one.
async fn wait_until_over(restriction: Option<AccountRestriction>) {
    let Some(restriction) = restriction else { return std::future::pending().await };
    // In steps, because the clock may be set.
    loop {
        let left = restriction.until - clock::now();
        let Ok(left) = Duration::try_from(left) else { return };
        if left.is_zero() {
            return;
        }
        sleep(left.min(Duration::from_secs(60))).await;
    }
}

/// `now` is none if the restriction `was` is over.
async fn publish_change(
    session: &SessionId,
    was: Option<AccountRestriction>,
    now: Option<AccountRestriction>,
    publisher: &EventPublisher,
) {
    let Some(of) = now.or(was) else { return };
    publisher.metrics.record_restricted(session, now.is_some());
    let at = clock::now();
    let event_id = EventId::random();
    let data = SessionRestricted {
        active: now.is_some(),
        kind: of.kind,
        since: clock::iso(of.since),
        until: clock::iso(of.until),
        timestamp: clock::iso(at),
        session: session.clone(),
        event_id: event_id.clone(),
    };
    if data.active {
        tracing::warn!(session.id = %session, "WhatsApp restricts the session until {}: messages to people it has no chat with wait", data.until);
    } else {
        tracing::info!(session.id = %session, "WhatsApp's restriction of the session is over");
    }
    let event = OutgoingEvent::new(session, EventType::SESSION_RESTRICTED, event_id, at, data);
    if let Err(error) = publisher.publish(&event, Instant::now() + TOLD_WITHIN).await {
        tracing::error!(event.id = %event.id, "the event about a restriction was lost: {error}");
    }
}
