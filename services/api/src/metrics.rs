//! The counters of `GET /api/metrics`, by hour and by day too. They live in memory, begin at zero with the process, and
//! have the shape that they always had: `startTime` in milliseconds, `lastActivity` in seconds ago.

use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use time::{OffsetDateTime, UtcOffset};

/// Hours that are kept, the current one included.
const HOURS: usize = 25;
/// Days that are kept, the current one included.
const DAYS: usize = 8;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiCounter {
    MessagesSent,
    MessagesFailed,
    MediaSent,
    MediaFailed,
    BulkRequests,
    BulkMessagesSent,
    BulkMessagesFailed,
    QrCodeRequests,
    ApiRequests,
    ApiErrors,
}

impl ApiCounter {
    fn name(self) -> &'static str {
        match self {
            Self::MessagesSent => "messagesSent",
            Self::MessagesFailed => "messagesFailed",
            Self::MediaSent => "mediaSent",
            Self::MediaFailed => "mediaFailed",
            Self::BulkRequests => "bulkRequests",
            Self::BulkMessagesSent => "bulkMessagesSent",
            Self::BulkMessagesFailed => "bulkMessagesFailed",
            Self::QrCodeRequests => "qrCodeRequests",
            Self::ApiRequests => "apiRequests",
            Self::ApiErrors => "apiErrors",
        }
    }
}

/// The counters since the start or the last reset.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsSnapshot {
    messages_sent: u64,
    messages_failed: u64,
    media_sent: u64,
    media_failed: u64,
    bulk_requests: u64,
    bulk_messages_sent: u64,
    bulk_messages_failed: u64,
    qr_code_requests: u64,
    api_requests: u64,
    api_errors: u64,
    /// Milliseconds since 1970.
    start_time: i64,
    /// Seconds ago.
    last_activity: i64,
    /// Seconds.
    uptime: i64,
    /// Whole per cent of all that was sent; 0 before the first.
    success_rate: u64,
    /// Of the last day, by `2026-11-24T13`.
    hourly_stats: BTreeMap<String, CounterTable>,
    /// Of the last week, by `2026-11-24`.
    daily_stats: BTreeMap<String, CounterTable>,
}

pub struct ApiMetrics(Mutex<CounterState>);

type CounterTable = BTreeMap<&'static str, u64>;

struct CounterState {
    total: CounterTable,
    since: OffsetDateTime,
    last_activity: OffsetDateTime,
    /// By `2026-11-24T13`.
    hourly: BTreeMap<String, CounterTable>,
    /// By `2026-11-24`.
    daily: BTreeMap<String, CounterTable>,
}

impl ApiMetrics {
    pub fn new(now: OffsetDateTime) -> Self {
        Self(Mutex::new(CounterState::new(now)))
    }

    pub fn count(&self, counter: ApiCounter, now: OffsetDateTime) {
        let mut counts = self.counts();
        let name = counter.name();
        *counts.total.entry(name).or_default() += 1;
        counts.last_activity = now;
        let now = now.to_offset(UtcOffset::UTC);
        let day = now.date().to_string();
        let hour = format!("{day}T{:02}", now.hour());
        bump(&mut counts.hourly, hour, name, HOURS);
        bump(&mut counts.daily, day, name, DAYS);
    }

    pub fn reset(&self, now: OffsetDateTime) {
        *self.counts() = CounterState::new(now);
    }

    /// The `data` of `GET /api/metrics`.
    pub fn snapshot(&self, now: OffsetDateTime) -> MetricsSnapshot {
        let counts = self.counts();
        let count = |counter: ApiCounter| counts.of(counter.name());
        MetricsSnapshot {
            messages_sent: count(ApiCounter::MessagesSent),
            messages_failed: count(ApiCounter::MessagesFailed),
            media_sent: count(ApiCounter::MediaSent),
            media_failed: count(ApiCounter::MediaFailed),
            bulk_requests: count(ApiCounter::BulkRequests),
            bulk_messages_sent: count(ApiCounter::BulkMessagesSent),
            bulk_messages_failed: count(ApiCounter::BulkMessagesFailed),
            qr_code_requests: count(ApiCounter::QrCodeRequests),
            api_requests: count(ApiCounter::ApiRequests),
            api_errors: count(ApiCounter::ApiErrors),
            start_time: (counts.since.unix_timestamp_nanos() / 1_000_000) as i64,
            last_activity: (now - counts.last_activity).whole_seconds().max(0),
            uptime: (now - counts.since).whole_seconds().max(0),
            success_rate: counts.success_rate(),
            hourly_stats: counts.hourly.clone(),
            daily_stats: counts.daily.clone(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, CounterState> {
        // Who panicked while counting left whole numbers behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CounterState {
    fn new(now: OffsetDateTime) -> Self {
        Self {
            total: CounterTable::new(),
            since: now,
            last_activity: now,
            hourly: BTreeMap::new(),
            daily: BTreeMap::new(),
        }
    }

    fn of(&self, name: &str) -> u64 {
        self.total.get(name).copied().unwrap_or(0)
    }

    /// Whole per cent of all that was sent; 0 before the first.
    fn success_rate(&self) -> u64 {
        let sum = |names: [&str; 3]| names.iter().map(|name| self.of(name)).sum::<u64>();
        let sent = sum(["messagesSent", "mediaSent", "bulkMessagesSent"]);
        let all = sent + sum(["messagesFailed", "mediaFailed", "bulkMessagesFailed"]);
        // Rounded to the nearest.
        (200 * sent + all).checked_div(2 * all).unwrap_or(0)
    }
}

fn bump(tables: &mut BTreeMap<String, CounterTable>, key: String, name: &'static str, kept: usize) {
    *tables.entry(key).or_default().entry(name).or_default() += 1;
    while tables.len() > kept {
        tables.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::{Duration, macros::datetime};

    const NOON: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    #[test]
    fn the_success_rate_is_a_whole_per_cent() {
        let metrics = ApiMetrics::new(NOON);
        assert_eq!(metrics.snapshot(NOON).success_rate, 0);
        metrics.count(ApiCounter::MessagesSent, NOON);
        assert_eq!(metrics.snapshot(NOON).success_rate, 100);
        metrics.count(ApiCounter::MessagesSent, NOON);
        metrics.count(ApiCounter::MessagesFailed, NOON);
        assert_eq!(metrics.snapshot(NOON).success_rate, 67);
    }

    #[test]
    fn only_the_last_day_is_kept_by_hour_and_the_last_week_by_day() {
        let metrics = ApiMetrics::new(NOON);
        for hour in 0..24 * 30 {
            metrics.count(ApiCounter::ApiRequests, NOON + Duration::hours(hour));
        }
        let last = NOON + Duration::hours(24 * 30 - 1);
        let data = metrics.snapshot(last + Duration::seconds(5));
        assert_eq!(data.hourly_stats.len(), HOURS);
        assert_eq!(data.daily_stats.len(), DAYS);
        assert_eq!(data.hourly_stats["2026-12-24T11"], CounterTable::from([("apiRequests", 1)]));
        assert_eq!(data.api_requests, 720);
        assert_eq!(data.last_activity, 5);
    }
}
