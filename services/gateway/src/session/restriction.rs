//! WhatsApp's restriction of an account that wrote to too many strangers: its kind and its end. Pure.
//!
//! The session stays connected, and people with whom it has a chat still get its messages.

use kurir_contract::{
    clock,
    command::{self, WaitReason},
    session::RestrictionKind,
};
use std::time::Duration;
use time::OffsetDateTime;

/// A restriction that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRestriction {
    pub kind: RestrictionKind,
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
}

/// WhatsApp did not say when the restriction ends, and is asked again after this time. Most restrictions last a day,
/// and four questions a day cost nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);
/// A shorter restriction would cause one try after the other.
const SHORTEST: Duration = Duration::from_secs(1);

/// When a restriction ends. `ends`: the Unix seconds that WhatsApp gave, if it gave some.
#[must_use]
pub fn restriction_end(ends: Option<i64>, now: OffsetDateTime) -> OffsetDateTime {
    let told = ends.and_then(|ends| OffsetDateTime::from_unix_timestamp(ends).ok());
    told.map_or(now + LOOK_AGAIN, |until| until.max(now + SHORTEST))
}

/// The restriction after WhatsApp reported this one. `was`: the earlier one.
#[must_use]
pub fn next_restriction(
    was: Option<AccountRestriction>,
    kind: RestrictionKind,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> AccountRestriction {
    let since = was.filter(|was| was.kind == kind && was.until > now).map_or(now, |was| was.since);
    AccountRestriction { kind, since, until }
}

impl AccountRestriction {
    #[must_use]
    pub fn is_active(&self, now: OffsetDateTime) -> bool {
        self.until > now
    }

    #[must_use]
    pub fn wait_reason(&self) -> WaitReason {
        match self.kind {
            RestrictionKind::TimeLock => WaitReason::TimeLock,
            RestrictionKind::NewChatCap => WaitReason::NewChatCap,
        }
    }

    /// The same as the status shows it.
    #[must_use]
    pub fn to_info(&self) -> command::ActiveRestriction {
        command::ActiveRestriction { kind: self.kind, since: clock::iso(self.since), until: clock::iso(self.until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    #[test]
    fn an_end_that_is_unknown_or_over_is_looked_for_later() {
        for (ends, until) in [
            (Some(NOW.unix_timestamp() + 3600), datetime!(2026-11-24 13:00 UTC)),
            (Some(NOW.unix_timestamp() - 5), datetime!(2026-11-24 12:00:01 UTC)),
            (None, datetime!(2026-11-24 18:00 UTC)),
            (Some(i64::MAX), datetime!(2026-11-24 18:00 UTC)),
        ] {
            assert_eq!(restriction_end(ends, NOW), until, "{ends:?}");
        }
    }

    #[test]
    fn a_restriction_that_goes_on_has_begun_when_it_began() {
        let (later, tomorrow) = (NOW + Duration::from_secs(60), NOW + Duration::from_secs(86_400));
        let first = next_restriction(None, RestrictionKind::TimeLock, tomorrow, NOW);
        assert_eq!((first.since, first.until, first.is_active(later)), (NOW, tomorrow, true));
        assert_eq!(next_restriction(Some(first), RestrictionKind::TimeLock, tomorrow, later).since, NOW);
        assert_eq!(next_restriction(Some(first), RestrictionKind::NewChatCap, tomorrow, later).since, later);
        let over = tomorrow + Duration::from_secs(1);
        assert_eq!(next_restriction(Some(first), RestrictionKind::TimeLock, over, tomorrow).since, tomorrow);
        assert!(!first.is_active(tomorrow));
    }
}
