//! The request that carries an event: the contract's headers, the endpoint's own, and the signature.

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
use http_body_util::Full;
use kurir_chassis::trace_context;
use kurir_contract::{endpoint::PayloadFormat, header};
use url::Url;

/// The contract's, so that a receiver's filters go on working.
const CONTRACT_USER_AGENT: HeaderValue = HeaderValue::from_static("WhatsApp-API-Webhook/1.0.0");
/// Standard Webhooks' name for the event id: the same at every try and every replay.
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
    pub fn of(event: &StoredEvent, format: PayloadFormat, public_url: Option<&str>) -> Option<Self> {
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

/// What one request says beside its event.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeta {
    /// When it is made, seconds since 1970.
    pub at: i64,
    /// The event comes again because somebody asked for it.
    pub is_replay: bool,
    /// A collector takes the current span.
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

    pub fn request(&self, event: &StoredEvent, body: RequestBody, meta: &RequestMeta) -> Request<Full<Bytes>> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, body.content_type);
        headers.extend(body.headers);
        // Both were looked at when the event was read; what cannot travel in a header stays out of the request.
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
        let mut request = Request::new(Full::new(body.bytes));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// A user and password in the URL are basic authentication.
fn authorization(url: &Url) -> anyhow::Result<Option<HeaderValue>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text| percent_decode(text).collect::<Vec<u8>>();
    let mut credentials = decoded(url.username());
    credentials.push(b':');
    credentials.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials)))
        .context("failed to use the webhook URL's user and password")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// In a URL, what would end the user or the password is written as `%` and two hex digits.
fn percent_decode(text: &str) -> impl Iterator<Item = u8> {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        let hex = |byte: u8| char::from(byte).to_digit(16);
        let mut ahead = bytes.clone();
        match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                bytes = ahead;
                // Two hex digits are a byte.
                Some((high * 16 + low) as u8)
            }
            _ => Some(byte),
        }
    })
}

/// Of the current span if there is a collector, else of the event, so that a trace goes on through us in any case.
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
