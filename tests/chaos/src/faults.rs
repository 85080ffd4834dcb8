//! What happens to which process, and when.

use crate::{ChaosPlan, receivers::Receivers};
use kurir_test_harness::{Process, Stack};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause before the next fault.
const PAUSES: std::ops::Range<u64> = 500..3_000;
/// How long a process is frozen or away, in milliseconds: some shorter and some longer than the gateway's lease and
/// `BROKER_WAIT`.
const AWAY: std::ops::Range<u64> = 100..14_000;
/// Longer than any drain.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

pub struct FaultPlan {
    random: StdRng,
    duration: Duration,
}

/// A part of Kurir that something happens to.
#[derive(Clone, Copy, Debug)]
enum Target {
    Gateway,
    Dispatcher(usize),
    Api,
    Nats,
    Receiver,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    Stop,
}

impl FaultPlan {
    pub fn new(plan: ChaosPlan) -> Self {
        Self { random: StdRng::seed_from_u64(plan.seed), duration: plan.duration }
    }

    /// Lets faults happen until the time is up; everything runs then. Gives the number of faults.
    pub async fn run(&mut self, stack: &mut Stack, receivers: &mut Receivers) -> u32 {
        let begun = Instant::now();
        let mut count = 0;
        while begun.elapsed() < self.duration {
            sleep(Duration::from_millis(self.random.random_range(PAUSES))).await;
            let (target, fault) = (self.target(stack), self.fault());
            let away = Duration::from_millis(self.random.random_range(AWAY));
            eprintln!("{:>6.1} s: {fault:?} {target:?} for {away:?}", begun.elapsed().as_secs_f32());
            apply(stack, receivers, target, fault, away).await;
            count += 1;
        }
        count
    }

    fn target(&mut self, stack: &Stack) -> Target {
        match self.random.random_range(0..10) {
            0..3 => Target::Gateway,
            3..6 => Target::Dispatcher(self.random.random_range(0..stack.dispatchers.len())),
            6..7 => Target::Api,
            7..9 => Target::Nats,
            _ => Target::Receiver,
        }
    }

    fn fault(&mut self) -> Fault {
        match self.random.random_range(0..10) {
            0..6 => Fault::Kill,
            6..8 => Fault::Freeze,
            _ => Fault::Stop,
        }
    }
}

async fn apply(stack: &mut Stack, receivers: &mut Receivers, target: Target, fault: Fault, away: Duration) {
    let process = match target {
        Target::Gateway => &mut stack.gateway,
        Target::Dispatcher(index) => &mut stack.dispatchers[index],
        Target::Api => &mut stack.api.process,
        Target::Nats => return apply_to_nats(stack, fault, away).await,
        Target::Receiver => {
            receivers.switch_last(false).await;
            sleep(away).await;
            return receivers.switch_last(true).await;
        }
    };
    apply_to_process(process, fault, away).await;
}

async fn apply_to_process(process: &mut Process, fault: Fault, away: Duration) {
    match fault {
        Fault::Freeze => {
            process.pause();
            sleep(away).await;
            process.resume();
        }
        Fault::Kill => {
            process.kill_9().await;
            sleep(away / 4).await;
            process.start_again();
        }
        Fault::Stop => {
            process.terminate(ENDS_WITHIN).await;
            sleep(away / 4).await;
            process.start_again();
        }
    }
}

async fn apply_to_nats(stack: &mut Stack, fault: Fault, away: Duration) {
    match fault {
        Fault::Freeze => {
            stack.nats.pause();
            sleep(away).await;
            stack.nats.resume();
        }
        Fault::Kill => {
            stack.nats.kill().await;
            sleep(away).await;
            stack.nats.start_again().await;
        }
        Fault::Stop => {
            stack.nats.stop().await;
            sleep(away).await;
            stack.nats.start_again().await;
        }
    }
}
