//! The endpoints: one that keeps the order of chats, one that is slow, one that fails now and then, one that is away at times.

use crate::load::Load;
use kurir_test_harness::{Answer, Receiver, Request};
use serde_json::json;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// An endpoint and its receiver.
pub struct EndpointReceiver {
    pub name: &'static str,
    pub id: String,
    pub keeps_order: bool,
    receiver: Receiver,
}

pub struct Receivers {
    all: Vec<EndpointReceiver>,
}

impl Receivers {
    /// Makes the endpoints. Each takes what arrives, and all of them nothing but messages of contacts.
    ///
    /// # Errors
    /// If the API refuses one.
    pub async fn start(load: &Load) -> anyhow::Result<Self> {
        let retry: Vec<u32> = [1, 2, 4, 8, 16].into_iter().chain([30; 45]).collect();
        let mut all = Vec::new();
        for (name, keeps_order) in [("ordered", true), ("slow", false), ("failing", false), ("away", false)] {
            let receiver = Receiver::start().await;
            match name {
                "slow" => receiver.always(Answer::status(200).slow(Duration::from_millis(200))),
                "failing" => {
                    let asked = AtomicUsize::new(0);
                    // Each sixth request fails, and some are answered too late.
                    receiver.answer_with(move |_| match asked.fetch_add(1, Ordering::Relaxed) % 60 {
                        n if n % 12 == 3 => Answer::status(500),
                        n if n % 12 == 7 => Answer::status(503),
                        11 => Answer::status(200).slow(Duration::from_secs(12)),
                        _ => Answer::status(204),
                    });
                }
                _ => {}
            }
            let ordering = if keeps_order { "chat" } else { "none" };
            let body =
                json!({"url": receiver.url(), "events": ["message.received"], "ordering": ordering, "retry": retry});
            let made = load.post("/api/endpoints", body).await?;
            let id = made["data"]["id"].as_str().unwrap_or_default().to_owned();
            all.push(EndpointReceiver { name, id, keeps_order, receiver });
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
    pub fn requests(&self) -> Vec<Request> {
        self.receiver.requests()
    }
}
