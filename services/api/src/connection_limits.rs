//! The bounds on connections and on the bytes that all requests together hold in memory.

use kurir_chassis::{byte_size::ByteSize, settings::SettingProblem};

/// Settings of the HTTP server.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectionLimits {
    /// Connections that are open at the same time. Beyond it, the connection that has waited longest for a request is
    /// closed for a new one; if all of them are in a request, the new one is answered 503.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 2048)]
    pub max_connections: usize,
    /// The same for one address; behind a proxy all callers have the proxy's address.
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1024)]
    pub max_connections_per_address: usize,
    /// Bytes of bodies and files that all requests together may hold in memory; beyond it a request is answered 503.
    #[arg(long, env = "MAX_BYTES_IN_FLIGHT", default_value = "32MB")]
    pub max_bytes_in_flight: ByteSize,
    /// Wrong keys that one address may send in a minute before it is answered 429; 0: any number.
    #[arg(long, env = "WRONG_KEYS_PER_MINUTE", default_value_t = 100)]
    pub wrong_keys_per_minute: u32,
}

/// What the largest single request may hold: a body of 1 MB and the values in it.
const LEAST_BYTES_IN_FLIGHT: u64 = 4 << 20;

impl ConnectionLimits {
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        for (variable, value) in [
            ("MAX_CONNECTIONS", self.max_connections),
            ("MAX_CONNECTIONS_PER_ADDRESS", self.max_connections_per_address),
        ] {
            if value == 0 {
                problems.push(SettingProblem::new(variable, "it must be at least 1"));
            }
        }
        let bytes = self.max_bytes_in_flight.bytes;
        // A semaphore counts kilobytes in 32 bits.
        if !(LEAST_BYTES_IN_FLIGHT..=1 << 40).contains(&bytes) {
            problems.push(SettingProblem::new("MAX_BYTES_IN_FLIGHT", "use a size from 4MB to 1024GB, as 32MB"));
        }
        problems
    }
}
