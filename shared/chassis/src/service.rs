//! The frame of every `main`: settings, telemetry, a runtime, the service itself, an exit code.

use crate::{
    settings::{self, Settings},
    shutdown::{self, CancellationToken},
    telemetry,
};
use kurir_contract::service::Service;
use std::{future::Future, process::ExitCode};

/// Runs a service until it is asked to stop. Exit codes: 0 stopped as asked, 64 bad settings, 1 anything else.
pub fn main<S, F>(service: Service, run: impl FnOnce(S, CancellationToken) -> F) -> ExitCode
where
    S: Settings,
    F: Future<Output = anyhow::Result<()>>,
{
    let settings: S = match settings::read() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let telemetry = telemetry::start(settings.logging(), &settings.log_filter(), service)?;
        let result = run(settings, shutdown::on_signal()?).await;
        if let Err(error) = &result {
            tracing::error!("{service} failed: {error:#}");
        }
        telemetry.end();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{service} failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The line by which whoever started the process sees that it works.
pub fn say_ready() {
    eprintln!("ready");
}
