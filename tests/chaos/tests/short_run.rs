//! Short runs of chaos: the same as `make chaos`, for a minute.

use kurir_chaos::ChaosPlan;
use std::time::Duration;

async fn nothing_is_lost_or_doubled(plan: ChaosPlan) {
    let verdict = kurir_chaos::run(plan).await.expect("the system starts");
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}\n{}", verdict.problems().join("\n"));
    assert!(verdict.sent() > 100 && verdict.faults() >= 3, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_under_faults() {
    let duration = Duration::from_secs(40);
    nothing_is_lost_or_doubled(ChaosPlan { duration, seed: 7, messages_per_second: 20, cluster: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_in_a_cluster_under_faults() {
    let duration = Duration::from_secs(40);
    nothing_is_lost_or_doubled(ChaosPlan { duration, seed: 7, messages_per_second: 20, cluster: true }).await;
}
