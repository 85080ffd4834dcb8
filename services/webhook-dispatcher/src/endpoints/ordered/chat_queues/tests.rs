//! Simulates dispatchers that come, crash and wake late, a NATS that loses acknowledgements, and a receiver that fails
//! at random. The order of first arrivals holds, and nothing is lost.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

const WINDOW: usize = 6;
const EVENTS: u64 = 24;
const CHATS: u64 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A dispatcher takes the next event.
    Take,
    /// NATS hands out an unacknowledged event again.
    Copy(u64),
    Begin,
    /// One of the dispatcher's attempts ends.
    Deliver(usize),
    Fail(usize),
    GiveUp(usize),
    /// An attempt is not made.
    Leave(usize),
    Park,
    /// RETRIES has stored an event; the dispatcher learns of it later.
    Store(usize),
    Stored(usize),
    Purge(usize),
    Acknowledge(usize),
    Wait(u8),
    Look,
    /// Another dispatcher takes over; the old one is dead, or goes on without being served.
    TakeOver {
        haunts: bool,
    },
    /// The next step is taken by a dispatcher that has lost its hold.
    Haunt,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        6 => Just(Step::Take),
        1 => (0..EVENTS).prop_map(Step::Copy),
        8 => Just(Step::Begin),
        5 => (0_usize..4).prop_map(Step::Deliver),
        4 => (0_usize..4).prop_map(Step::Fail),
        1 => (0_usize..4).prop_map(Step::GiveUp),
        1 => (0_usize..4).prop_map(Step::Leave),
        6 => Just(Step::Park),
        6 => (0_usize..4).prop_map(Step::Store),
        6 => (0_usize..4).prop_map(Step::Stored),
        4 => (0_usize..4).prop_map(Step::Purge),
        4 => (0_usize..4).prop_map(Step::Acknowledge),
        4 => (0_u8..5).prop_map(Step::Wait),
        1 => Just(Step::Look),
        1 => any::<bool>().prop_map(|haunts| Step::TakeOver { haunts }),
        4 => Just(Step::Haunt),
    ];
    prop::collection::vec(one, 0..400)
}

/// What lasts: EVENTS, RETRIES, and what the receiver has seen.
struct Simulation {
    now: OffsetDateTime,
    chats: Vec<ChatToken>,
    acknowledged: HashSet<u64>,
    retries: BTreeMap<u64, (u32, OffsetDateTime)>,
    arrived: HashSet<u64>,
    accepted: HashSet<u64>,
}

/// One dispatcher's run.
struct DispatcherRun {
    chats: ChatQueues,
    next: u64,
    in_delivery: Vec<(u64, u32)>,
    storing: Vec<(ParkRequest, bool)>,
    purging: Vec<u64>,
    acknowledging: Vec<u64>,
}

impl Simulation {
    fn new(chats: Vec<u64>) -> Self {
        Self {
            now: OffsetDateTime::UNIX_EPOCH,
            chats: chats.into_iter().map(ChatToken::from).collect(),
            acknowledged: HashSet::new(),
            retries: BTreeMap::new(),
            arrived: HashSet::new(),
            accepted: HashSet::new(),
        }
    }

    /// Everything above the floor comes again, acknowledged or not.
    fn take_over(&self) -> DispatcherRun {
        let next = (0..EVENTS).find(|sequence| !self.acknowledged.contains(sequence)).unwrap_or(EVENTS);
        let mut chats = ChatQueues::new(WINDOW);
        for sequence in self.retries.keys() {
            chats.load_parked(*sequence, self.chats[*sequence as usize], self.now);
        }
        DispatcherRun { chats, next, in_delivery: vec![], storing: vec![], purging: vec![], acknowledging: vec![] }
    }

    fn arrives(&mut self, sequence: u64) {
        let chat = self.chats[sequence as usize];
        if self.arrived.insert(sequence) {
            let before = (0..sequence).filter(|before| self.chats[*before as usize] == chat);
            for before in before {
                assert!(self.accepted.contains(&before), "{sequence} arrives, {before} is not settled");
            }
        }
    }
}

