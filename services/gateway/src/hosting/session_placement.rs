//! Which sessions a gateway runs when each gateway may run each: those of gateways that are gone, as evenly as can be. A
//! gateway that takes fewer than its share (`GATEWAY_MAX_SESSIONS`) leaves the rest to the others.
//!
//! All gateways see the same records and decide alike, each for itself. What two of them take at the same moment goes to the
//! one whose claim NATS takes first. A gateway that is cut off from WhatsApp gives all of its sessions up, except those with a
//! proxy of their own, if another gateway is not cut off.

use super::gateway_lease::GatewayState;
use kurir_contract::{
    session::SessionId,
    session_record::{DesiredState, SessionRecord},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// Sessions move to a gateway that joined one after the other, so that few are away at the same time.
const MOVE_EVERY: Duration = Duration::from_secs(2);
/// When all gateways are cut off, or all are back, one of them notices first.
const CUT_OFF_FOR: Duration = Duration::from_secs(2);

/// Sessions of this gateway, as of the last look.
#[derive(Default)]
pub struct SessionPlacement {
    mine: BTreeSet<SessionId>,
    /// Sessions that other gateways hold.
    elsewhere: BTreeSet<SessionId>,
    moved: Option<Instant>,
    /// Since when the gateway is cut off and another one is not.
    cut_off_since: Option<Instant>,
    has_given_up: bool,
    /// How many sessions no gateway has room for.
    homeless: usize,
}

impl SessionPlacement {
    /// Decides again. `holders` names the gateway of each session, `alive` those whose lease has not vanished, and `running`
    /// what this gateway runs.
    pub fn look(
        &mut self,
        gateway: &str,
        records: &BTreeMap<SessionId, SessionRecord>,
        (holders, alive): (BTreeMap<SessionId, String>, BTreeMap<String, GatewayState>),
        running: BTreeSet<SessionId>,
    ) {
        let wanted = || records.iter().filter(|(_, record)| record.desired == DesiredState::Running);
        let held = holders.iter().filter(|(_, holder)| *holder != gateway && alive.contains_key(*holder));
        self.elsewhere = held.map(|(id, _)| id.clone()).collect();
        let is_cut_off = alive.get(gateway).is_some_and(|state| state.is_cut_off);
        let others = || alive.iter().filter(|(name, _)| *name != gateway);
        let others_reach = others().any(|(_, state)| !state.is_cut_off);
        let takers: BTreeMap<&str, usize> = others()
            .filter(|(_, state)| !state.is_cut_off || (is_cut_off && !others_reach))
            .map(|(name, state)| (name.as_str(), room_of(*state)))
            .collect();
        let gives_up = self.gives_up(is_cut_off && others_reach);
        let keeps = |record: &SessionRecord| !gives_up || record.settings.proxy.is_some();
        let own_room = alive.get(gateway).map_or(usize::MAX, |state| room_of(*state));
        let rooms: Vec<usize> = takers.values().copied().chain([own_room]).collect();
        let even_share = even_share(wanted().count(), &rooms);
        // Sessions with a proxy stay at a gateway that is cut off, so then the sum says little.
        if alive.values().all(|state| !state.is_cut_off) {
            self.report_homeless(wanted().count(), &rooms);
        }
        let share = even_share.min(own_room);
        let mine = wanted().filter(|(id, record)| running.contains(*id) && keeps(record));
        self.mine = mine.map(|(id, _)| id.clone()).collect();
        for (id, _) in wanted().filter(|(_, record)| keeps(record)) {
            if self.mine.len() < share && !self.elsewhere.contains(id) {
                self.mine.insert(id.clone());
            }
        }
        if !gives_up {
            let has_less = |(name, room): (&&str, &usize)| {
                holders.values().filter(|holder| holder == name).count() < even_share.min(*room)
            };
            self.give_one_up(share, takers.iter().any(has_less));
        }
    }

    /// Whether the gateway has been cut off for long enough while another one is not.
    fn gives_up(&mut self, is_alone: bool) -> bool {
        let Some(since) = is_alone.then(|| *self.cut_off_since.get_or_insert_with(Instant::now)) else {
            (self.cut_off_since, self.has_given_up) = (None, false);
            return false;
        };
        let gives_up = since.elapsed() >= CUT_OFF_FOR;
        if gives_up && !std::mem::replace(&mut self.has_given_up, true) {
            tracing::warn!(
                "the sessions of this gateway go to gateways that reach WhatsApp, except those with a proxy"
            );
        }
        gives_up
    }

    /// Whether this gateway shall run the session.
    pub fn may_run(&self, session: &SessionId) -> bool {
        self.mine.contains(session)
    }

    /// Whether another gateway holds the session.
    pub fn is_held_elsewhere(&self, session: &SessionId) -> bool {
        self.elsewhere.contains(session)
    }

    /// Gives a session up if this gateway has more than its share and one of the others has less.
    fn give_one_up(&mut self, share: usize, another_has_less: bool) {
        let may_move = self.moved.is_none_or(|at| at.elapsed() >= MOVE_EVERY);
        if self.mine.len() > share && another_has_less && may_move {
            self.moved = Some(Instant::now());
            if let Some(last) = self.mine.pop_last() {
                tracing::info!(session.id = %last, "the session {last} moves to a gateway with fewer sessions");
            }
        }
    }

    /// Says that sessions run nowhere because every gateway is full, and that they run again.
    fn report_homeless(&mut self, sessions: usize, rooms: &[usize]) {
        let homeless = sessions.saturating_sub(rooms.iter().fold(0, |sum, room| sum.saturating_add(*room)));
        match homeless {
            _ if homeless == self.homeless => {}
            0 => tracing::info!("there is room for all sessions again"),
            _ => tracing::warn!(
                "{homeless} sessions run nowhere: every gateway that can take them has as many as its GATEWAY_MAX_SESSIONS allows"
            ),
        }
        self.homeless = homeless;
    }
}

fn room_of(state: GatewayState) -> usize {
    state.max_sessions.unwrap_or(usize::MAX)
}

/// The fewest sessions that each gateway has to take, as far as it has room, so that all have a place.
fn even_share(sessions: usize, rooms: &[usize]) -> usize {
    let mut left = sessions;
    let mut rooms = rooms.to_vec();
    rooms.sort_unstable();
    for (index, room) in rooms.iter().enumerate() {
        let share = left.div_ceil(rooms.len() - index);
        if share <= *room {
            return share;
        }
        left -= room;
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SessionId {
        name.parse().expect("an id")
    }

    fn records(names: &[&str]) -> BTreeMap<SessionId, SessionRecord> {
        names.iter().map(|name| (id(name), SessionRecord::default())).collect()
    }

    fn holders(of: &[(&str, &str)]) -> BTreeMap<SessionId, String> {
        of.iter().map(|(session, gateway)| (id(session), (*gateway).to_owned())).collect()
    }

    fn alive(names: &[&str]) -> BTreeMap<String, GatewayState> {
        names.iter().map(|name| ((*name).to_owned(), GatewayState::default())).collect()
    }

    /// The names that begin with `!` are cut off.
    fn reaching(names: &[&str]) -> BTreeMap<String, GatewayState> {
        let state = |name: &str| GatewayState { is_cut_off: name.starts_with('!'), max_sessions: None };
        names.iter().map(|name| (name.trim_start_matches('!').to_owned(), state(name))).collect()
    }

    fn placed(placement: &SessionPlacement, records: &BTreeMap<SessionId, SessionRecord>) -> Vec<String> {
        records.keys().filter(|id| placement.may_run(id)).map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_of_gateways_that_are_gone_are_taken() {
        let records = records(&["a", "b", "c", "d"]);
        let mut placement = SessionPlacement::default();
        let held = holders(&[("a", "one"), ("b", "two"), ("c", "two"), ("d", "one")]);
        placement.look("one", &records, (held.clone(), alive(&["one", "two"])), [id("a"), id("d")].into());
        assert_eq!(placed(&placement, &records), ["a", "d"]);
        placement.look("one", &records, (held, alive(&["one"])), [id("a"), id("d")].into());
        assert_eq!(placed(&placement, &records), ["a", "b", "c", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_takes_no_more_than_its_share_and_gives_the_rest_up_one_by_one() {
        let records = records(&["a", "b", "c", "d"]);
        let all: BTreeSet<_> = records.keys().cloned().collect();
        let mut placement = SessionPlacement::default();
        placement.look("two", &records, (BTreeMap::new(), alive(&["one", "two"])), BTreeSet::new());
        assert_eq!(placed(&placement, &records).len(), 2);

        let mut placement = SessionPlacement::default();
        let held = holders(&[("a", "one"), ("b", "one"), ("c", "one"), ("d", "one")]);
        let look = |placement: &mut SessionPlacement, running: BTreeSet<SessionId>| {
            placement.look("one", &records, (held.clone(), alive(&["one", "two"])), running);
            placed(placement, &records)
        };
        assert_eq!(look(&mut placement, all.clone()), ["a", "b", "c"]);
        assert_eq!(look(&mut placement, all.clone()).len(), 4, "it waits before it gives up the next one");
        tokio::time::advance(MOVE_EVERY).await;
        assert_eq!(look(&mut placement, [id("a"), id("b"), id("c")].into()), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_cut_off_keeps_what_has_a_proxy_if_another_one_takes_the_rest() {
        let mut records = records(&["a", "b", "c", "d"]);
        let proxy = "socks5://proxy:1080".parse().expect("a proxy");
        records.entry(id("b")).or_default().settings.proxy = Some(proxy);
        let held = holders(&[("a", "one"), ("b", "one"), ("c", "two"), ("d", "two")]);
        for (gateway, states, placed_then) in [
            ("one", &["!one", "two"][..], &["b"][..]),
            // Those that are not free yet stay where they are.
            ("two", &["!one", "two"], &["c", "d"]),
            ("one", &["!one", "!two"], &["a", "b"]),
            ("one", &["!one"], &["a", "b", "c", "d"]),
            // One that joined and reaches nothing gets nothing.
            ("three", &["one", "two", "!three"], &[]),
            ("one", &["one", "two", "!three"], &["a", "b"]),
        ] {
            let mut placement = SessionPlacement::default();
            let of = || held.iter().filter(|(_, holder)| *holder == gateway).map(|(id, _)| id.clone()).collect();
            let running: BTreeSet<_> = of();
            placement.look(gateway, &records, (held.clone(), reaching(states)), running.clone());
            let at_once = placed(&placement, &records);
            assert!(
                at_once.len() >= running.len(),
                "the others may be about to notice the same: {gateway} of {states:?}"
            );
            tokio::time::advance(CUT_OFF_FOR).await;
            placement.look(gateway, &records, (held.clone(), reaching(states)), running);
            assert_eq!(placed(&placement, &records), placed_then, "{gateway} of {states:?}");
        }
    }

    #[test]
    fn shares_are_even_as_far_as_there_is_room() {
        const ANY: usize = usize::MAX;
        for (sessions, rooms, expected) in [
            (0, &[ANY][..], 0),
            (5, &[ANY], 5),
            (5, &[ANY, ANY], 3),
            (5, &[2, ANY], 3),
            (5, &[1, ANY], 4),
            (9, &[1, 3, ANY], 5),
            (9, &[1, ANY, 2, ANY], 3),
            (4, &[0, 4], 4),
            // Not all have a place.
            (9, &[1, 2], 9),
        ] {
            assert_eq!(even_share(sessions, rooms), expected, "{sessions} sessions, rooms {rooms:?}");
            let places = rooms.iter().fold(0_usize, |sum, room| sum.saturating_add(expected.min(*room)));
            assert!(
                places >= sessions || places == rooms.iter().sum::<usize>(),
                "{sessions} sessions, rooms {rooms:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_gateway_has_no_room_for_another_one_takes() {
        let records = records(&["a", "b", "c", "d", "e"]);
        let states = |of: &[(&str, Option<usize>)]| -> BTreeMap<String, GatewayState> {
            let state = |max_sessions| GatewayState { max_sessions, ..GatewayState::default() };
            of.iter().map(|(name, most)| ((*name).to_owned(), state(*most))).collect()
        };
        for (small, large) in [(Some(1), None), (Some(1), Some(4)), (Some(2), Some(10)), (Some(0), Some(5))] {
            let both = states(&[("large", large), ("small", small)]);
            let [mut first, mut second] = [SessionPlacement::default(), SessionPlacement::default()];
            first.look("small", &records, (BTreeMap::new(), both.clone()), BTreeSet::new());
            let taken: Vec<_> = placed(&first, &records);
            assert_eq!(Some(taken.len()), small);
            let held: Vec<(&str, &str)> = taken.iter().map(|session| (session.as_str(), "small")).collect();
            second.look("large", &records, (holders(&held), both), BTreeSet::new());
            assert_eq!(placed(&second, &records).len(), 5 - taken.len(), "{small:?} {large:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stopped_counts_for_nobody() {
        let mut records = records(&["a", "b"]);
        records.entry(id("b")).or_default().desired = DesiredState::Stopped;
        let mut placement = SessionPlacement::default();
        placement.look("one", &records, (BTreeMap::new(), alive(&[])), BTreeSet::new());
        assert_eq!(placed(&placement, &records), ["a"]);
    }
}
