//! Machines whose clocks are wrong: schedules, dates and signatures follow NATS' clock.

use crate::stage::{SOON, Stage, endpoints::NO_DEFAULT};
use kurir_contract::clock;
use kurir_test_harness::{Answer, Receiver, faketime};
use serde_json::json;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// A schedule fires up to a second late, and this machine has other work.
const LATE: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_whose_clock_is_wrong_keeps_schedules_dates_and_signatures() {
    for offset in ["-3600", "-20", "+60", "+86400"] {
        let Some(fake) = faketime::environment(offset) else { return };
        let stage = Stage::set().await;
        let [library, by, monotonic] = fake.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut dispatcher = stage.dispatcher_with([NO_DEFAULT, library, by, monotonic]).await;
        dispatcher.wait_for_line(|line| line.contains("the clock of this machine is"), SOON).await;
        let mut endpoints = Vec::new();
        for ordering in ["none", "chat"] {
            for (name, answer, least) in [
                ("schedule", Answer::status(500), Duration::from_secs(2)),
                ("seconds", Answer::status(429).header("retry-after", "2"), Duration::from_secs(2)),
                ("date", Answer::status(503).header("retry-after", &http_date(4)), Duration::from_secs(2)),
            ] {
                let receiver = Receiver::start().await;
                receiver.answers([answer]);
                let secret = json!([{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}]);
                let settings = json!({"url": receiver.url(), "ordering": ordering, "retry": [2, 2], "secrets": secret});
                endpoints.push((stage.endpoint(settings).await, receiver, name, least));
            }
        }
        stage.publish("test", "evt_1").await;
        for (id, receiver, name, least) in &endpoints {
            let requests = receiver.wait_for(2, SOON).await;
            let waited = requests[1].at - requests[0].at;
            let wanted = *least - Duration::from_millis(300)..*least + LATE;
            assert!(wanted.contains(&waited), "{offset} {name}: {waited:?}");
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let signed: i64 = requests[1].header("webhook-timestamp").parse().unwrap();
            assert!((now - signed).abs() < 25, "{offset} {name}: signed at {signed}, now it is {now}");
            for attempt in stage.recorded_of(id, 2).await {
                let at = clock::parse(&attempt.at).unwrap();
                assert!((OffsetDateTime::now_utc() - at).abs() < time::Duration::seconds(25), "{offset}: {attempt:?}");
            }
        }
    }
}

fn http_date(seconds_ahead: u64) -> String {
    let at = OffsetDateTime::from(SystemTime::now() + Duration::from_secs(seconds_ahead));
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(format).unwrap()
}
