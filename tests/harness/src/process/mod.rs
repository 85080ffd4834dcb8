//! A program that runs for a test, with a clean environment and its own folder. Its output is kept.
//!
//! No program survives its test: a drop kills it by its id. A program that ends by itself fails the test.

mod output;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wait::until;
use output::{OutputSource, ProcessOutput};

/// The deadline of a SIGKILL: only a process in an uninterruptible system call takes longer.
const KILLED_WITHIN: Duration = Duration::from_secs(10);
/// The deadline of a SIGSTOP.
const PAUSED_WITHIN: Duration = Duration::from_secs(10);
/// The deadline of the stop in [`Process::restart`]: longer than any service's drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);
/// The deadline for reading the output of a dropped process: its own child may keep the output open.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// How many lines of a dropped process are printed. The test runner shows them only for failed tests.
const TAIL: usize = 200;

/// The only variables that the program inherits, so that no setting of the developer reaches it.
const INHERITED: [&str; 3] = ["PATH", "LANG", "LLVM_PROFILE_FILE"];

#[derive(Debug)]
pub struct Process {
    name: String,
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: TempDir,
    child: Child,
    output: ProcessOutput,
    /// Whether the test asked for the end of the present run.
    end_expected: bool,
}

impl Process {
    /// Starts `binary` with these settings and no others, in an empty folder.
    #[track_caller]
    pub fn spawn<K, V>(name: &str, binary: impl AsRef<Path>, environment: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self::spawn_with_arguments(name, binary, [""; 0], environment)
    }

    /// As [`Process::spawn`], with arguments.
    #[track_caller]
    pub fn spawn_with_arguments<A, K, V>(
        name: &str,
        binary: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = A>,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        A: Into<OsString>,
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let folder = match tempfile::Builder::new().prefix("kurir-").tempdir() {
            Ok(folder) => folder,
            Err(problem) => panic!("no folder for {name}: {problem}"),
        };
        let binary = binary.as_ref().to_owned();
        let arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        let environment: Vec<_> = environment.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let output = ProcessOutput::default();
        let child = start(name, &binary, &arguments, &environment, folder.path(), &output);
        Self { name: name.to_owned(), binary, arguments, environment, folder, child, output, end_expected: false }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its working folder. Restarts keep it, a drop removes it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another program for the next start, for example another version.
    pub fn set_binary(&mut self, binary: impl AsRef<Path>) {
        self.binary = binary.as_ref().to_owned();
    }

    /// Sets a variable for the next start.
    pub fn set_env(&mut self, key: impl Into<OsString>, value: impl Into<OsString>) {
        let key = key.into();
        self.environment.retain(|(known, _)| *known != key);
        self.environment.push((key, value.into()));
    }

    /// Removes a variable for the next start.
    pub fn unset_env(&mut self, key: impl Into<OsString>) {
        let key = key.into();
        self.environment.retain(|(known, _)| *known != key);
    }

    /// Waits for the line `ready` on standard error, in the present run.
    pub async fn wait_ready(&mut self, deadline: Duration) {
        self.wait_for(&format!("{} to be ready", self.name), deadline, |source, line| {
            source == OutputSource::Stderr && line == "ready"
        })
        .await;
    }

    /// Waits for a line of the present run on either output, and returns it.
    pub async fn wait_for_line(&mut self, predicate: impl Fn(&str) -> bool, deadline: Duration) -> String {
        self.wait_for(&format!("a line of {}", self.name), deadline, |_, line| predicate(line)).await
    }

    async fn wait_for(
        &mut self,
        what: &str,
        deadline: Duration,
        predicate: impl Fn(OutputSource, &str) -> bool,
    ) -> String {
        let mut next = self.output.first_line_of_life();
        until(what, deadline, || {
            // Checked before the search: all lines from before the end are there then.
            let ended = self.child.try_wait().ok().flatten().filter(|_| self.output.is_complete());
            let (found, seen) = self.output.find(next, &predicate);
            next = seen;
            let answer = match (found, ended) {
                (Some(line), _) => Ok(line),
                (None, Some(status)) => {
                    panic!("waited for {what}, but it ended with {status}\n{}", self.output.tail(TAIL))
                }
                (None, None) => Err(LastLines(self.output.tail(10))),
            };
            async { answer }
        })
        .await
    }

    /// All lines of both outputs, of all runs.
    pub fn output(&self) -> String {
        self.output.tail(usize::MAX)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill_9(&mut self) {
        self.end_expected = true;
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.exited(KILLED_WITHIN).await;
    }

    /// Sends SIGTERM, waits for the end, and returns the exit status.
    pub async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.end_expected = true;
        self.signal("TERM");
        self.exited(deadline).await
    }

    /// Waits for an end that the test expects, such as that of a program with bad settings.
    pub async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        self.end_expected = true;
        let (name, child, output) = (&self.name, &mut self.child, &self.output);
        until(format!("{name} to end"), deadline, || {
            let status = match child.try_wait() {
                // By then its last lines are read, too.
                Ok(Some(status)) if output.is_complete() => Ok(status),
                _ => Err(LastLines(output.tail(10))),
            };
            async { status }
        })
        .await
    }

