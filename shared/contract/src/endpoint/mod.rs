//! A webhook endpoint: where events go, which, how, and what is done if they do not arrive.
//!
//! Stored as JSON ([`EndpointSettings`]) in the KV bucket [`BUCKET`] under its id; every dispatcher follows that bucket. The
//! endpoint `default` is not in it: it comes from `WEBHOOK_URL`. What a user writes is read by [`input`], which refuses
//! a wrong one with everything that is wrong.

mod filter;
mod format;
mod id;
pub mod input;
mod pattern;
mod retry;
mod secret;
mod settings;
mod state;

pub use filter::{ChatType, ContentFilter};
pub use format::PayloadFormat;
pub use id::{EndpointId, InvalidEndpointId};
pub use input::FieldProblem;
pub use pattern::{EventPattern, InvalidPattern, subjects};
pub use retry::{InvalidRetry, RetrySchedule};
pub use secret::{InvalidSecret, SigningSecret, StoredSecret};
pub use settings::{EndpointSettings, EventOrdering};
pub use state::{CircuitState, EndpointState};

/// KV bucket of the endpoints.
pub const BUCKET: &str = "webhook_endpoints";
/// KV bucket of what the dispatchers see of each endpoint that does not work: [`EndpointState`].
pub const STATES_BUCKET: &str = "webhook_endpoint_states";
/// The KV bucket of who retries for an endpoint with `ordering: "chat"` while NATS serves nobody, by endpoint.
pub const HOLDERS_BUCKET: &str = "webhook_endpoint_holders";
