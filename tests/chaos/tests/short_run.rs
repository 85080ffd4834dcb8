//! Short runs of chaos: the same as `make chaos`, for 40 s.

use kurir_chaos::{ChaosPlan, Verdict};
use std::time::Duration;

fn assert_good(verdict: &Verdict) {
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}\n{}", verdict.problems().join("\n"));
    assert!(verdict.sent() > 100 && verdict.faults() >= 3, "{verdict}");
}

fn plan(cluster: bool) -> ChaosPlan {
    ChaosPlan { duration: Duration::from_secs(40), seed: 7, messages_per_second: 20, cluster }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_under_faults() {
    assert_good(&kurir_chaos::run(plan(false)).await.expect("the system starts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_in_a_cluster_under_faults() {
    assert_good(&kurir_chaos::run(plan(true)).await.expect("the system starts"));
}
