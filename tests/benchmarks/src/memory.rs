//! A dispatcher's memory after a million deliveries.

use crate::{
    contestant::{Contestant, ContestantKind},
    stage::BenchmarkStage,
};
use std::{path::Path, time::Duration};

const EVENTS: u64 = 50_000;
const TURNS: u64 = 20;

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!("\nmemory of one dispatcher, MB");
    println!("{:>12}  {:>8}", "deliveries", "RSS");
    let stage = BenchmarkStage::set(Duration::ZERO).await?;
    let contestant = Contestant::start(ContestantKind::Dispatcher, dispatcher, &stage.nats.url(), &stage.sink.url())?;
    for turn in 1..=TURNS {
        stage.fill(EVENTS).await?;
        stage.sink.wait_for(EVENTS * turn, Duration::from_secs(60)).await?;
        if turn == 1 || turn % 5 == 0 {
            println!("{:>12}  {:>8.1}", EVENTS * turn, contestant.usage()?.rss_megabytes);
        }
    }
    Ok(())
}
