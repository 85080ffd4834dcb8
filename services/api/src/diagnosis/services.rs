//! Whether each service is there and ready, of one version, at the right time, and has room on its disks.

use super::finding::{CheckArea, Finding};
use crate::{app_state::AppState, routes::health::ping_services};
use kurir_contract::service::{DiskSpace, PingReply, ServiceName};
use std::collections::BTreeMap;

/// Schedules and signatures are exact to the second.
const WORTH_A_WARNING_MS: u64 = 2_000;
const LITTLE_SPACE: u64 = 1 << 30;
const HARDLY_ANY_SPACE: u64 = 100 << 20;

pub async fn check_services(app: &AppState) -> Vec<Finding> {
    let pongs = ping_services(app).await;
    let needed = [ServiceName::Gateway, ServiceName::WebhookDispatcher, ServiceName::Api];
    let mut findings: Vec<Finding> = needed.into_iter().flat_map(|service| check_service(service, &pongs)).collect();
    findings.extend(check_versions(&pongs));
    findings.extend(pongs.iter().filter_map(check_clock));
    findings.extend(pongs.iter().flat_map(|pong| pong.disks.iter().filter_map(|disk| check_disk(pong.service, disk))));
    findings
}

fn check_service(service: ServiceName, pongs: &[PingReply]) -> Vec<Finding> {
    let instances: Vec<_> = pongs.iter().filter(|pong| pong.service == service).collect();
    if instances.is_empty() {
        let (missing, log) = match service {
            ServiceName::Gateway => ("no WhatsApp message is received or sent", "kurir-gateway"),
            ServiceName::WebhookDispatcher => ("no event is delivered; all of them wait", "kurir-webhook-dispatcher"),
            ServiceName::Api => ("the API does not answer itself", "kurir-api"),
        };
        let advice = format!("Start it (docker compose up -d {service}, or {log}); its log says why it does not start");
        return vec![Finding::problem(CheckArea::Services, format!("No {service} answers: {missing}"), advice)];
    }
    let mut findings = Vec::new();
    for pong in &instances {
        let name = format!("{service} {}", pong.instance);
        match (&pong.problem, pong.ready) {
            (Some(problem), _) => findings.push(Finding::problem(
                CheckArea::Services,
                format!("{name} is not ready: {problem}"),
                "The runbooks (docs/runbooks.md) say what to do about it",
            )),
            (None, false) => findings.push(Finding::warning(
                CheckArea::Services,
                format!("{name} runs since {} s and is not ready", pong.uptime_seconds),
                "Wait a little; if it stays so, its log says what it waits for",
            )),
            (None, true) => {}
        }
        findings.extend(pong.notices.iter().map(|notice| {
            let advice = "Restore it from a backup of NATS if you need it";
            Finding::warning(CheckArea::Streams, format!("{name} has seen a loss: {notice}"), advice)
        }));
    }
    let ready = instances.iter().filter(|pong| pong.ready).count();
    if ready > 0 {
        findings.push(Finding::ok(CheckArea::Services, format!("{service}: {ready} of {} ready", instances.len())));
    }
    findings
}

fn check_versions(pongs: &[PingReply]) -> Option<Finding> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pong in pongs {
        versions.entry(&pong.version).or_default().push(format!("{} {}", pong.service, pong.instance));
    }
    let all: Vec<_> =
        versions.iter().map(|(version, instances)| format!("{version} ({})", instances.join(", "))).collect();
    (versions.len() > 1).then(|| {
        Finding::warning(
            CheckArea::Versions,
            format!("Different versions run: {}", all.join(" and ")),
            "Neighbouring versions work side by side during an upgrade. Finish it: all services should have one version",
        )
    })
}

fn check_clock(pong: &PingReply) -> Option<Finding> {
    let ahead = pong.clock_ahead_ms.filter(|ahead| ahead.unsigned_abs() >= WORTH_A_WARNING_MS)?;
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let (seconds, service) = (ahead.unsigned_abs() as f64 / 1_000.0, pong.service);
    Some(Finding::warning(
        CheckArea::Clocks,
        format!("The clock of the machine of {service} {} is {seconds:.1} s {direction} that of NATS", pong.instance),
        "Switch time synchronization on (timedatectl set-ntp true). Kurir goes by NATS' time meanwhile; TLS and logs do not",
    ))
}

fn check_disk(service: ServiceName, disk: &DiskSpace) -> Option<Finding> {
    let DiskSpace { path, free_bytes, total_bytes } = disk;
    let free = format!("{path} of {service} has {} MB of {} MB left", free_bytes >> 20, total_bytes >> 20);
    let advice = "Make room, or enlarge the disk: without room for the keys no message is acknowledged";
    if *free_bytes < HARDLY_ANY_SPACE {
        return Some(Finding::problem(CheckArea::Disks, free, advice));
    }
    (*free_bytes < LITTLE_SPACE && *free_bytes < total_bytes / 10)
        .then(|| Finding::warning(CheckArea::Disks, free, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::finding::FindingSeverity;

    #[test]
    fn a_disk_is_judged_by_what_is_left() {
        let gigabyte = 1 << 30;
        for (free_bytes, total_bytes, expected) in [
            (50 << 20, 100 * gigabyte, Some(FindingSeverity::Problem)),
            (500 << 20, 100 * gigabyte, Some(FindingSeverity::Warning)),
            // A small disk that is half empty.
            (500 << 20, gigabyte, None),
            (20 * gigabyte, 100 * gigabyte, None),
        ] {
            let disk = DiskSpace { path: "/data".to_owned(), free_bytes, total_bytes };
            let severity = check_disk(ServiceName::Gateway, &disk).map(|finding| finding.severity);
            assert_eq!(severity, expected, "{disk:?}");
        }
    }
}
