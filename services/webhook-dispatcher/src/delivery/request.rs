//! The request that carries an event: the contract's headers around the stored bytes.

use super::Event;
use crate::endpoints::Endpoint;
use anyhow::Context as _;
use kurir_chassis::trace_context;
use kurir_contract::header;
use reqwest::{
    Request,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT},
};

/// The contract's, so that a receiver's filters go on working.
const CONTRACT_USER_AGENT: &str = "WhatsApp-API-Webhook/1.0.0";
/// Standard Webhooks' name for the event id: the same at every try and every replay.
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");

/// What all requests to one endpoint share. A user and password in the URL become basic authentication.
pub struct Template(Request);

impl Template {
    pub fn new(client: &reqwest::Client, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let request = client
            .post(endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, CONTRACT_USER_AGENT)
            .build()
            .context("failed to use the webhook's URL")?;
        Ok(Self(request))
    }

    pub fn request(&self, event: &Event, traced: bool) -> Request {
        let mut request = Request::new(self.0.method().clone(), self.0.url().clone());
        let headers = request.headers_mut();
        headers.clone_from(self.0.headers());
        // Both were looked at when the event was read; what cannot travel in a header stays out of the request.
        if let Ok(id) = HeaderValue::from_str(event.id.as_str()) {
            headers.insert(WEBHOOK_ID, id);
        }
        if let Some(trace) = traceparent(event, traced) {
            headers.insert(HeaderName::from_static(header::TRACEPARENT), trace);
        }
        *request.body_mut() = Some(event.payload.clone().into());
        request
    }
}

/// Of the current span if there is a collector, else of the event, so that a trace goes on through us in any case.
fn traceparent(event: &Event, traced: bool) -> Option<HeaderValue> {
    let own = if traced { trace_context::current() } else { None };
    HeaderValue::from_str(own.as_deref().or(event.traceparent.as_deref())?).ok()
}