impl DispatcherRun {
    fn step(&mut self, simulation: &mut Simulation, step: Step, serves: bool) {
        fn one<T>(list: &mut Vec<T>, index: usize) -> Option<T> {
            (!list.is_empty()).then(|| list.swap_remove(index % list.len()))
        }
        match step {
            Step::Take if serves && self.next < EVENTS && self.chats.room() > 0 => {
                let sequence = self.next;
                self.next += 1;
                self.record_arrival(simulation, sequence);
            }
            Step::Copy(sequence) if serves && sequence < self.next && !simulation.acknowledged.contains(&sequence) => {
                // An event that is being acknowledged is known, as `RecentAcks` knows it.
                if !self.acknowledging.contains(&sequence) {
                    self.record_arrival(simulation, sequence);
                }
            }
            Step::Begin => {
                let Some(turn) = self.chats.next_turn(simulation.now) else { return };
                let busy = |(other, _): &(u64, u32)| simulation.chats[*other as usize] == turn.chat;
                assert!(!self.in_delivery.iter().any(busy), "two of one chat at once");
                if !turn.parked {
                    simulation.arrives(turn.sequence);
                    return self.in_delivery.push((turn.sequence, turn.attempt.unwrap()));
                }
                match simulation.retries.get(&turn.sequence).copied() {
                    // Another dispatcher has settled it.
                    None => _ = self.chats.settle(turn.sequence),
                    Some((attempt, due)) if due > simulation.now => {
                        self.chats.defer(turn.sequence, Some(attempt), due);
                    }
                    Some((attempt, _)) => {
                        simulation.arrives(turn.sequence);
                        self.in_delivery.push((turn.sequence, attempt));
                    }
                }
            }
            Step::Deliver(index) | Step::GiveUp(index) => {
                let Some((sequence, _)) = one(&mut self.in_delivery, index) else { return };
                simulation.accepted.insert(sequence);
                match self.chats.settle(sequence) {
                    SettleAction::Acknowledge => self.acknowledging.push(sequence),
                    SettleAction::Purge => self.purging.push(sequence),
                    SettleAction::Later => {}
                    SettleAction::Unknown => panic!("it was in delivery"),
                }
            }
            Step::Fail(index) => {
                let Some((sequence, attempt)) = one(&mut self.in_delivery, index) else { return };
                self.chats.reschedule(sequence, attempt + 1, simulation.now + Duration::seconds(2));
            }
            Step::Leave(index) => {
                let Some((sequence, attempt)) = one(&mut self.in_delivery, index) else { return };
                self.chats.defer(sequence, Some(attempt), simulation.now + Duration::seconds(1));
            }
            Step::Park => {
                if let Some(park) = self.chats.next_park() {
                    assert!(self.storing.iter().all(|(other, _)| other.chat != park.chat), "two stores of one chat");
                    self.storing.push((park, false));
                }
            }
            Step::Store(index) => {
                let count = self.storing.len().max(1);
                if let Some((park, stored)) = self.storing.get_mut(index % count) {
                    *stored = true;
                    simulation.retries.insert(park.sequence, (park.attempt, park.due));
                }
            }
            Step::Stored(index) => {
                let count = self.storing.len().max(1);
                if !self.storing.get(index % count).is_some_and(|(_, stored)| *stored) {
                    return;
                }
                let (park, _) = self.storing.swap_remove(index % count);
                let then = self.chats.finish_park(park.sequence);
                if then.acknowledge {
                    self.acknowledging.push(park.sequence);
                }
                if then.purge {
                    self.purging.push(park.sequence);
                }
            }
            Step::Purge(index) => {
                if let Some(sequence) = one(&mut self.purging, index) {
                    simulation.retries.remove(&sequence);
                }
            }
            Step::Acknowledge(index) => {
                if let Some(sequence) = one(&mut self.acknowledging, index) {
                    simulation.acknowledged.insert(sequence);
                }
            }
            Step::Wait(seconds) => simulation.now += Duration::seconds(i64::from(seconds)),
            Step::Look => self.chats.park_slow_chats(simulation.now),
            Step::Take | Step::Copy(_) | Step::TakeOver { .. } | Step::Haunt => {}
        }
        assert!(self.chats.taken.len() <= WINDOW + 1, "too many come again after a crash");
    }

