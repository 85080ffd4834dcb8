//! What every `main` does: read settings, start telemetry and a runtime, run the service, give an exit code.

use crate::{
    settings::{self, ServiceSettings, SettingProblem},
    shutdown::{self, CancellationToken},
    telemetry,
};
use kurir_contract::service::ServiceName;
use std::{future::Future, process::ExitCode, time::Duration};

/// Time for threads whose work has no end of its own, for example a read from a media server that stalls.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// Runs a service until a signal stops it. Exit codes: 0 stopped by a signal, 64 bad settings, 1 anything else.
pub fn main<S, F>(service: ServiceName, run: impl FnOnce(S, CancellationToken) -> F) -> ExitCode
where
    S: ServiceSettings,
    F: Future<Output = anyhow::Result<()>>,
{
    let (settings, secrets): (S, _) = match settings::load_with_secrets(all_problems::<S>) {
        Ok(loaded) => loaded,
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
        let result = run(settings, shutdown::token_on_signal()?).await;
        if let Err(error) = &result {
            tracing::error!("{service} failed: {error:#}");
        }
        telemetry.end();
        result
    });
    // A thread that waits for a server must not keep the process: all tasks have ended.
    runtime.shutdown_timeout(LAST_THREADS);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{service} failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all_problems<S: ServiceSettings>(settings: &S) -> Vec<SettingProblem> {
    let mut problems = settings.problems();
    problems.extend(settings.logging().problems());
    problems
}

/// Raises the limit of open files, as Go's runtime does.
///
/// Each connection is an open file. On many systems the soft limit is 1,024, for programs older than epoll: a thousand
/// receivers that hang would use the connections of all others.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("failed to raise the limit of open files: {error}");
    }
}

/// Prints the line that tells the process's parent that the service is ready.
pub fn print_ready() {
    eprintln!("ready");
}
