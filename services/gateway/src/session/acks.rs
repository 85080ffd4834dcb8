//! Sends that wait for the acknowledgement of WhatsApp's server. The client's own `Ok` comes before it, and also
//! without it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use wacore::types::events::ServerAck;

/// The answer of WhatsApp's server to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAnswer {
    Taken {
        at: OffsetDateTime,
    },
    /// A nack, with its number if it has one.
    Refused {
        code: Option<u16>,
    },
}

/// The waiting sends by message id: as many as are under way.
#[derive(Default)]
pub struct PendingAcks(Mutex<HashMap<String, mpsc::Sender<ServerAnswer>>>);

/// One waiting send, through all its tries: an acknowledgement of the first try may come during the second.
pub struct AckWaiter {
    id: String,
    acks: Arc<PendingAcks>,
    answers: mpsc::Receiver<ServerAnswer>,
}

/// There is one answer for each try. Further ones are dropped.
const ANSWERS: usize = 16;

impl PendingAcks {
    /// Starts to wait. Call it before the message is sent, because the answer may be faster than the client's `Ok`.
    #[must_use]
    pub fn register(self: &Arc<Self>, id: &str) -> AckWaiter {
        let (sender, answers) = mpsc::channel(ANSWERS);
        self.lock().insert(id.to_owned(), sender);
        AckWaiter { id: id.to_owned(), acks: Arc::clone(self), answers }
    }

    pub fn record_ack(&self, ack: &ServerAck) {
        if ack.class.as_deref() != Some("message") {
            return;
        }
        if let Some(waiting) = self.lock().get(&ack.id) {
            // If the queue is full, an answer is there already.
            let _ = waiting.try_send(server_answer(ack));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<ServerAnswer>>> {
        // Each change is one call, so a panic elsewhere left the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server_answer(ack: &ServerAck) -> ServerAnswer {
    match &ack.error {
        Some(code) => ServerAnswer::Refused { code: code.parse().ok() },
        None => {
            let at = ack.timestamp.and_then(|at| OffsetDateTime::from_unix_timestamp(at.timestamp()).ok());
            ServerAnswer::Taken { at: at.unwrap_or_else(OffsetDateTime::now_utc) }
        }
    }
}

impl AckWaiter {
    /// Waits for the next answer.
    pub async fn next_answer(&mut self) -> ServerAnswer {
        match self.answers.recv().await {
            Some(answer) => answer,
            // The sender stays in the map until this waiter is dropped.
            None => std::future::pending().await,
        }
    }

    /// Drops the nacks of earlier tries. If one of those tries was accepted after all, gives its time.
    pub fn accepted_meanwhile(&mut self) -> Option<OffsetDateTime> {
        while let Ok(answer) = self.answers.try_recv() {
            if let ServerAnswer::Taken { at } = answer {
                return Some(at);
            }
        }
        None
    }
}

impl Drop for AckWaiter {
    fn drop(&mut self) {
        self.acks.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: &str, class: &str, error: Option<&str>) -> ServerAck {
        ServerAck::builder().id(id.to_owned()).class(class.to_owned()).maybe_error(error.map(str::to_owned)).build()
    }

    #[tokio::test]
    async fn an_answer_reaches_the_send_that_waits_for_it() {
        let acks = Arc::new(PendingAcks::default());
        let mut first = acks.register("A");
        let mut second = acks.register("B");
        // A receipt may have a message's id, and acknowledges nothing.
        acks.record_ack(&ack("A", "receipt", None));
        acks.record_ack(&ack("C", "message", None));
        acks.record_ack(&ack("B", "message", Some("479")));
        acks.record_ack(&ack("A", "message", None));
        assert!(matches!(first.next_answer().await, ServerAnswer::Taken { .. }));
        assert_eq!(second.next_answer().await, ServerAnswer::Refused { code: Some(479) });
        drop((first, second));
        assert!(acks.lock().is_empty());
    }

    #[test]
    fn a_late_acknowledgement_of_an_earlier_try_counts() {
        let acks = Arc::new(PendingAcks::default());
        let mut waiting = acks.register("A");
        acks.record_ack(&ack("A", "message", Some("500")));
        assert_eq!(waiting.accepted_meanwhile(), None);
        acks.record_ack(&ack("A", "message", Some("500")));
        acks.record_ack(&ack("A", "message", None));
        assert!(waiting.accepted_meanwhile().is_some());
    }
}