    fn record_arrival(&mut self, simulation: &Simulation, sequence: u64) {
        match self.chats.add_arrival(sequence, simulation.chats[sequence as usize], simulation.now) {
            ArrivalResult::Taken | ArrivalResult::Copy => {}
            ArrivalResult::Parked => {
                assert!(simulation.retries.contains_key(&sequence) || simulation.accepted.contains(&sequence));
                self.acknowledging.push(sequence);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.chats.chat_of.is_empty() && self.next == EVENTS && self.purging.is_empty()
    }

    /// Delivers whatever is left, with a receiver that accepts everything.
    fn finish(&mut self, simulation: &mut Simulation) {
        for _ in 0..40 * EVENTS {
            if simulation.acknowledged.len() as u64 == EVENTS && simulation.retries.is_empty() && self.is_idle() {
                return;
            }
            for step in [Step::Take, Step::Begin, Step::Deliver(0), Step::Park, Step::Store(0), Step::Stored(0)] {
                self.step(simulation, step, true);
            }
            for step in [Step::Purge(0), Step::Acknowledge(0), Step::Wait(1), Step::Look] {
                self.step(simulation, step, true);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn first_arrivals_keep_their_order_and_nothing_is_lost(
        chats in prop::collection::vec(0..CHATS, EVENTS as usize), steps in steps()
    ) {
        let mut simulation = Simulation::new(chats);
        let mut holder = simulation.take_over();
        let mut ghost: Option<DispatcherRun> = None;
        let mut haunts_next = false;
        for step in steps {
            match (step, &mut ghost) {
                (Step::TakeOver { haunts }, _) => {
                    let before = std::mem::replace(&mut holder, simulation.take_over());
                    ghost = haunts.then_some(before);
                }
                (Step::Haunt, _) => haunts_next = true,
                (step, Some(ghost)) if std::mem::take(&mut haunts_next) => ghost.step(&mut simulation, step, false),
                (step, _) => holder.step(&mut simulation, step, true),
            }
        }
        holder.finish(&mut simulation);
        prop_assert_eq!(simulation.accepted.len() as u64, EVENTS, "all arrive");
        prop_assert_eq!(simulation.acknowledged.len() as u64, EVENTS, "all are acknowledged");
        prop_assert_eq!((holder.chats.stored_count(), holder.chats.room()), (0, WINDOW));
        // What a dispatcher parks after it has lost its hold waits for the next one.
        simulation.take_over().finish(&mut simulation);
        prop_assert!(simulation.retries.is_empty(), "{:?}", simulation.retries);
    }
}

#[test]
fn a_chat_that_fails_is_parked_and_the_others_go_on() {
    let (bad, good) = (ChatToken::from(1), ChatToken::from(2));
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut chats = ChatQueues::new(WINDOW);
    for (sequence, chat) in [(1, bad), (2, bad), (3, good), (4, bad)] {
        assert_eq!(chats.add_arrival(sequence, chat, now), ArrivalResult::Taken);
    }
    let begun: Vec<u64> = std::iter::from_fn(|| chats.next_turn(now)).map(|turn| turn.sequence).collect();
    assert_eq!(begun, [1, 3]);
    assert_eq!(chats.settle(3), SettleAction::Acknowledge);
    let due = now + Duration::seconds(2);
    chats.reschedule(1, 2, due);
    for (sequence, attempt) in [(1, 2), (2, 1), (4, 1)] {
        let park = chats.next_park().unwrap();
        assert_eq!((park.sequence, park.attempt), (sequence, attempt));
        assert_eq!(chats.next_park(), None, "the next when this is stored");
        assert_eq!(chats.finish_park(sequence), ParkFollowUp { acknowledge: true, purge: false, again: false });
    }
    assert_eq!((chats.room(), chats.stored_count()), (WINDOW, 3));
    assert_eq!((chats.next_turn(now), chats.next_due()), (None, Some(due)));
    let turn = chats.next_turn(due).unwrap();
    assert_eq!((turn.sequence, turn.attempt, turn.parked), (1, Some(2), true));
    assert_eq!(chats.settle(1), SettleAction::Purge);
    assert_eq!(chats.next_turn(due).map(|turn| turn.sequence), Some(2), "the next at once");
}

#[test]
fn a_chat_that_is_slow_is_parked_when_it_keeps_others_out() {
    let slow = ChatToken::from(1);
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut chats = ChatQueues::new(3);
    for sequence in 1..=3 {
        chats.add_arrival(sequence, slow, now);
    }
    assert_eq!(chats.next_turn(now).map(|turn| turn.sequence), Some(1));
    chats.park_slow_chats(now + SLOW_AFTER);
    assert_eq!(chats.next_park(), None);
    chats.park_slow_chats(now + SLOW_AFTER + Duration::MILLISECOND);
    for sequence in 1..=3 {
        assert_eq!(chats.next_park().map(|park| park.sequence), Some(sequence));
        chats.finish_park(sequence);
    }
    assert_eq!(chats.room(), 3);
    assert_eq!(chats.settle(1), SettleAction::Purge, "its attempt went on meanwhile");
}

#[test]
fn what_comes_behind_something_parked_is_parked_too_and_the_chat_goes_on_from_memory_when_that_is_done() {
    let (chat, now) = (ChatToken::from(1), OffsetDateTime::UNIX_EPOCH);
    let mut chats = ChatQueues::new(WINDOW);
    chats.load_parked(1, chat, now);
    chats.add_arrival(2, chat, now);
    assert_eq!(chats.next_park().map(|park| park.sequence), Some(2));
    chats.finish_park(2);
    for sequence in [1, 2] {
        assert_eq!(chats.next_turn(now).map(|turn| (turn.sequence, turn.parked)), Some((sequence, true)));
        assert_eq!(chats.settle(sequence), SettleAction::Purge);
    }
    chats.add_arrival(3, chat, now);
    assert_eq!(chats.next_park(), None);
    assert_eq!(chats.next_turn(now).map(|turn| turn.parked), Some(false));
}
