//! The binary `kurir-api`: reads the settings and runs the service until it is asked to stop.

use kurir_contract::service::ServiceName;
use std::process::ExitCode;

/// Gives memory back to the system when a rush of requests is over; glibc's allocator keeps most of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kurir_chassis::service::main(ServiceName::Api, kurir_api::run)
}
