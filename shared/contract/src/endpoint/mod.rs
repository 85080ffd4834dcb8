//! A webhook endpoint: its receiver, the events that it receives, and what happens if a delivery fails.
//!
//! The KV bucket [`BUCKET`] has each endpoint as JSON ([`EndpointSettings`]) under its id; every dispatcher watches the
//! bucket. The endpoint `default` is not in the bucket: it comes from `WEBHOOK_URL`. [`input`] parses what a user writes,
//! and reports all problems at once.

mod connection;
pub mod event_name;
mod filter;
mod format;
pub mod input;
mod pattern;
mod retry;
mod secret;
mod settings;
mod state;

pub use crate::endpoint_id::{EndpointId, InvalidEndpointId};
pub use connection::{ClientCertificate, MASK, mask_password, unmask_password};
pub use filter::{ChatType, ContentFilter};
pub use format::PayloadFormat;
pub use input::FieldProblem;
pub use pattern::{EventPattern, InvalidPattern, filter_subjects};
pub use retry::{InvalidRetry, RetrySchedule};
pub use secret::{InvalidSecret, SigningSecret, StoredSecret};
pub use settings::{EndpointSettings, EventOrdering};
pub use state::{CircuitState, EndpointState};

/// The KV bucket of the endpoints.
pub const BUCKET: &str = "webhook_endpoints";
/// The KV bucket of the [`EndpointState`] of each endpoint that fails.
pub const STATES_BUCKET: &str = "webhook_endpoint_states";
/// The KV bucket with the ids of the endpoints that ask for `raw`, without a value. Gateways read it, since they may not read the
/// endpoints, which hold secrets. A key that is left over does no harm: dispatchers leave `raw` out where nobody asks for it.
pub const RAW_REQUESTS_BUCKET: &str = "webhook_raw_requests";
/// The KV bucket of the dispatchers that retry for endpoints with `ordering: "chat"` while NATS has pinned none, by endpoint.
pub const HOLDERS_BUCKET: &str = "webhook_endpoint_holders";
