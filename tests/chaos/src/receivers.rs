//! The endpoints: one that keeps the order of chats, one that is slow, one that fails now and then, one that is away at times.

use crate::{ChaosPlan, arrivals::Arrivals, load::Load};
use kurir_test_harness::{Answer, Receiver};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The pace for which the answers below are meant, in messages a second. At a faster one they are as much quicker and rarer, so
/// that each receiver can take the load.
const USUAL_PACE: u32 = 50;

/// An endpoint and its receiver.
pub struct EndpointReceiver {
    pub name: &'static str,
    pub id: String,
    pub keeps_order: bool,
    receiver: Receiver,
    arrivals: Arc<Mutex<Arrivals>>,
}

pub struct Receivers {
    all: Vec<EndpointReceiver>,
}

impl Receivers {
    /// Makes the endpoints. Each takes what arrives, and all of them nothing but messages of contacts.
    ///
    /// # Errors
    /// If the API refuses one.
    pub async fn start(load: &Load, plan: ChaosPlan) -> anyhow::Result<Self> {
        let retry: Vec<u32> = [1, 2, 4, 8, 16].into_iter().chain([30; 45]).collect();
        let mut all = Vec::new();
        for (name, keeps_order) in [("ordered", true), ("slow", false), ("failing", false), ("away", false)] {
            let (receiver, arrivals) = (Receiver::start().await, Arc::<Mutex<Arrivals>>::default());
            receiver.keep_no_requests();
            let (answer, recorded) = (answers(name, plan), Arc::clone(&arrivals));
            receiver.answer_with(move |request| {
                locked(&recorded).record(request);
                answer()
            });
            let ordering = if keeps_order { "chat" } else { "none" };
            let body =
                json!({"url": receiver.url(), "events": ["message.received"], "ordering": ordering, "retry": retry});
            let made = load.post("/api/endpoints", body).await?;
            let id = made["data"]["id"].as_str().unwrap_or_default().to_owned();
            all.push(EndpointReceiver { name, id, keeps_order, receiver, arrivals });
        }
        Ok(Self { all })
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.id.as_str())
    }

    pub fn all(&self) -> &[EndpointReceiver] {
        &self.all
    }

    /// Takes the last receiver away, or brings it back.
    pub async fn switch_last(&mut self, is_there: bool) {
        let Some(last) = self.all.last_mut() else { return };
        if is_there { last.receiver.start_again() } else { last.receiver.stop().await }
    }
}

impl EndpointReceiver {
    /// What arrived so far.
    pub fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        locked(&self.arrivals)
    }
}

/// How a receiver answers each request.
fn answers(name: &str, plan: ChaosPlan) -> Box<dyn Fn() -> Answer + Send + Sync> {
    let times = plan.messages_per_second.div_ceil(USUAL_PACE).max(1);
    match name {
        "slow" => Box::new(move || Answer::status(200).slow(Duration::from_millis(200) / times)),
        "failing" => {
            let asked = AtomicUsize::new(0);
            // Each sixth request fails, and some are answered too late.
            let every = times as usize;
            Box::new(move || {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                if !number.is_multiple_of(every) {
                    return Answer::status(204);
                }
                match number / every % 60 {
                    n if n % 12 == 3 => Answer::status(500),
                    n if n % 12 == 7 => Answer::status(503),
                    11 => Answer::status(200).slow(Duration::from_secs(12)),
                    _ => Answer::status(204),
                }
            })
        }
        _ => Box::new(|| Answer::status(200)),
    }
}

fn locked(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
