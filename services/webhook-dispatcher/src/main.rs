//! The webhook-dispatcher's process.

use kurir_contract::service::Service;
use std::process::ExitCode;

fn main() -> ExitCode {
    kurir_chassis::service::main(Service::WebhookDispatcher, kurir_webhook_dispatcher::run)
}
