//! The released gateway, which refuses anything but WhatsApp itself.

use kurir_contract::service::ServiceName;
use std::process::ExitCode;

/// Every message causes some hundred allocations: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kurir_chassis::service::main(ServiceName::Gateway, kurir_gateway::run)
}
