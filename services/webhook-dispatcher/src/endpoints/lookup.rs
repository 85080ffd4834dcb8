//! One endpoint as it is now, for who asks seldom: read when it is asked for, kept nowhere.

use crate::{command_error, config::Config, endpoint::Endpoint, jetstream::kv_bucket};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::CommandError,
    endpoint::{BUCKET, EndpointId, EndpointSettings},
};

#[derive(Clone)]
pub struct EndpointLookup {
    config: Config,
    broker: Broker,
}

impl EndpointLookup {
    #[must_use]
    pub fn new(config: Config, broker: Broker) -> Self {
        Self { config, broker }
    }

    /// The endpoint that a command is about.
    ///
    /// # Errors
    /// If there is none of this name, or the broker is away.
    pub async fn must_exist(&self, id: &EndpointId) -> Result<Endpoint, CommandError> {
        let found = self.endpoint(id).await.map_err(command_error::of_broker)?;
        found.ok_or_else(|| command_error::invalid(format!("there is no endpoint {id}")))
    }

    /// None: there is none of this name.
    ///
    /// # Errors
    /// If the broker is away, or the bucket holds what is no endpoint.
    pub async fn endpoint(&self, id: &EndpointId) -> anyhow::Result<Option<Endpoint>> {
        if id.is_default() {
            return Ok(self.config.endpoints().into_iter().next());
        }
        let stored = kv_bucket::read::<EndpointSettings>(&self.broker.bucket(BUCKET).await?, id.as_str()).await?;
        stored
            .map(|(settings, _)| Endpoint::from_settings(id.clone(), settings, self.config.webhook_ack_wait))
            .transpose()
    }
}
