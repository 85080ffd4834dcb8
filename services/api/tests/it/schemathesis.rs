//! `schemathesis` (PyPI) makes requests out of the document: no answer is a server error, and each is what the document says.
//!
//! The test installs it into a virtual environment under `target`; where that is not possible it says aloud that it is
//! skipped.

use crate::{
    api::{Api, KEY},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command as GatewayCommand;
use kurir_test_harness::{Nats, binaries};
use serde_json::json;
use std::{path::PathBuf, time::Duration};
use tokio::{process::Command, time::timeout};

const VERSION: &str = "4.32.5";
const INSTALLED_WITHIN: Duration = Duration::from_secs(180);
/// The run ends by its own bound on examples; on two busy cores it needs about a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(240);

/// Ends the session, waits for a dispatcher, which does not run here, or never ends.
const EXCLUDED: [&str; 5] = ["logout", "testEndpoint", "testWebhook", "sendEvent", "followEvents"];

/// The same requests in every run, for a minute at most.
const BOUNDS: &str = "--phases examples,fuzzing --max-examples 5 --max-time 60 --workers 2 --seed 7 --request-timeout 20 \
                      --suppress-health-check all --generation-database none --no-color";

/// The program, installed if it is not there yet; none where it cannot be had.
async fn schemathesis() -> Result<PathBuf, String> {
    let folder = binaries::folder().join(format!("../schemathesis-{VERSION}"));
    let program = folder.join("bin/st");
    if program.is_file() {
        return Ok(program);
    }
    let run = async |mut command: Command| -> Result<(), String> {
        let output = timeout(INSTALLED_WITHIN, command.kill_on_drop(true).output()).await;
        let output = output.map_err(|_| "it took too long".to_owned())?.map_err(|error| error.to_string())?;
        let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(problem) }
    };
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    run(venv).await?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", &format!("schemathesis=={VERSION}")]);
    run(pip).await?;
    Ok(program)
}

#[tokio::test]
async fn each_answer_is_what_the_document_says() {
    let program = match schemathesis().await {
        Ok(program) => program,
        Err(problem) => {
            eprintln!("SKIPPED: schemathesis {VERSION} cannot be installed: {problem}");
            return;
        }
    };
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    // A gateway that is connected and refuses everything else.
    let _gateway = Gateway::start(&nats, "default", |command, _| {
        Some(match command {
            GatewayCommand::Status => connected(),
            _ => json!({"error": {"code": "invalid_request", "message": "the stand-in does nothing"}}),
        })
    })
    .await;
    let checks = "status_code_conformance,content_type_conformance,response_schema_conformance";
    let mut run = Command::new(program);
    run.args(["run", &api.url("/openapi.json"), "--checks", checks, "--header", &format!("X-API-Key: {KEY}")])
        // The routes of a named session are those of `default` once more; a test of a webhook waits for a dispatcher.
        .args(["--exclude-path-regex", "^/api/sessions/"])
        .args(EXCLUDED.iter().flat_map(|id| ["--exclude-operation-id", id]))
        .args(BOUNDS.split(' '))
        // It keeps what it found in its folder.
        .current_dir(api.process.folder())
        .kill_on_drop(true);
    let output = timeout(ENDS_WITHIN, run.output()).await.expect("an end").expect("schemathesis runs");
    let text = String::from_utf8_lossy(&output.stdout);
    // A 503 is no failure here (no dispatcher runs); a 500 is one, although the document names it.
    let log = api.process.output();
    let failed: Vec<_> = log.lines().filter(|line| line.contains("http.status=500")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
