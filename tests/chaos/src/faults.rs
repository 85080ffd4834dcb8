//! What happens to which part, and when.

use crate::{ChaosPlan, receivers::Receivers};
use async_nats::jetstream::{Context, stream::Config};
use kurir_test_harness::{Nats, NetworkCable, Process, Stack, faketime};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause before the next fault.
const PAUSES: std::ops::Range<u64> = 300..2_000;
/// How long a part is frozen or away, in milliseconds: some shorter and some longer than the gateway's lease and
/// `BROKER_WAIT`.
const AWAY: std::ops::Range<u64> = 100..14_000;
/// Longer than any drain.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How far clocks jump, in seconds.
const CLOCKS: [&str; 4] = ["+90", "-90", "+3600", "-3600"];
/// Slower than any network that people use, and fast enough that connections live.
const SLOW: Duration = Duration::from_millis(60);

pub struct FaultPlan {
    random: StdRng,
    duration: Duration,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultCounts {
    /// `kill -9` of a service or of NATS.
    pub kills: u32,
    pub others: u32,
}

/// A service of Kurir.
#[derive(Clone, Copy, Debug)]
enum Service {
    Gateway(usize),
    Dispatcher(usize),
    Api,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(Service),
    Freeze(Service),
    Stop(Service),
    /// The connection to NATS ends, and no other is made.
    CutOff(Service),
    /// The connection to NATS stays and passes nothing.
    Silence(Service),
    Slow(Service),
    ClockJump(Service, &'static str),
    /// One node of NATS, by its number.
    KillNats(usize),
    FreezeNats(usize),
    StopNats(usize),
    /// All nodes of a cluster at once.
    KillCluster,
    /// EVENTS takes nothing more, as on a full disk.
    StorageFull,
    /// The consumers of retries vanish.
    ConsumersDeleted,
    ReceiverAway,
}

impl FaultPlan {
    pub fn new(plan: ChaosPlan) -> Self {
        Self { random: StdRng::seed_from_u64(plan.seed), duration: plan.duration }
    }

    /// Lets faults happen until the time is up; everything runs then.
    pub async fn run(&mut self, stack: &mut Stack, receivers: &mut Receivers) -> FaultCounts {
        let begun = Instant::now();
        let mut counts = FaultCounts::default();
        while begun.elapsed() < self.duration {
            sleep(Duration::from_millis(self.random.random_range(PAUSES))).await;
            let fault = self.next_fault(stack);
            let away = Duration::from_millis(self.random.random_range(AWAY));
            eprintln!("{:>6.1} s: {fault:?} for {away:?}", begun.elapsed().as_secs_f32());
            apply(stack, receivers, fault, away).await;
            match fault {
                Fault::Kill(_) | Fault::KillNats(_) => counts.kills += 1,
                Fault::KillCluster => counts.kills += 1 + u32::try_from(stack.more_nodes.len()).unwrap_or(0),
                _ => counts.others += 1,
            }
        }
        counts
    }

    fn next_fault(&mut self, stack: &Stack) -> Fault {
        let service = match self.random.random_range(0..7) {
            0..3 => Service::Gateway(self.any_of(1 + stack.more_gateways.len())),
            3..6 => Service::Dispatcher(self.any_of(stack.dispatchers.len())),
            _ => Service::Api,
        };
        let node = self.any_of(1 + stack.more_nodes.len());
        match self.random.random_range(0..24) {
            0..9 => Fault::Kill(service),
            9..11 => Fault::Freeze(service),
            11 => Fault::Stop(service),
            12 => Fault::CutOff(service),
            13 => Fault::Silence(service),
            14 => Fault::Slow(service),
            15 => Fault::ClockJump(service, CLOCKS.choose(&mut self.random).copied().unwrap_or(CLOCKS[0])),
            16 if !stack.more_nodes.is_empty() => Fault::KillCluster,
            16..19 => Fault::KillNats(node),
            19 => Fault::FreezeNats(node),
            20 => Fault::StopNats(node),
            21 => Fault::StorageFull,
            22 => Fault::ConsumersDeleted,
            _ => Fault::ReceiverAway,
        }
    }

