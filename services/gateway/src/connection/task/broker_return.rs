//! When the gateway returns to WhatsApp after it left because the broker took no event.

use kurir_chassis::broker::Broker;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The first pause before the gateway returns to WhatsApp while NATS is there and takes no event.
const FIRST_RETURN: Duration = Duration::from_secs(1);
/// The longest pause is a minute.
const MOST_DOUBLINGS: u32 = 6;
/// A connection that was open for this much longer than an event waits has stored events.
const LONG_STAY: Duration = Duration::from_secs(60);

/// The moment of the return.
pub struct BrokerReturn {
    /// How often in a row the gateway left WhatsApp although NATS was there: what NATS refuses, it refuses again.
    left_in_vain: u32,
    /// The gateway does not return to WhatsApp before this moment.
    not_before: Instant,
}

impl BrokerReturn {
    /// A gateway that has not left yet.
    pub fn new() -> Self {
        Self { left_in_vain: 0, not_before: Instant::now() }
    }

    /// Sets the pause when the gateway leaves WhatsApp. The connection began at `begun`; an event waits `broker_wait`.
    pub fn leave(&mut self, broker: &Broker, begun: Instant, broker_wait: Duration) {
        self.left_in_vain = match broker.is_connected() {
            true if begun.elapsed() < broker_wait + LONG_STAY => self.left_in_vain.saturating_add(1),
            true => 1,
            false => 0,
        };
        self.not_before = Instant::now() + pause_before_return(self.left_in_vain);
    }

    /// Waits until the pause is over, and then until the broker is ready.
    pub async fn wait(&self, broker: &Broker) {
        sleep_until(self.not_before).await;
        broker.wait_until_ready().await;
    }
}

/// The pause is zero after an outage of NATS. It doubles each time that NATS was there all along.
fn pause_before_return(left_in_vain: u32) -> Duration {
    match left_in_vain.checked_sub(1) {
        Some(before) => FIRST_RETURN * 2_u32.pow(before.min(MOST_DOUBLINGS)),
        None => Duration::ZERO,
    }
}
