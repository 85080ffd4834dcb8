//! Finds a connection that is open and dead: nothing arrives on it any more.
//!
//! Two checks. First: nothing arrived for a while. The client's own pings cause traffic every half minute, unless the
//! client wrongly believes that it waits for something; so the watchdog sends a ping. Second: only pings are answered.
//! Then the watchdog asks a question that only WhatsApp's servers behind the connection can answer. [`judge_traffic`]
//! is pure.

use kurir_contract::event::NoticedBy;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use wacore::iq::{keepalive::KeepaliveSpec, prekeys::PreKeyCountSpec};
use whatsapp_rust::{Client, request::IqError};

/// WhatsApp answers within a second. The client itself gives its pings 20 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may be silent.
#[derive(Clone, Copy, Debug)]
pub struct SilenceLimits {
    /// Without any stanza.
    pub silence: Duration,
    /// With answers to pings only.
    pub deafness: Duration,
}

/// The times at which the client of a connection last received something. Clones share them.
#[derive(Clone)]
pub struct TrafficClock(Arc<Mutex<TrafficTimes>>);

#[derive(Clone, Copy, Debug)]
struct TrafficTimes {
    any: Instant,
    /// The time of the last stanza that was no answer to a question of the client.
    news: Instant,
}

impl TrafficClock {
    /// Starts with the current time, for a new connection.
    #[must_use]
    pub fn start() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(TrafficTimes { any: now, news: now })))
    }

    /// Records that a stanza arrived.
    pub fn record_stanza(&self, tag: &str) {
        let now = Instant::now();
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.any = now;
        if tag != "iq" {
            moments.news = now;
        }
    }

    fn times(&self) -> TrafficTimes {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A silence that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedSilence {
    pub lasted: Duration,
    pub noticed_by: NoticedBy,
}

/// What one check needs to know.
#[derive(Clone, Copy, Debug)]
struct TrafficSnapshot {
    now: Instant,
    moments: TrafficTimes,
    /// The time at which the connection was opened.
    open_since: Instant,
    logged_in: bool,
    /// The time at which a probe was last answered.
    answered: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WatchdogVerdict {
    Well,
    Ask(NoticedBy),
    Silent(DetectedSilence),
}

fn judge_traffic(limits: SilenceLimits, seen: TrafficSnapshot) -> WatchdogVerdict {
    let silent_for = seen.now - seen.moments.any.max(seen.open_since);
    let deaf_for = seen.now - seen.moments.news.max(seen.open_since).max(seen.answered);
    if !seen.logged_in {
        // Before the login there is nothing to ask: the answer to the login itself is missing.
        if silent_for >= limits.silence + ANSWERED_WITHIN {
            return WatchdogVerdict::Silent(DetectedSilence { lasted: silent_for, noticed_by: NoticedBy::Login });
        }
    } else if silent_for >= limits.silence {
        return WatchdogVerdict::Ask(NoticedBy::Ping);
    } else if deaf_for >= limits.deafness {
        return WatchdogVerdict::Ask(NoticedBy::Probe);
    }
    WatchdogVerdict::Well
}

/// Watches the connections, one after the other.
pub struct ConnectionWatchdog {
    limits: SilenceLimits,
    heard: TrafficClock,
    answered: Instant,
    open_since: Option<Instant>,
    /// The question that is being asked to the current connection; at most one.
    asked: JoinSet<(NoticedBy, bool)>,
}

impl ConnectionWatchdog {
    #[must_use]
    pub fn new(limits: SilenceLimits) -> Self {
        Self { limits, heard: TrafficClock::start(), answered: Instant::now(), open_since: None, asked: JoinSet::new() }
    }

    /// Starts over for a new connection. Its listener records into the returned clock.
    pub fn reset(&mut self) -> TrafficClock {
        self.asked.abort_all();
        *self = Self::new(self.limits);
        self.heard.clone()
    }

    /// Checks the connection and asks a question if there is doubt. Gives the silence, if one is certain by now.
    pub fn check(&mut self, client: &Arc<Client>) -> Option<DetectedSilence> {
        let now = Instant::now();
        let moments = self.heard.times();
        if let Some(answer) = self.asked.try_join_next() {
            match answer {
                Ok((noticed_by, false)) => {
                    let since = if noticed_by == NoticedBy::Probe { moments.news } else { moments.any };
                    return Some(DetectedSilence { lasted: now - since, noticed_by });
                }
                Ok((NoticedBy::Probe, true)) => self.answered = now,
                // The answer to a ping was recorded as a stanza; an aborted question says nothing.
                Ok((NoticedBy::Ping | NoticedBy::Login, true)) | Err(_) => {}
            }
        }
        if !client.is_connected() {
            self.open_since = None;
            self.asked.abort_all();
            return None;
        }
        let open_since = *self.open_since.get_or_insert(now);
        let seen =
            TrafficSnapshot { now, moments, open_since, logged_in: client.is_logged_in(), answered: self.answered };
        match judge_traffic(self.limits, seen) {
            WatchdogVerdict::Well => None,
            WatchdogVerdict::Silent(silence) => Some(silence),
            WatchdogVerdict::Ask(question) => {
                if self.asked.is_empty() {
                    self.asked.spawn(ask_whatsapp(Arc::clone(client), question));
                }
                None
            }
        }
    }
}

/// The question, and whether it was answered.
async fn ask_whatsapp(client: Arc<Client>, question: NoticedBy) -> (NoticedBy, bool) {
    let answer = async {
        match question {
            NoticedBy::Ping | NoticedBy::Login => {
                client.execute(KeepaliveSpec::with_timeout(ANSWERED_WITHIN)).await.err()
            }
            // WhatsApp Web asks this from time to time, too.
            NoticedBy::Probe => client.execute(PreKeyCountSpec::new()).await.err(),
        }
    };
    // An error from WhatsApp is an answer, too. A connection that is lost meanwhile is noticed elsewhere.
    let stays_open = matches!(timeout(ANSWERED_WITHIN, answer).await, Err(_) | Ok(Some(IqError::Timeout)));
    (question, !stays_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SilenceLimits =
        SilenceLimits { silence: Duration::from_secs(60), deafness: Duration::from_secs(900) };

    /// Each in seconds before now.
    fn seen(any: u64, news: u64, open: u64, answered: u64, logged_in: bool) -> TrafficSnapshot {
        let now = Instant::now() + Duration::from_secs(10_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        TrafficSnapshot {
            now,
            moments: TrafficTimes { any: ago(any), news: ago(news) },
            open_since: ago(open),
            logged_in,
            answered: ago(answered),
        }
    }

    #[test]
    fn a_doubt_asks_and_a_login_without_an_answer_is_certain() {
        let silent = |seconds| {
            WatchdogVerdict::Silent(DetectedSilence {
                lasted: Duration::from_secs(seconds),
                noticed_by: NoticedBy::Login,
            })
        };
        for (what, seen, expected) in [
            ("fresh news", seen(5, 5, 1000, 1000, true), WatchdogVerdict::Well),
            ("only pings, for a while", seen(20, 800, 1000, 1000, true), WatchdogVerdict::Well),
            ("nothing", seen(60, 60, 1000, 1000, true), WatchdogVerdict::Ask(NoticedBy::Ping)),
            ("nothing for long", seen(2000, 2000, 3000, 3000, true), WatchdogVerdict::Ask(NoticedBy::Ping)),
            ("only pings", seen(20, 900, 1000, 1000, true), WatchdogVerdict::Ask(NoticedBy::Probe)),
            ("only pings, asked lately", seen(20, 2000, 3000, 100, true), WatchdogVerdict::Well),
            ("a new connection", seen(2000, 2000, 10, 2000, true), WatchdogVerdict::Well),
            ("a login under way", seen(69, 69, 69, 1000, false), WatchdogVerdict::Well),
            ("a login without an answer", seen(70, 70, 70, 1000, false), silent(70)),
            ("a new connection that logs in", seen(2000, 2000, 10, 2000, false), WatchdogVerdict::Well),
        ] {
            assert_eq!(judge_traffic(LIMITS, seen), expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_no_news() {
        let heard = TrafficClock::start();
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        heard.record_stanza("iq");
        let TrafficTimes { any, news } = heard.times();
        assert_eq!((any - begun, news - begun), (Duration::from_secs(5), Duration::ZERO));
        heard.record_stanza("message");
        assert_eq!(heard.times().news - begun, Duration::from_secs(5));
    }
}
