//! A subscription with a way out of it that loses nothing of what NATS has sent.
//!
//! The client's own `drain` forgets a subscription as soon as it has asked NATS to end it, and throws away what NATS sent in
//! between (async-nats 0.51): on a busy gateway, the requests of everybody who asked at that moment. So NATS is told after which
//! message it shall end. Both sides count, and agree on the last one.

use async_nats::{Client, Message, SubscribeError, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// After how many further messages NATS shall end. First more than can be on their way at once: on a busy subject they come
/// within milliseconds. Otherwise one more, which may never come: then none is on its way.
const STEPS: [u64; 2] = [512, 1];
/// After so long without a message, none is on its way.
const QUIET: Duration = Duration::from_millis(150);
/// The most time for each of the steps, while messages trickle in.
const STEP_WITHIN: Duration = Duration::from_secs(1);

/// A subscription that counts what was taken of it.
pub struct CountedSubscription {
    messages: Subscriber,
    taken: u64,
}

impl CountedSubscription {
    /// Shares the messages with others of this group.
    ///
    /// # Errors
    /// If the client is closed or the subject is not valid.
    pub async fn join(client: &Client, subject: String, group: &str) -> Result<Self, SubscribeError> {
        Ok(Self { messages: client.queue_subscribe(subject, group.to_owned()).await?, taken: 0 })
    }

    /// The next message; none if the client is closed. Nothing is lost if this is dropped before it is done.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.messages.next().await?;
        self.taken += 1;
        Some(message)
    }

    /// Ends it. NATS sends nothing afterwards, and the last messages are given out.
    #[must_use]
    pub fn leave(self) -> LastMessages {
        LastMessages { subscription: self, steps: STEPS.iter(), begun: None }
    }
}

/// What NATS sent before it knew that the subscription ends.
pub struct LastMessages {
    subscription: CountedSubscription,
    steps: std::slice::Iter<'static, u64>,
    /// When the present step began; none before the first.
    begun: Option<Instant>,
}

impl LastMessages {
    /// The next one; none if all were given out.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.begun {
                None => {
                    if let Some(Some(message)) = self.subscription.next().now_or_never() {
                        return Some(message);
                    }
                }
                Some(begun) if begun.elapsed() < STEP_WITHIN => match timeout(QUIET, self.subscription.next()).await {
                    Ok(Some(message)) => return Some(message),
                    // NATS has ended it.
                    Ok(None) => return None,
                    Err(_) => {}
                },
                Some(_) => {}
            }
            let more = self.steps.next()?;
            self.subscription.messages.unsubscribe_after(self.subscription.taken + more).await.ok()?;
            self.begun = Some(Instant::now());
        }
    }
}
