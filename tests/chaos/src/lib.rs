//! Kills, freezes and restarts every part of Kurir under a numbered load, and compares in the end what arrived with what was
//! sent.
//!
//! `load` writes messages as contacts and sends messages as callers of the API, `faults` decides what happens to which process
//! and when, `receivers` are the endpoints, `verdict` compares. The same seed gives the same faults at the same times; what the
//! machine does between them differs.

mod arrivals;
mod faults;
mod load;
mod receivers;
mod verdict;

pub use verdict::Verdict;

use faults::FaultPlan;
use kurir_test_harness::{
    Stack,
    stack::{SOON, StackPlan},
    until,
};
use load::{ACCOUNTS, Load};
use receivers::Receivers;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The length, the seed and the pace of a run.
#[derive(Clone, Copy, Debug)]
pub struct ChaosPlan {
    pub duration: Duration,
    pub seed: u64,
    /// Messages of contacts a second.
    pub messages_per_second: u32,
    /// NATS is a cluster of three, and three gateways share the sessions, whose keys are in NATS. Else there is one of each.
    pub cluster: bool,
}

/// How long everything may take to arrive once all processes run.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);

/// Runs the plan with processes and ports of its own, all on the loopback network.
///
/// # Errors
/// If the system cannot be set up. What went wrong under the faults is in the verdict.
pub async fn run(plan: ChaosPlan) -> anyhow::Result<Verdict> {
    let mut stack = stack_plan(plan).start().await;
    let load = Load::new(&stack);
    pair_sessions(&stack, &load).await?;
    let mut receivers = Receivers::start(&load, plan).await?;

    let stop = CancellationToken::new();
    let faults = async {
        let mut faults = FaultPlan::new(plan);
        let counts = faults.run(&mut stack, &mut receivers).await;
        stop.cancel();
        counts
    };
    let (counts, sent) = tokio::join!(faults, load.run(plan, &stop));
    settle(&stack, &load, &receivers).await;
    let verdict = verdict::compare(&stack, &receivers, sent, counts).await;
    stack.finish().await;
    Ok(verdict)
}

fn stack_plan(plan: ChaosPlan) -> StackPlan {
    let stack = Stack::plan().without_webhooks().unpaired().cables().dispatchers(2).gateway("BROKER_WAIT", "5s");
    let loopback = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let stack = stack.dispatcher(loopback.0, loopback.1).api(loopback.0, loopback.1);
    if !plan.cluster {
        return stack;
    }
    stack
        .cluster()
        .gateways(3)
        .gateway("SESSION_STORE", "nats")
        .gateway("SESSION_KEY", "a key that seals sessions under chaos")
}

/// One session for each account, each paired with it.
async fn pair_sessions(stack: &Stack, load: &Load) -> anyhow::Result<()> {
    for (session, number) in ACCOUNTS {
        if session != "default" {
            load.make_session(session).await?;
        }
        let code = until("a QR code", SOON, || async { load.qr_code(session).await }).await;
        stack.simulator.scan_as(number, &code).await;
        until(format!("{session} to be connected"), SOON, || async { load.is_connected(session).await }).await;
    }
    Ok(())
}

/// Waits until WhatsApp holds nothing for us and no delivery is open, or the time is up; the verdict says what is missing.
async fn settle(stack: &Stack, load: &Load, receivers: &Receivers) {
    let deadline = tokio::time::Instant::now() + SETTLED_WITHIN;
    while tokio::time::Instant::now() < deadline {
        let held = stack.simulator.get("/messages?state=queued").await.as_array().map_or(0, Vec::len)
            + stack.simulator.get("/messages?state=sent").await.as_array().map_or(0, Vec::len);
        let mut waiting = 0;
        for endpoint in receivers.endpoints() {
            let ledger = load.get(&format!("/api/ledger?endpoint={endpoint}")).await;
            let figures = &ledger["data"];
            waiting += figures["waiting"].as_u64().unwrap_or(1) + figures["missing"].as_u64().unwrap_or(1);
        }
        if held == 0 && waiting == 0 {
            return;
        }
        eprintln!("{}", json!({"heldByWhatsapp": held, "waiting": waiting}));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
