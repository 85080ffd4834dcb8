//! The counters of `GET /api/metrics`, by hour and by day too. They live in memory, begin at zero with the process, and
//! have the shape that they always had: `startTime` in milliseconds, `lastActivity` in seconds ago.

use serde_json::{Map, Value, json};
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

/// The names of all counters, in the order of the contract.
const NAMES: [&str; 10] = [
    "messagesSent",
    "messagesFailed",
    "mediaSent",
    "mediaFailed",
    "bulkRequests",
    "bulkMessagesSent",
    "bulkMessagesFailed",
    "qrCodeRequests",
    "apiRequests",
    "apiErrors",
];

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

    /// `data` of `GET /api/metrics`.
    pub fn snapshot(&self, now: OffsetDateTime) -> Value {
        let counts = self.counts();
        let mut data: Map<_, _> = NAMES.iter().map(|name| ((*name).to_owned(), json!(counts.of(name)))).collect();
        data.insert("startTime".to_owned(), json!(counts.since.unix_timestamp_nanos() / 1_000_000));
        data.insert("lastActivity".to_owned(), json!((now - counts.last_activity).whole_seconds().max(0)));
        data.insert("uptime".to_owned(), json!((now - counts.since).whole_seconds().max(0)));
        data.insert("successRate".to_owned(), json!(counts.success_rate()));
        data.insert("hourlyStats".to_owned(), json!(counts.hourly));
        data.insert("dailyStats".to_owned(), json!(counts.daily));
        Value::Object(data)
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
        assert_eq!(metrics.snapshot(NOON)["successRate"], 0);
        metrics.count(ApiCounter::MessagesSent, NOON);
        assert_eq!(metrics.snapshot(NOON)["successRate"], 100);
        metrics.count(ApiCounter::MessagesSent, NOON);
        metrics.count(ApiCounter::MessagesFailed, NOON);
        assert_eq!(metrics.snapshot(NOON)["successRate"], 67);
    }

    #[test]
    fn only_the_last_day_is_kept_by_hour_and_the_last_week_by_day() {
        let metrics = ApiMetrics::new(NOON);
        for hour in 0..24 * 30 {
            metrics.count(ApiCounter::ApiRequests, NOON + Duration::hours(hour));
        }
        let last = NOON + Duration::hours(24 * 30 - 1);
        let data = metrics.snapshot(last + Duration::seconds(5));
        assert_eq!(data["hourlyStats"].as_object().map(Map::len), Some(HOURS));
        assert_eq!(data["dailyStats"].as_object().map(Map::len), Some(DAYS));
        assert_eq!(data["hourlyStats"]["2026-12-24T11"], json!({"apiRequests": 1}));
        assert_eq!(data["apiRequests"], 720);
        assert_eq!(data["lastActivity"], 5);
    }
}
