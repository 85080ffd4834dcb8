//! The gateway for tests and the demo. It differs from the released one in a compiled-in feature: its client trusts the
//! WhatsApp simulator's certificates (see Cargo.toml). It is never part of a release.

use kurir_contract::service::ServiceName;
use std::process::ExitCode;

/// Every message causes some hundred allocations: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kurir_chassis::service::main(ServiceName::Gateway, kurir_gateway::run)
}
