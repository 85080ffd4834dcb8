//! The endpoints that events are delivered to, and the worker that pulls and delivers their events.
//!
//! `watcher` reads every change of an endpoint from its bucket (`default_start` says where `default` begins) and passes it to the one `worker`. The worker keeps each
//! endpoint in the `endpoint_table`, with its pulls, its `rate_limit`, its `adaptive_pace`, its `adaptive_concurrency` and its `circuit_breaker`. An endpoint that keeps
//! its chats in order has a task of its own: `ordered`. A delivery's effect on an endpoint is a `health_change`, which
//! the `health_reporter` stores and publishes; `failing_endpoints` is what the bucket says of it. `lookup` reads one
//! endpoint, `stream_change` lets an endpoint start over with a new stream, `peer_count` counts the dispatchers, and
//! `retry_lease` lets one of them do what only one should.

mod adaptive_concurrency;
mod adaptive_pace;
mod circuit_breaker;
mod default_start;
mod endpoint_table;
pub mod failing_endpoints;
pub mod health_change;
pub mod health_reporter;
pub mod lookup;
mod ordered;
pub mod peer_count;
mod rate_limit;
pub mod retry_lease;
mod stream_change;
pub mod watcher;
pub mod worker;
