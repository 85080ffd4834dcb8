//! Knows when the account's phone was last seen. WhatsApp removes a linked device whose phone was away for 14 days, so
//! the user is warned before, once a day.
//!
//! A message or a receipt of the account's device 0 proves that the phone is there. A phone that nobody uses sends
//! neither, so it is asked once a day, and counts as away only if it does not answer. "Now" is WhatsApp's clock.
//! [`next_step`] is pure.

use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use time::OffsetDateTime;
use whatsapp_rust::{Jid, OwnedNodeRef};

/// WhatsApp's limit, in seconds like all times here.
const REMOVED_AFTER: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// The question wakes a sleeping phone.
const ANSWERS_WITHIN: i64 = 20;
/// The file is written at most this often.
const WRITE_EVERY: i64 = 60;

/// The knowledge about the phone. Clones share it.
#[derive(Clone)]
pub struct PhonePresence(Arc<Mutex<PhoneState>>);

struct PhoneState {
    file: PathBuf,
    kept: PhoneRecord,
    /// The content of the file.
    written: PhoneRecord,
    tried_at: i64,
    /// WhatsApp's clock minus this machine's.
    skew: i64,
    asked: Option<i64>,
    /// The account's own numbers: its devices send under them.
    own: Vec<String>,
}

/// The part that survives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PhoneRecord {
    /// Unix seconds.
    last_seen: Option<i64>,
    /// The time of the last warning that the phone is away; none while the phone is there.
    warned: Option<i64>,
}

impl PhoneRecord {
    fn read(file: &Path) -> Self {
        fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

/// What must be done about the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneStep {
    /// Ask the phone for a sign of life.
    Ask,
    Away {
        last_seen: i64,
        days_left: u32,
    },
    Back {
        last_seen: i64,
    },
}

/// The step that is due, if one is.
fn next_step(offline_after: i64, kept: PhoneRecord, asked: Option<i64>, now: i64) -> Option<PhoneStep> {
    let last_seen = kept.last_seen?;
    let away_for = now - last_seen;
    let a_day_ago = |at: Option<i64>| at.is_none_or(|at| now - at >= DAY);
    if kept.warned.is_some() && away_for < offline_after {
        return Some(PhoneStep::Back { last_seen });
    }
    if away_for >= offline_after.min(DAY) && a_day_ago(asked) {
        return Some(PhoneStep::Ask);
    }
    let had_its_chance = asked.is_some_and(|at| now - at >= ANSWERS_WITHIN);
    if away_for >= offline_after && had_its_chance && a_day_ago(kept.warned) {
        let left = u64::try_from(REMOVED_AFTER - away_for).unwrap_or_default();
        let days_left = left.div_ceil(DAY.unsigned_abs());
        return Some(PhoneStep::Away { last_seen, days_left: u32::try_from(days_left).unwrap_or_default() });
    }
    None
}

impl PhonePresence {
    /// Reads what the session's folder holds. An unreadable file counts as an empty one.
    #[must_use]
    pub fn open(file: &Path) -> Self {
        let kept = PhoneRecord::read(file);
        let file = file.to_owned();
        Self(Arc::new(Mutex::new(PhoneState {
            file,
            kept,
            written: kept,
            tried_at: 0,
            skew: 0,
            asked: None,
            own: vec![],
        })))
    }

    /// Reads the file again, which somebody else wrote.
    pub fn read_again(&self) {
        let mut known = self.lock();
        known.kept = PhoneRecord::read(&known.file);
        known.written = known.kept;
    }

    /// Sets the account's own addresses.
    pub fn set_own_numbers(&self, own: impl Iterator<Item = Jid>) {
        self.lock().own = own.map(|jid| jid.user.to_string()).collect();
    }

    /// Reads a stanza: it may hold WhatsApp's time, and the phone may have sent it.
    pub fn observe_stanza(&self, stanza: &OwnedNodeRef) {
        let stanza = stanza.get();
        let mut known = self.lock();
        let told = stanza.attrs().optional_unix_time("t");
        match stanza.tag.as_ref() {
            "success" | "iq" => {
                if let Some(time) = told {
                    known.skew = time - machine_now();
                }
            }
            "message" | "receipt" => {
                let writer = stanza.attrs().optional_jid("participant").or_else(|| stanza.attrs().optional_jid("from"));
                if writer.is_some_and(|writer| known.is_phone(&writer)) {
                    known.record_seen(told);
                }
            }
            _ => {}
        }
    }

    /// Records that the phone is there, after a pairing. With `even_if_known` false: only if nothing is known, because
    /// the session is older than the file.
    pub fn mark_seen(&self, even_if_known: bool) {
        let mut known = self.lock();
        if even_if_known || known.kept.last_seen.is_none() {
            known.record_seen(None);
        }
    }

