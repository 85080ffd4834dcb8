//! Which sessions a gateway runs when each gateway may run each: those of gateways that are gone, as evenly as can be.
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

/// Sessions of this gateway, as of the last look.
#[derive(Default)]
pub struct SessionPlacement {
    mine: BTreeSet<SessionId>,
    /// Sessions that other gateways hold.
    elsewhere: BTreeSet<SessionId>,
    moved: Option<Instant>,
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
        self.mine = wanted().map(|(id, _)| id).filter(|id| running.contains(*id)).cloned().collect();
        let others = holders.iter().filter(|(_, holder)| *holder != gateway && alive.contains_key(*holder));
        self.elsewhere = others.map(|(id, _)| id.clone()).collect();
        let reaches = |name: &str| alive.get(name).is_none_or(|state| !state.is_cut_off);
        let mut takers: BTreeSet<&str> = alive.keys().map(String::as_str).chain([gateway]).collect();
        if takers.iter().any(|name| reaches(name)) {
            takers.retain(|name| reaches(name));
        }
        if !takers.contains(gateway) {
            self.mine.retain(|id| records.get(id).is_some_and(|record| record.settings.proxy.is_some()));
            return;
        }
        let share = wanted().count().div_ceil(takers.len());
        for (id, _) in wanted() {
            if self.mine.len() < share && !self.elsewhere.contains(id) {
                self.mine.insert(id.clone());
            }
        }
        takers.remove(gateway);
        self.give_one_up(share, &takers, &holders);
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
    fn give_one_up(&mut self, share: usize, others: &BTreeSet<&str>, holders: &BTreeMap<SessionId, String>) {
        let held_by = |name: &str| holders.values().filter(|holder| *holder == name).count();
        let has_room = others.iter().any(|other| held_by(other) < share);
        let may_move = self.moved.is_none_or(|at| at.elapsed() >= MOVE_EVERY);
        if self.mine.len() > share && has_room && may_move {
            self.moved = Some(Instant::now());
            if let Some(last) = self.mine.pop_last() {
                tracing::info!(session.id = %last, "the session {last} moves to a gateway with fewer sessions");
            }
        }
    }
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
        let state = |name: &str| GatewayState { is_cut_off: name.starts_with('!') };
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
        let placed_on = |gateway: &str, states: &[&str]| {
            let mut placement = SessionPlacement::default();
            let running = held.iter().filter(|(_, holder)| *holder == gateway).map(|(id, _)| id.clone()).collect();
            placement.look(gateway, &records, (held.clone(), reaching(states)), running);
            placed(&placement, &records)
        };
        assert_eq!(placed_on("one", &["!one", "two"]), ["b"]);
        // Those that are not free yet stay where they are.
        assert_eq!(placed_on("two", &["!one", "two"]), ["c", "d"]);
        assert_eq!(placed_on("one", &["!one", "!two"]), ["a", "b"]);
        assert_eq!(placed_on("one", &["!one"]), ["a", "b", "c", "d"]);
        // One that joined and reaches nothing gets nothing.
        assert_eq!(placed_on("three", &["one", "two", "!three"]), [""; 0]);
        assert_eq!(placed_on("one", &["one", "two", "!three"]), ["a", "b"]);
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
