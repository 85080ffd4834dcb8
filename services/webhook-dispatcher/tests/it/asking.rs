//! Sends commands to the dispatchers as the API does, and makes endpoints as the API does.

use crate::stage::{SOON, Stage};
use async_nats::RequestErrorKind;
use kurir_contract::{
    command::{CommandError, CommandReply},
    endpoint::{BUCKET, EndpointId, EndpointSettings},
    subject,
    webhook::{Replay, ReplayReference, ReplayRequest, ReplaySelection, ReplayState, WebhookCommand},
};
use kurir_test_harness::until;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Longer than the longest command.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);

impl Stage {
    /// An endpoint of the API that leads to the receiver.
    pub async fn endpoint_of_api(&self, name: &str, change: impl FnOnce(&mut EndpointSettings)) -> EndpointId {
        let id: EndpointId = name.parse().unwrap();
        let mut settings = EndpointSettings::new(self.receiver.url());
        change(&mut settings);
        let bucket = async_nats::jetstream::kv::Config { bucket: BUCKET.into(), ..Default::default() };
        let bucket = self.jetstream.create_or_update_key_value(bucket).await.unwrap();
        bucket.put(name, serde_json::to_vec(&settings).unwrap().into()).await.unwrap();
        id
    }

    pub async fn ask<T: DeserializeOwned>(
        &self,
        command: WebhookCommand,
        request: &(impl Serialize + Sync),
    ) -> Result<T, CommandError> {
        let payload = serde_json::to_vec(request).unwrap();
        let client = self.nats.client().await;
        let answer = until("a dispatcher to be there", SOON, || {
            let request = async_nats::Request::new().payload(payload.clone().into()).timeout(Some(ANSWER_WITHIN));
            let asked = client.send_request(subject::webhook_command(command), request);
            async move {
                match asked.await {
                    // The dispatcher is starting, or NATS does not know its subscription yet.
                    Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(error),
                    answer => Ok(answer.unwrap()),
                }
            }
        })
        .await;
        match serde_json::from_slice(&answer.payload).unwrap() {
            CommandReply::Ok(value) => Ok(value),
            CommandReply::Queued(queued) => panic!("a dispatcher queues nothing: {queued:?}"),
            CommandReply::Error(refusal) => Err(refusal),
        }
    }

    pub async fn replay(&self, endpoint: &EndpointId, of: ReplaySelection) -> Replay {
        self.ask(WebhookCommand::Replay, &ReplayRequest { endpoint: endpoint.clone(), of }).await.unwrap()
    }

    pub async fn progress(&self, replay: &Replay) -> Replay {
        self.ask(WebhookCommand::ReplayProgress, &ReplayReference { id: replay.id.clone() }).await.unwrap()
    }

    pub async fn cancel(&self, replay: &Replay) -> Replay {
        self.ask(WebhookCommand::CancelReplay, &ReplayReference { id: replay.id.clone() }).await.unwrap()
    }

    /// Waits until the replay is done.
    pub async fn done(&self, replay: &Replay, within: Duration) -> Replay {
        until("the replay to be done", within, || async {
            let stands = self.progress(replay).await;
            if stands.state == ReplayState::Done { Ok(stands) } else { Err(stands) }
        })
        .await
    }

    /// Waits until there are this many dead letters.
    pub async fn buried(&self, count: usize) {
        until(format!("{count} dead letters"), SOON, || async {
            let letters = self.dead_letters().await;
            if letters.len() == count { Ok(()) } else { Err(letters) }
        })
        .await;
    }
}