    /// Stops it as a supervisor does, if it runs, and starts it again in the same folder.
    pub async fn restart(&mut self) {
        if self.is_running() {
            self.terminate(STOPPED_WITHIN).await;
        }
        self.start_again();
    }

    /// Starts it again in the same folder, after its end.
    #[track_caller]
    pub fn start_again(&mut self) {
        if self.is_running() {
            panic!("{} still runs: kill_9() or terminate() it first", self.name);
        }
        self.fail_if_it_has_ended();
        self.output.begin_life();
        self.child =
            start(&self.name, &self.binary, &self.arguments, &self.environment, self.folder.path(), &self.output);
        self.end_expected = false;
    }

    /// Sends SIGSTOP: it keeps its connections and does nothing, as on a machine that hangs.
    #[track_caller]
    pub fn pause(&mut self) {
        self.signal("STOP");
        // On a busy machine a thread continues for a moment after the signal, and answers a request that must get no answer.
        let deadline = Instant::now() + PAUSED_WITHIN;
        while self.is_running() && !is_paused(self.child.id()) {
            assert!(Instant::now() < deadline, "{} does not pause", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGCONT after [`Process::pause`].
    pub fn resume(&mut self) {
        self.signal("CONT");
    }

    /// Sends a signal by its name without `SIG`.
    #[track_caller]
    pub fn signal(&mut self, signal: &str) {
        if !self.is_running() {
            return;
        }
        // The shell's built-in `kill`, because small systems have no program of that name. The id is still the child's, because
        // nobody else waits for it.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -s {signal} {}", self.id())).status();
        if !sent.as_ref().is_ok_and(ExitStatus::success) {
            panic!("cannot send SIG{signal} to {}: {sent:?}", self.name);
        }
    }

    #[track_caller]
    fn fail_if_it_has_ended(&mut self) {
        if let (false, Ok(Some(status))) = (self.end_expected, self.child.try_wait()) {
            panic!("{} ended by itself with {status}:\n{}", self.name, self.output.tail(TAIL));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let died = self.child.try_wait().ok().flatten();
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.output.wait_until_complete(LAST_WORDS_WITHIN);
        eprintln!("--- {} (process {}) last lines:\n{}---", self.name, self.child.id(), self.output.tail(TAIL));
        if let (false, Some(status), false) = (self.end_expected, died, std::thread::panicking()) {
            panic!("{} ended by itself with {status}; its last lines are above", self.name);
        }
    }
}

#[track_caller]
fn start(
    name: &str,
    binary: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    folder: &Path,
    output: &ProcessOutput,
) -> Child {
    let inherited = INHERITED.into_iter().filter_map(|key| Some((key, std::env::var_os(key)?)));
    let child = Command::new(binary)
        .args(arguments)
        .env_clear()
        .envs(inherited)
        .env("HOME", folder)
        .env("RUST_BACKTRACE", "1")
        // Traces for panics only: an error that is logged with its trace blocks a loaded gateway for seconds.
        .env("RUST_LIB_BACKTRACE", "0")
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(mut child) => {
            if let Some(stdout) = child.stdout.take() {
                output.read(OutputSource::Stdout, stdout);
            }
            if let Some(stderr) = child.stderr.take() {
                output.read(OutputSource::Stderr, stderr);
            }
            child
        }
        Err(problem) => panic!("cannot start {name} ({}): {problem}", binary.display()),
    }
}

/// The last lines of a process. `Debug` prints them as lines.
struct LastLines(String);

impl std::fmt::Debug for LastLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "its last lines:\n{}", self.0)
    }
}

/// Whether each thread of a process has stopped; true if the system does not say.
fn is_paused(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // `<id> (<name>) <state> …`; a name may contain anything. A thread that has ended counts as stopped.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
