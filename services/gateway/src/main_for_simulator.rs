//! The gateway for tests and the demo: the same, but its client trusts the WhatsApp simulator's certificates (a feature
//! that is compiled in, see Cargo.toml). Never part of a release.

use kurir_contract::service::ServiceName;
use std::process::ExitCode;

/// Every message allocates some hundred times: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kurir_chassis::service::main(ServiceName::Gateway, kurir_gateway::run)
}
