//! A short run of chaos: the same as `make chaos`, for a minute.

use kurir_chaos::ChaosPlan;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_under_faults() {
    let plan = ChaosPlan { duration: Duration::from_secs(40), seed: 7, messages_per_second: 20 };
    let verdict = kurir_chaos::run(plan).await.expect("the system starts");
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}\n{}", verdict.problems().join("\n"));
    assert!(verdict.sent() > 100 && verdict.faults() >= 3, "{verdict}");
}
