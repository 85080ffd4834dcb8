//! Uncached lookup of one endpoint.

use crate::{command_error, config::Config, endpoint::Endpoint};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    command::CommandError,
    endpoint::{BUCKET, EndpointId, EndpointSettings},
};

#[derive(Clone)]
pub struct EndpointLookup {
    config: Config,
    stored: Bucket,
}

impl EndpointLookup {
    #[must_use]
    pub fn new(config: Config, broker: Broker) -> Self {
        Self { config, stored: Bucket::new(broker, BUCKET) }
    }

    /// The endpoint that a command names.
    ///
    /// # Errors
    /// If there is no such endpoint, or NATS is away.
    pub async fn require(&self, id: &EndpointId) -> Result<Endpoint, CommandError> {
        let found = self.find(id).await.map_err(command_error::from_broker)?;
        found.ok_or_else(|| command_error::invalid(format!("there is no endpoint {id}")))
    }

    /// Whether somebody has deleted the endpoint. One that vanished with its bucket was not deleted.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn was_deleted(&self, id: &EndpointId) -> anyhow::Result<bool> {
        Ok(!id.is_default() && self.stored.was_deleted(id.as_str()).await?)
    }

    /// The endpoint; none if there is no such endpoint.
    ///
    /// # Errors
    /// If NATS is away, or the bucket holds something that cannot be an endpoint.
    pub async fn find(&self, id: &EndpointId) -> anyhow::Result<Option<Endpoint>> {
        let stored = self.stored.get_json::<EndpointSettings>(id.as_str()).await?;
        if id.is_default() {
            return Ok(self.config.default_endpoint(stored.as_ref().map(|(settings, _)| settings)));
        }
        stored
            .map(|(settings, _)| Endpoint::from_settings(id.clone(), settings, self.config.webhook_ack_wait))
            .transpose()
    }
}
