//! What the metrics say of every service: which it is, what its process uses, and how far away NATS is.
//!
//! The figures of the process come from `/proc`, when somebody asks; where there is none, they are left out.

use crate::{broker::Broker, metrics::MetricsRegistry};
use kurir_contract::service::ServiceName;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
};
use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// The kernel counts time in hundredths of a second for programs (`USER_HZ`), on every architecture that Kurir runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// The fields of `/proc/self/stat` behind the name: user and system time.
const STAT_USER_TIME: usize = 11;
const STAT_SYSTEM_TIME: usize = 12;

impl MetricsRegistry {
    /// Adds what every service shows.
    pub fn add_service(&self, service: ServiceName, broker: &Broker) {
        let (broker, started) = (broker.clone(), SystemTime::now());
        self.declare_metrics(|registry| {
            let labels = vec![("service", service.to_string()), ("version", env!("CARGO_PKG_VERSION").to_owned())];
            registry.register("build", "Which service this is", Info::new(labels));
            registry.register_collector(Box::new(ProcessFigures { broker, started }));
        });
    }
}

struct ProcessFigures {
    broker: Broker,
    started: SystemTime,
}

impl fmt::Debug for ProcessFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessFigures")
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name, help, value: Option<f64>| -> fmt::Result {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        gauge("process_start_time_seconds", "When the process began, since 1970", Some(started))?;
        gauge("process_resident_memory_bytes", "Memory of the process", resident_bytes())?;
        gauge("process_open_fds", "Open files and connections of the process", open_files())?;
        gauge("nats_connected", "Whether there is a connection to NATS", Some(self.broker.is_connected().into()))?;
        let reading = self.broker.clock.last_reading();
        let help = "How long NATS took to answer when its clock was read last";
        gauge("nats_round_trip_seconds", help, reading.map(|reading| reading.round_trip.as_secs_f64()))?;
        let help = "How far the clock of this machine was ahead of that of NATS";
        gauge("clock_offset_seconds", help, reading.map(|reading| reading.machine_ahead.as_seconds_f64()))?;
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "Processor time of the process";
            counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(STAT_USER_TIME)? + ticks(STAT_SYSTEM_TIME)?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_are_read() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1e6), "{:?}", resident_bytes());
        assert!(open_files().is_some_and(|count| count >= 3.0));
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
    }
}
