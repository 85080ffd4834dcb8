//! The gateway as it is released: it refuses anything but WhatsApp itself.

use kurir_contract::service::Service;
use std::process::ExitCode;

fn main() -> ExitCode {
    kurir_chassis::service::main(Service::Gateway, kurir_gateway::run)
}
