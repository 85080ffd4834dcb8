//! Where an endpoint's connections may go. It stands between the resolution of a name and each connection.

use kurir_contract::address_guard::{ALLOWED_NETWORKS, NetworkList, forbidden_kind};
use std::{net::IpAddr, sync::Arc};

/// An address where webhooks must not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, where no webhook may go; {ALLOWED_NETWORKS} can open it")]
pub struct ForbiddenAddress {
    address: IpAddr,
    kind: &'static str,
}

/// Where an endpoint's connections may go. Without networks, anywhere: the URL is the operator's own.
#[derive(Clone)]
pub struct AddressGuard(Option<Arc<NetworkList>>);

impl AddressGuard {
    #[must_use]
    pub fn new(allowed: Option<NetworkList>) -> Self {
        Self(allowed.map(Arc::new))
    }

    #[must_use]
    pub fn admits_all() -> Self {
        Self(None)
    }

    /// Whether a user made the endpoint: what the operator's network looks like is not to be told.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// # Errors
    /// If no webhook may go to the address.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        match self.0.as_deref().and_then(|allowed| forbidden_kind(address, allowed)) {
            Some(kind) => Err(ForbiddenAddress { address, kind }),
            None => Ok(()),
        }
    }
}
