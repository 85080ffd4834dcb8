//! One trace per event: the W3C trace context crosses NATS and HTTP as the header `traceparent`.

use crate::metrics::TraceLabel;
use async_nats::HeaderMap;
use kurir_contract::header;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of spans that are for traces only: the log does not show them.
pub const TRACE_TARGET: &str = "kurir_trace";

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

/// Makes `span` a child of a context that came as text, if it is one.
pub fn adopt_text(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::TRACEPARENT, traceparent);
    adopt(span, Some(&headers));
}

/// Whether the caller that began the trace does not want it collected; without a trace nobody has decided.
#[must_use]
pub fn is_unsampled(traceparent: Option<&str>) -> bool {
    is_sampled(traceparent) == Some(false)
}

/// The id of a trace that is collected, if the `traceparent` says so.
#[must_use]
pub fn collected_trace(traceparent: Option<&str>) -> Option<TraceLabel> {
    let trace_id = traceparent?.split('-').nth(1)?.to_owned();
    is_sampled(traceparent)?.then_some(TraceLabel { trace_id })
}

/// `00-<trace>-<span>-<flags>`, of whose flags the last bit counts.
fn is_sampled(traceparent: Option<&str>) -> Option<bool> {
    let flags = u8::from_str_radix(traceparent?.split('-').nth(3)?, 16).ok()?;
    Some(flags & 1 == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_that_says_so_is_not_collected() {
        let start = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for (flags, expected) in
            [("-00", true), ("-01", false), ("-02", true), ("-03", false), ("", false), ("-x", false)]
        {
            let traceparent = format!("{start}{flags}");
            assert_eq!(is_unsampled(Some(&traceparent)), expected, "{flags}");
            let collected = collected_trace(Some(&traceparent)).map(|trace| trace.trace_id);
            let is_collected = matches!(flags, "-01" | "-03");
            assert_eq!(collected.as_deref(), is_collected.then_some("0af7651916cd43dd8448eb211c80319c"), "{flags}");
        }
        assert!(!is_unsampled(None));
    }
}
