//! The request that carries an event: Kurir's headers, the endpoint's own headers, and the signature.

use crate::{
    delivery::{
        format::{self, event_view::RenderedEvent},
        signature::{RequestSigner, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP},
    },
    endpoint::{Endpoint, request_url::request_uri},
    event::{StoredEvent, session_of},
};
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use kurir_chassis::trace_context;
use kurir_contract::{endpoint::PayloadFormat, header};
use percent_encoding::percent_decode_str;
use url::Url;

/// The API contract's value, so that the filters of existing receivers go on working.
const CONTRACT_USER_AGENT: HeaderValue = HeaderValue::from_static("WhatsApp-API-Webhook/1.0.0");
/// Standard Webhooks' header for the event id: the same at every try and every replay.
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const REPLAY: HeaderName = HeaderName::from_static(header::REPLAY);
const TRACEPARENT: HeaderName = HeaderName::from_static(header::TRACEPARENT);

/// What a request carries.
pub struct RequestBody {
    pub bytes: Bytes,
    pub content_type: HeaderValue,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl RequestBody {
    /// None: the endpoint's format has no counterpart for the event.
    pub fn render(event: &StoredEvent, format: PayloadFormat, public_url: Option<&str>) -> Option<Self> {
        match format::render(format, event, &session_of(&event.subject), public_url) {
            RenderedEvent::Body { body, content_type, headers } => Some(Self { bytes: body, content_type, headers }),
            RenderedEvent::NoCounterpart => None,
        }
    }
}

/// What all requests to one endpoint share.
pub struct RequestTemplate {
    uri: Uri,
    headers: HeaderMap,
    signer: Option<RequestSigner>,
}

/// Per-request metadata: time, replay flag, tracing.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeta {
    /// When the request is made, in seconds since 1970.
    pub at: i64,
    /// Whether a replay delivers the event again.
    pub is_replay: bool,
    /// Whether a collector takes the current span.
    pub traced: bool,
}

impl RequestTemplate {
    pub fn new(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, CONTRACT_USER_AGENT);
        for (name, value) in &endpoint.headers {
            let name: HeaderName = name.parse().context("failed to use the name of a header")?;
            let mut value: HeaderValue = value.parse().context("failed to use the value of a header")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(authorization) = authorization(&endpoint.url)? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(Self { uri: request_uri(&endpoint.url)?, headers, signer: RequestSigner::new(&endpoint.secrets) })
    }

    pub fn request(&self, event: &StoredEvent, body: RequestBody, meta: &RequestMeta) -> Request<Bytes> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, body.content_type);
        // An endpoint of an older version may have a header of this name. Two of them would contradict each other.
        for (name, value) in body.headers {
            headers.insert(name, value);
        }
        // The id was checked when the event was read. A value that no header can carry is left out.
        if let Ok(id) = HeaderValue::from_str(event.id.as_str()) {
            headers.insert(WEBHOOK_ID, id);
        }
        if let Some(signer) = &self.signer {
            headers.insert(WEBHOOK_TIMESTAMP, meta.at.into());
            headers.insert(WEBHOOK_SIGNATURE, signer.sign(event.id.as_str(), meta.at, &body.bytes));
        }
        if meta.is_replay {
            headers.insert(REPLAY, HeaderValue::from_static("true"));
        }
        if let Some(trace) = traceparent(event, meta.traced) {
            headers.insert(TRACEPARENT, trace);
        }
        let mut request = Request::new(body.bytes);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// Basic authentication with the user and the password of the URL.
fn authorization(url: &Url) -> anyhow::Result<Option<HeaderValue>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let mut credentials = decoded(url.username());
    credentials.push(b':');
    credentials.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials)))
        .context("failed to use the webhook URL's user and password")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The traceparent of the current span if there is a collector, else the event's: a trace passes through Kurir in
/// either case.
fn traceparent(event: &StoredEvent, traced: bool) -> Option<HeaderValue> {
    let own = if traced { trace_context::current() } else { None };
    HeaderValue::from_str(own.as_deref().or(event.traceparent.as_deref())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_to_the_url_without_what_is_no_part_of_it() {
        for (url, expected, credentials) in [
            ("http://localhost:5678", "http://localhost:5678/", None),
            ("https://example.org/a%20b?c=d#e", "https://example.org/a%20b?c=d", None),
            ("https://user:p%40ss@example.org/", "https://example.org/", Some("Basic dXNlcjpwQHNz")),
            ("https://user@example.org/", "https://example.org/", Some("Basic dXNlcjo=")),
            ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4", None),
            ("http://[::1]:80/", "http://[::1]/", None),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(request_uri(&url).unwrap(), expected);
            let authorization = authorization(&url).unwrap();
            assert_eq!(authorization.as_ref().map(|value| value.to_str().unwrap()), credentials, "{url}");
        }
    }
}
