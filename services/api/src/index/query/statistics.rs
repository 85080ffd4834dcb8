//! Attempts by time, for charts: how many ended how, and how long they took.

use super::iso;
use rusqlite::{Connection, Result, params};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What happened in one part of the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatisticsPoint {
    /// When it begins, ISO 8601.
    pub at: String,
    pub delivered: u64,
    /// Attempts that were refused or had no answer.
    pub failed: u64,
    /// Half of the attempts took at most so long, within a factor of two; null without attempts.
    pub p50_ms: Option<u64>,
    /// 95 of 100 attempts took at most so long, within a factor of two.
    pub p95_ms: Option<u64>,
}

/// The same for the whole time, with its parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    pub delivered: u64,
    pub failed: u64,
    pub p50_ms: Option<u64>,
    pub p95_ms: Option<u64>,
    /// Of equal length, the oldest first.
    pub points: Vec<StatisticsPoint>,
}

#[derive(Default)]
struct Counts {
    delivered: u64,
    failed: u64,
    by_class: BTreeMap<u32, u64>,
}

impl Counts {
    fn add(&mut self, outcome: &str, class: u32, attempts: u64) {
        match outcome {
            "filtered" => return,
            "delivered" => self.delivered += attempts,
            _ => self.failed += attempts,
        }
        *self.by_class.entry(class).or_default() += attempts;
    }

    fn percentile(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.by_class.values().sum();
        let wanted = (total * percent).div_ceil(100);
        let mut counted = 0;
        self.by_class.iter().find_map(|(class, attempts)| {
            counted += attempts;
            // The class ends below the next power of two.
            (counted >= wanted && total > 0).then(|| (1_u64 << class) - u64::from(*class > 0))
        })
    }
}

/// The attempts from `from` until `to` (milliseconds since 1970), of one endpoint or of all, in so many parts.
pub fn statistics(
    connection: &Connection,
    endpoint: Option<&str>,
    (from, to): (i64, i64),
    parts: i64,
) -> Result<Statistics> {
    let length = ((to - from) / parts).max(60_000);
    let mut statement = connection.prepare_cached(
        "SELECT (minute - ?1) / ?3, outcome, duration_class, sum(attempts) FROM delivery_minutes
         WHERE minute >= ?1 AND minute < ?2 AND (?4 IS NULL OR endpoint = ?4) GROUP BY 1, 2, 3",
    )?;
    let mut rows = statement.query(params![from, to, length, endpoint])?;
    let (mut all, mut by_part) = (Counts::default(), BTreeMap::<i64, Counts>::new());
    while let Some(row) = rows.next()? {
        let (outcome, class, attempts): (String, u32, u64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        all.add(&outcome, class, attempts);
        by_part.entry(row.get(0)?).or_default().add(&outcome, class, attempts);
    }
    let point = |part: i64| {
        let none = Counts::default();
        let counts = by_part.get(&part).unwrap_or(&none);
        StatisticsPoint {
            at: iso(from + part * length),
            delivered: counts.delivered,
            failed: counts.failed,
            p50_ms: counts.percentile(50),
            p95_ms: counts.percentile(95),
        }
    };
    let points = (0..parts).filter(|part| from + part * length < to).map(point).collect();
    let (p50_ms, p95_ms) = (all.percentile(50), all.percentile(95));
    Ok(Statistics { delivered: all.delivered, failed: all.failed, p50_ms, p95_ms, points })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::duration_class;

    #[test]
    fn a_percentile_is_right_within_a_factor_of_two() {
        let mut counts = Counts::default();
        assert_eq!(counts.percentile(50), None);
        for duration_ms in 1..=100_u64 {
            counts.add("delivered", duration_class(duration_ms), 1);
        }
        assert_eq!((counts.percentile(50), counts.percentile(95)), (Some(63), Some(127)));
        let mut instant = Counts::default();
        instant.add("refused", 0, 3);
        assert_eq!((instant.failed, instant.percentile(95)), (3, Some(1)));
    }
}
