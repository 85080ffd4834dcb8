//! A service's metrics, as Prometheus and its kin read them (OpenMetrics text 1.0) at `/metrics` on `HEALTH_LISTEN`.
//!
//! A metric is declared where the thing that it counts happens; here they are only collected.

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::text::encode,
    metrics::histogram::{Histogram, exponential_buckets},
    registry::Registry,
};
use std::sync::{Arc, Mutex, PoisonError};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a millisecond to half a minute, each twice the one before: what services wait for ends within it.
const FIRST_BUCKET_SECONDS: f64 = 0.001;
const BUCKETS: u16 = 16;

/// A histogram of times, in seconds.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(FIRST_BUCKET_SECONDS, 2.0, BUCKETS))
}

/// All metrics of one process. A clone is the same.
#[derive(Clone)]
pub struct MetricsRegistry(Arc<Mutex<Registry>>);

impl Default for MetricsRegistry {
    /// Every name begins with `kurir_`.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("kurir"))))
    }
}

impl MetricsRegistry {
    /// Declares metrics.
    pub fn declare(&self, declare: impl FnOnce(&mut Registry)) {
        declare(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// As they stand.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }

    pub(crate) fn route(self) -> Router {
        Router::new()
            .route("/metrics", get(async move || ([(CONTENT_TYPE, OPEN_METRICS)], self.text()).into_response()))
    }
}
