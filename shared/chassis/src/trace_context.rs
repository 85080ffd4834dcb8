//! One trace per event: the W3C trace context crosses NATS and HTTP as the header `traceparent`.

use async_nats::HeaderMap;
use kurir_contract::header;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the current span's context into a message; without a collector there is none, and nothing is written.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut NatsHeaders(headers));
}

/// Makes `span` a child of the context that a message carries, if it carries one.
pub fn adopt(span: &Span, headers: Option<&HeaderMap>) {
    let Some(headers) = headers.filter(|headers| headers.get(header::TRACEPARENT).is_some()) else { return };
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &ReadNatsHeaders(headers));
    // Refused only if the span was closed or has a parent already, and then there is nothing to mend.
    let _ = span.set_parent(parent);
}

/// The `traceparent` of the current span, for an HTTP header.
#[must_use]
pub fn current() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject(&mut headers);
    headers.get(header::TRACEPARENT).map(|value| value.as_str().to_owned())
}

struct NatsHeaders<'a>(&'a mut HeaderMap);

impl Injector for NatsHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value);
    }
}

struct ReadNatsHeaders<'a>(&'a HeaderMap);

impl Extractor for ReadNatsHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}
