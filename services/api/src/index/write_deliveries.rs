//! Writes attempts and dead letters into the index, and counts attempts for the charts.

use super::event_facts::cut;
use kurir_contract::{
    clock,
    delivery::{AttemptRecord, AttemptResult, DeadLetter},
};
use rusqlite::{Connection, Result, params};
use std::collections::HashMap;

/// The place of an attempt in its batch has so many bits; a batch has at most 64 attempts.
const PLACE_BITS: u32 = 10;
/// Of an answer; the record has a kilobyte.
const LONGEST_ANSWER: usize = 1_024;
const MINUTE: i64 = 60_000;

/// An attempt with its place in DELIVERIES.
pub struct StoredAttempt {
    pub sequence: u64,
    pub place: usize,
    pub record: AttemptRecord,
}

/// The attempts of one message of DELIVERIES; none if it cannot be read.
pub fn read_attempts(sequence: u64, payload: &[u8]) -> Vec<StoredAttempt> {
    let records: Vec<AttemptRecord> = serde_json::from_slice(payload).unwrap_or_default();
    let numbered = records.into_iter().take(1 << PLACE_BITS).enumerate();
    numbered.map(|(place, record)| StoredAttempt { sequence, place, record }).collect()
}

/// The name of an outcome in the index and in the API.
pub fn outcome_name(result: &AttemptResult) -> &'static str {
    match result {
        AttemptResult::Delivered { .. } => "delivered",
        AttemptResult::Refused { .. } => "refused",
        AttemptResult::Failed { .. } => "failed",
        AttemptResult::Filtered { .. } => "filtered",
    }
}

/// The class of a duration: each is twice as long as the one before; class 0 is below 1 ms, class 11 begins at 1 s.
pub fn duration_class(duration_ms: u64) -> u32 {
    (u64::BITS - duration_ms.leading_zeros()).min(20)
}

/// Writes a batch. An attempt that is in the index already stays as it is.
pub fn write_attempts(connection: &Connection, attempts: &[StoredAttempt]) -> Result<()> {
    let mut minutes: HashMap<(i64, &str, &'static str, u32), u32> = HashMap::new();
    for StoredAttempt { sequence, place, record } in attempts {
        let at = clock::parse(&record.at).map_or(0, |at| (at.unix_timestamp_nanos() / 1_000_000) as i64);
        let id = (*sequence << PLACE_BITS) + *place as u64;
        if !write_attempt(connection, id, at, record)? {
            continue;
        }
        let class = duration_class(record.duration_ms);
        let key = (at - at.rem_euclid(MINUTE), record.endpoint.as_str(), outcome_name(&record.result), class);
        *minutes.entry(key).or_default() += 1;
        if record.replay.is_some() && matches!(record.result, AttemptResult::Delivered { .. }) {
            connection
                .prepare_cached("DELETE FROM dead_letters WHERE event_id = ?1 AND endpoint = ?2")?
                .execute([record.event_id.as_str(), record.endpoint.as_str()])?;
        }
    }
    for ((minute, endpoint, outcome, class), count) in minutes {
        connection
            .prepare_cached(
                "INSERT INTO delivery_minutes (minute, endpoint, outcome, duration_class, attempts) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (minute, endpoint, outcome, duration_class) DO UPDATE SET attempts = attempts + excluded.attempts",
            )?
            .execute(params![minute, endpoint, outcome, class, count])?;
    }
    Ok(())
}

/// Whether the attempt was not in the index yet.
fn write_attempt(connection: &Connection, id: u64, at: i64, record: &AttemptRecord) -> Result<bool> {
    let event: Option<(String, Option<String>)> = connection
        .prepare_cached("SELECT session, chat FROM events WHERE seq = ?1")?
        .query_row([record.sequence], |row| Ok((row.get(0)?, row.get(1)?)))
        .map(Some)
        .or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })?;
    let (session, chat) = event.unzip();
    let (status, class, answer, headers) = match &record.result {
        AttemptResult::Delivered { status, headers } => (Some(*status), None, None, Some(headers)),
        AttemptResult::Refused { status, body, headers } => (Some(*status), None, Some(body.as_str()), Some(headers)),
        AttemptResult::Failed { class, message, .. } => (None, Some(class.as_str()), Some(message.as_str()), None),
        AttemptResult::Filtered { by } => (None, Some(by.as_str()), None, None),
    };
    let headers = headers.filter(|headers| !headers.is_empty()).and_then(|headers| serde_json::to_string(headers).ok());
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO deliveries (id, event_id, event_seq, event_type, endpoint, session, chat, attempt, outcome,
             status, class, answer, headers, duration_ms, at, replay)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            id,
            record.event_id.as_str(),
            record.sequence,
            record.event.to_string(),
            record.endpoint.as_str(),
            session,
            chat.flatten(),
            record.attempt,
            outcome_name(&record.result),
            status,
            class,
            answer.map(|answer| cut(answer, LONGEST_ANSWER)),
            headers,
            record.duration_ms,
            at,
            record.replay,
        ])?;
    Ok(inserted > 0)
}

/// Writes a dead letter, which replaces an earlier one of the same event and endpoint.
pub fn write_dead_letter(connection: &Connection, sequence: u64, letter: &DeadLetter) -> Result<()> {
    let at = clock::parse(&letter.at).map_or(0, |at| (at.unix_timestamp_nanos() / 1_000_000) as i64);
    connection
        .prepare_cached("DELETE FROM dead_letters WHERE event_id = ?1 AND endpoint = ?2")?
        .execute([letter.event_id.as_str(), letter.endpoint.as_str()])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO dead_letters (seq, event_id, event_seq, endpoint, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            sequence,
            letter.event_id.as_str(),
            letter.sequence,
            letter.endpoint.as_str(),
            cut(&letter.reason, LONGEST_ANSWER),
            at
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_durations_is_twice_the_one_before() {
        for (duration_ms, class) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1_000, 10), (1_024, 11), (u64::MAX, 20)] {
            assert_eq!(duration_class(duration_ms), class, "{duration_ms}");
        }
    }
}
