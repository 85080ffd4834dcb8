//! Adds to messages what their callers only named: the content of a quoted message, the preview of a link.
//!
//! The many messages of a job or of `send-bulk` share one time: nobody waits an hour for previews. What is named twice is
//! looked up once.

use crate::{app_state::AppState, link_preview};
use kurir_contract::{
    command::{PagePreview, Quote},
    job::JobItem,
    session::SessionId,
};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, timeout_at};

/// For all messages of a request together; what is not known by then goes out without.
const WITHIN: Duration = Duration::from_secs(15);

/// Completes the messages of one request.
pub struct MessageCompletion<'a> {
    app: &'a AppState,
    session: &'a SessionId,
    deadline: Instant,
    quotes: HashMap<String, Option<Quote>>,
    previews: HashMap<String, Option<Box<PagePreview>>>,
}

impl<'a> MessageCompletion<'a> {
    pub fn new(app: &'a AppState, session: &'a SessionId) -> Self {
        let deadline = Instant::now() + WITHIN;
        Self { app, session, deadline, quotes: HashMap::new(), previews: HashMap::new() }
    }

    /// Adds what is known of the message with an id.
    pub async fn complete_quote(&mut self, id: &str, quote: &mut Option<Quote>) {
        let asked = json!([id, quote]).to_string();
        if let Some(known) = self.quotes.get(&asked) {
            quote.clone_from(known);
            return;
        }
        let mut completed = quote.clone();
        let looked_up = self.app.messages.complete_quote(self.session, id, &mut completed);
        if timeout_at(self.deadline, looked_up).await.is_ok() {
            quote.clone_from(&completed);
        }
        self.quotes.insert(asked, quote.clone());
    }

    /// Fetches the page of a preview that was asked for.
    pub async fn complete_preview(&mut self, preview: &mut Option<Box<PagePreview>>) {
        let Some(asked) = preview.as_ref().map(|preview| preview.url.clone()) else { return };
        if let Some(known) = self.previews.get(&asked) {
            preview.clone_from(known);
            return;
        }
        let mut completed = preview.take();
        if timeout_at(self.deadline, link_preview::complete(self.app, &mut completed)).await.is_ok() {
            *preview = completed;
        }
        self.previews.insert(asked, preview.clone());
    }

    /// Completes the messages of a job, whatever they send.
    pub async fn complete_items(&mut self, items: &mut [JobItem]) {
        for item in items {
            if let Some(id) = item.arguments.get("quoted").and_then(Value::as_str).map(str::to_owned) {
                let mut quote = serde_json::from_value(item.arguments["quote"].clone()).ok();
                self.complete_quote(&id, &mut quote).await;
                item.arguments["quote"] = json!(quote);
            }
            if let Some(asked) = item.arguments.get("linkPreview").filter(|asked| !asked.is_null()) {
                let mut preview = serde_json::from_value(asked.clone()).ok();
                self.complete_preview(&mut preview).await;
                item.arguments["linkPreview"] = json!(preview);
            }
        }
    }
}