    /// The number of one of so many. Where there is only one, nothing is drawn, so that a seed keeps its meaning.
    fn any_of(&mut self, count: usize) -> usize {
        if count > 1 { self.random.random_range(0..count) } else { 0 }
    }
}

fn process_of(stack: &mut Stack, service: Service) -> &mut Process {
    match service {
        Service::Gateway(0) => &mut stack.gateway,
        Service::Gateway(index) => &mut stack.more_gateways[index - 1],
        Service::Dispatcher(index) => &mut stack.dispatchers[index],
        Service::Api => &mut stack.api.process,
    }
}

fn cables_of(stack: &mut Stack, service: Service) -> &mut [NetworkCable] {
    let gateways = 1 + stack.more_gateways.len();
    let index = match service {
        Service::Gateway(index) => index,
        Service::Dispatcher(index) => gateways + index,
        Service::Api => gateways + stack.dispatchers.len(),
    };
    &mut stack.cables[index]
}

fn node_of(stack: &mut Stack, index: usize) -> &mut Nats {
    if index == 0 { &mut stack.nats } else { &mut stack.more_nodes[index - 1] }
}

async fn apply(stack: &mut Stack, receivers: &mut Receivers, fault: Fault, away: Duration) {
    match fault {
        Fault::Kill(service) => {
            let process = process_of(stack, service);
            process.kill_9().await;
            sleep(away / 4).await;
            process.start_again();
        }
        Fault::Freeze(service) => {
            let process = process_of(stack, service);
            process.pause();
            sleep(away).await;
            process.resume();
        }
        Fault::Stop(service) => {
            let process = process_of(stack, service);
            process.terminate(ENDS_WITHIN).await;
            sleep(away / 4).await;
            process.start_again();
        }
        Fault::ClockJump(service, seconds) => jump(process_of(stack, service), seconds, away).await,
        Fault::CutOff(service) | Fault::Silence(service) | Fault::Slow(service) => {
            for cable in cables_of(stack, service) {
                match fault {
                    Fault::CutOff(_) => cable.cut().await,
                    Fault::Silence(_) => cable.freeze(),
                    _ => cable.slow(SLOW),
                }
            }
            sleep(away).await;
            cables_of(stack, service).iter_mut().for_each(NetworkCable::mend);
        }
        Fault::KillNats(node) => {
            let node = node_of(stack, node);
            node.kill().await;
            sleep(away).await;
            node.start_again().await;
        }
        Fault::FreezeNats(node) => {
            let node = node_of(stack, node);
            node.pause();
            sleep(away).await;
            node.resume();
        }
        Fault::StopNats(node) => {
            let node = node_of(stack, node);
            node.stop().await;
            sleep(away).await;
            node.start_again().await;
        }
        Fault::KillCluster => {
            for node in 0..=stack.more_nodes.len() {
                node_of(stack, node).kill().await;
            }
            sleep(away).await;
            for node in 0..=stack.more_nodes.len() {
                node_of(stack, node).start_again().await;
            }
        }
        Fault::StorageFull => fill_storage(&stack.nats.jetstream().await, away).await,
        Fault::ConsumersDeleted => delete_consumers(&stack.nats.jetstream().await).await,
        Fault::ReceiverAway => {
            receivers.switch_last(false).await;
            sleep(away).await;
            receivers.switch_last(true).await;
        }
    }
}

/// The service runs with a wrong clock for a while. Its clock cannot be moved while it runs, so it is restarted before and after.
async fn jump(process: &mut Process, seconds: &str, away: Duration) {
    let Some(variables) = faketime::environment(seconds) else { return };
    for (variable, value) in &variables {
        process.set_env(variable, value);
    }
    process.kill_9().await;
    process.start_again();
    sleep(away).await;
    for (variable, _) in &variables {
        process.unset_env(variable);
    }
    process.kill_9().await;
    process.start_again();
}

/// Limits EVENTS to what it holds, so that it refuses events, and takes the limit away again.
async fn fill_storage(jetstream: &Context, away: Duration) {
    let Ok(stream) = jetstream.get_stream("EVENTS").await else { return };
    let info = stream.cached_info();
    let limit = i64::try_from(info.state.bytes).unwrap_or(i64::MAX).max(1);
    let limited = Config { max_bytes: limit, ..info.config.clone() };
    if let Err(error) = jetstream.update_stream(&limited).await {
        eprintln!("EVENTS was not limited: {error}");
    }
    sleep(away).await;
    while let Err(error) = jetstream.update_stream(&info.config).await {
        eprintln!("the limit of EVENTS was not taken away: {error}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// The dispatchers make them again.
async fn delete_consumers(jetstream: &Context) {
    use futures::StreamExt as _;
    let Ok(stream) = jetstream.get_stream("RETRIES").await else { return };
    let names: Vec<_> = stream.consumer_names().collect().await;
    for name in names.into_iter().flatten() {
        let _ = stream.delete_consumer(&name).await;
    }
}