    /// Gives the step that is due and records it as done.
    pub fn take_step(&self, offline_after: std::time::Duration) -> Option<PhoneStep> {
        let mut known = self.lock();
        let now = known.now();
        let offline_after = i64::try_from(offline_after.as_secs()).unwrap_or(i64::MAX);
        let step = next_step(offline_after, known.kept, known.asked, now)?;
        match step {
            PhoneStep::Ask => known.asked = Some(now),
            PhoneStep::Away { .. } => known.kept.warned = Some(now),
            PhoneStep::Back { .. } => known.kept.warned = None,
        }
        Some(step)
    }

    /// Saves new knowledge, unless the last save was a moment ago; with `cannot_wait` at once.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, cannot_wait: bool) -> std::io::Result<()> {
        let mut known = self.lock();
        let now = machine_now();
        let is_due = cannot_wait || now - known.tried_at >= WRITE_EVERY || known.kept.warned != known.written.warned;
        if known.kept == known.written || !is_due {
            return Ok(());
        }
        known.tried_at = now;
        let bytes = serde_json::to_vec(&known.kept)?;
        let beside = known.file.with_extension("new");
        fs::write(&beside, bytes)?;
        fs::rename(&beside, &known.file)?;
        known.written = known.kept;
        Ok(())
    }

    /// Forgets everything after the keys and the file were wiped.
    pub fn clear(&self) {
        let mut known = self.lock();
        (known.kept, known.written, known.asked) = (PhoneRecord::default(), PhoneRecord::default(), None);
        known.own.clear();
    }

    #[must_use]
    pub fn last_seen(&self) -> Option<OffsetDateTime> {
        to_time(self.lock().kept.last_seen?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PhoneState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PhoneState {
    fn now(&self) -> i64 {
        machine_now() + self.skew
    }

    fn is_phone(&self, writer: &Jid) -> bool {
        writer.device == 0 && self.own.iter().any(|user| *user == writer.user.as_str())
    }

    /// The stanza tells when it was sent, because it may have waited. A time in the future is cut to now.
    fn record_seen(&mut self, at: Option<i64>) {
        let at = at.unwrap_or(i64::MAX).min(self.now());
        self.kept.last_seen = Some(self.kept.last_seen.map_or(at, |before| before.max(at)));
    }
}

fn machine_now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// None if the time is outside the calendar.
#[must_use]
pub fn to_time(unix_seconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(unix_seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: i64 = 12 * DAY;
    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_phone_is_asked_before_anybody_is_warned_and_both_once_a_day() {
        let ago = |seconds: i64| Some(NOW - seconds);
        let away = |days: i64, days_left| Some(PhoneStep::Away { last_seen: NOW - days * DAY, days_left });
        for (what, last_seen, warned, asked, expected) in [
            ("never seen", None, None, None, None),
            ("seen lately", ago(3600), None, None, None),
            ("quiet for a day", ago(DAY), None, None, Some(PhoneStep::Ask)),
            ("asked an hour ago", ago(2 * DAY), None, ago(3600), None),
            ("asked yesterday", ago(2 * DAY), None, ago(DAY), Some(PhoneStep::Ask)),
            ("away and not asked", ago(13 * DAY), None, None, Some(PhoneStep::Ask)),
            ("away and just asked", ago(13 * DAY), None, ago(19), None),
            ("away", ago(12 * DAY), None, ago(20), away(12, 2)),
            ("away for 13 days", ago(13 * DAY), None, ago(20), away(13, 1)),
            ("away for longer than it can be", ago(20 * DAY), None, ago(20), away(20, 0)),
            ("warned an hour ago", ago(13 * DAY), ago(3600), ago(3620), None),
            ("warned yesterday", ago(13 * DAY), ago(DAY), ago(20), away(13, 1)),
            ("back", ago(5), ago(DAY), ago(3620), Some(PhoneStep::Back { last_seen: NOW - 5 })),
        ] {
            assert_eq!(next_step(AFTER, PhoneRecord { last_seen, warned }, asked, NOW), expected, "{what}");
        }
    }

    #[test]
    fn what_is_known_survives_a_restart() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("phone.json");
        let phone = PhonePresence::open(&file);
        assert_eq!(phone.last_seen(), None);
        phone.mark_seen(false);
        let seen = phone.last_seen();
        phone.save(false)?;
        assert!(seen.is_some() && PhonePresence::open(&file).last_seen() == seen);
        fs::write(&file, "not JSON")?;
        assert_eq!(PhonePresence::open(&file).last_seen(), None);
        Ok(())
    }
}
