//! The frame of every `main`: settings, telemetry, a runtime, the service itself, an exit code.

use crate::{
    settings::{self, ServiceSettings},
    shutdown::{self, CancellationToken},
    telemetry,
};
use kurir_contract::service::ServiceName;
use std::{future::Future, process::ExitCode};

/// Runs a service until it is asked to stop. Exit codes: 0 stopped as asked, 64 bad settings, 1 anything else.
pub fn main<S, F>(service: ServiceName, run: impl FnOnce(S, CancellationToken) -> F) -> ExitCode
where
    S: ServiceSettings,
    F: Future<Output = anyhow::Result<()>>,
{
    let (settings, secrets): (S, _) = match settings::read_with_secrets() {
        Ok(read) => read,
        Err(code) => return code,
    };
    allow_many_connections();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let telemetry = telemetry::start(settings.logging(), &settings.log_filter(), &secrets, service)?;
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

/// Each connection is an open file, and the soft limit is 1,024 on many a system, for the sake of programs older than
/// epoll: a thousand receivers that hang would take the connections of all others. As Go's runtime does it.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("the limit of open files stays as it is: {error}");
    }
}

/// The line by which whoever started the process sees that it works.
pub fn say_ready() {
    eprintln!("ready");
}
