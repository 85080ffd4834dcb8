//! Several dispatchers with a receiver that takes its time.

use crate::{
    contestant::{Contestant, ContestantKind, usage},
    stage::BenchmarkStage,
};
use std::{path::Path, time::Duration};

const RECEIVER: Duration = Duration::from_millis(100);
/// For one dispatcher; 64 in flight at 100 ms are 640 a second.
const EVENTS: u64 = 6_400;

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!("\nscaling: a receiver that takes 100 ms, 64 in flight for each dispatcher");
    println!(
        "{:>12}  {:>20}  {:>8}  {:>10}  {:>12}  {:>8}",
        "dispatchers", "deliveries a second", "factor", "repeats", "CPU µs each", "of NATS"
    );
    let mut alone = None;
    for count in [1, 2, 4, 8, 16] {
        let mut stage = BenchmarkStage::set(RECEIVER).await?;
        let events = EVENTS * count;
        stage.fill(events).await?;
        let nats_before = usage(stage.nats.process().id())?.cpu;
        let contestants = (0..count)
            .map(|_| Contestant::start(ContestantKind::Dispatcher, dispatcher, &stage.nats.url(), &stage.sink.url()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let seen = stage.sink.wait_for(events, Duration::from_secs(60)).await?;
        let cpu = contestants.iter().map(Contestant::usage).collect::<anyhow::Result<Vec<_>>>()?;
        let cpu: Duration = cpu.iter().map(|used| used.cpu).sum();
        let nats = usage(stage.nats.process().id())?.cpu - nats_before;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / events as f64;
        // Repeats would come soon after.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rate = (seen.count - 1) as f64 / seen.span.as_secs_f64();
        let factor = rate / *alone.get_or_insert(rate);
        let repeats = stage.sink.count() - events;
        println!("{count:>12}  {rate:>20.0}  {factor:>8.2}  {repeats:>10}  {:>12.1}  {:>8.1}", each(cpu), each(nats));
        drop(contestants);
    }
    Ok(())
}
