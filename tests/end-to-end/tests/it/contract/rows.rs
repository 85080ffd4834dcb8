//! The rows of `tests/contract-v3/` against all of Kurir: every process is real, WhatsApp is simulated.

use kurir_test_harness::{
    Answer, Stack,
    contract_v3::{ContractState, ContractTarget, NUMBER_NOT_ON_WHATSAPP, scenarios, scenarios_given},
    stack::{KEY, SOON},
    until,
};
use serde_json::json;

/// Runs every scenario that needs a state, each with a stack of its own.
async fn run_scenarios(state: ContractState) {
    for scenario in scenarios_given(state) {
        let mut stack = start_stack(state).await;
        let target = ContractTarget { base_url: stack.api.url(""), key: KEY, receiver: &stack.receiver };
        scenario.run(&target).await;
        stack.receiver.always(Answer::status(200));
        if state == ContractState::BrokerAway {
            stack.nats.start_again().await;
            stack.connected(SOON).await;
        }
        stack.finish().await;
    }
}

async fn start_stack(state: ContractState) -> Stack {
    let plan = Stack::plan();
    let mut stack = match state {
        ContractState::Pairing => plan.unpaired(),
        ContractState::WithoutWebhooks => plan.without_webhooks(),
        ContractState::SilentWhatsapp => {
            plan.gateway("WHATSAPP_SEND_TIMEOUT", "1s").gateway("WHATSAPP_SEND_PAUSES", "100ms")
        }
        ContractState::RefusedByWhatsapp => plan.gateway("WHATSAPP_SEND_PAUSES", "100ms"),
        ContractState::Connected
        | ContractState::FailingReceiver
        | ContractState::HangingReceiver
        | ContractState::BrokerAway => plan,
    }
    .start()
    .await;
    stack.simulator.patch(&format!("/contacts/{NUMBER_NOT_ON_WHATSAPP}"), json!({"registered": false})).await;
    match state {
        ContractState::Connected | ContractState::WithoutWebhooks => {}
        ContractState::Pairing => {
            until("a QR code", SOON, || async {
                let (_, status) = stack.api.get("/api/whatsapp/status").await;
                if status["data"]["qrCode"].is_string() { Ok(()) } else { Err(status) }
            })
            .await;
        }
        ContractState::FailingReceiver => stack.receiver.always(Answer::status(500)),
        ContractState::HangingReceiver => stack.receiver.always(Answer::Hang),
        ContractState::RefusedByWhatsapp => {
            stack.simulator.post("/faults", json!({"kind": "nack", "code": 479, "times": 100})).await;
        }
        ContractState::SilentWhatsapp => {
            stack.simulator.post("/faults", json!({"kind": "swallow-ack"})).await;
        }
        ContractState::BrokerAway => {
            stack.nats.stop().await;
            until("the API to miss the broker", SOON, || async {
                let (status, _) = stack.api.get("/readyz").await;
                if status == 503 { Ok(()) } else { Err(status) }
            })
            .await;
        }
    }
    stack
}

macro_rules! contract_tests {
    ($($test:ident: $state:ident,)+) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            run_scenarios(ContractState::$state).await;
        })+

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$(ContractState::$state),+];
            for scenario in scenarios() {
                assert!(tested.contains(&scenario.given), "{:?} runs nowhere", scenario.scenario);
            }
        }
    };
}

contract_tests! {
    rows_of_a_connected_session: Connected,
    rows_of_a_session_that_pairs: Pairing,
    rows_without_webhooks: WithoutWebhooks,
    rows_with_a_failing_receiver: FailingReceiver,
    rows_with_a_hanging_receiver: HangingReceiver,
    rows_refused_by_whatsapp: RefusedByWhatsapp,
    rows_without_an_ack_of_whatsapp: SilentWhatsapp,
    rows_without_a_broker: BrokerAway,
}
