//! The binary `kurir-api`: reads the settings and runs the service until it is asked to stop.

use kurir_contract::service::ServiceName;
use std::process::ExitCode;

fn main() -> ExitCode {
    kurir_chassis::service::main(ServiceName::Api, kurir_api::run)
}
