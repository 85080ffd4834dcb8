//! The endpoints that events are delivered to.

mod circuit_breaker;
mod endpoint_table;
pub mod failing_endpoints;
pub mod health_change;
pub mod health_reporter;
pub mod lookup;
mod ordered;
pub mod peer_count;
mod rate_limit;
pub mod watcher;
pub mod worker;
