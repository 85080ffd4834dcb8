//! Section "Logs and scripts": lines that people grep for, and the old test script's successor.

use kurir_test_harness::{Answer, Stack, binaries::binary, stack::SOON};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_file_has_every_line_that_is_promised() {
    let mut stack = Stack::plan().dispatcher("LOG_FILE", "logs/app.log").start().await;
    stack.settled().await;
    stack.receiver.always(Answer::status(500));
    stack.simulator.contact_writes("6281234567890", "only failures").await;
    let dispatcher = &mut stack.dispatchers[0];
    dispatcher.wait_for_line(|line| line.contains("All webhook attempts failed"), SOON).await;
    let file = dispatcher.folder().join("logs/app.log");
    stack.receiver.always(Answer::status(200));
    for promised in [
        "Sending webhook message.received (attempt 1/4)",
        "Webhook attempt 1 failed: ",
        "Retrying webhook in 2000ms",
        "Retrying webhook in 4000ms",
        "Retrying webhook in 8000ms",
        "Sending webhook message.received (attempt 4/4)",
        "All webhook attempts failed for event: message.received",
        "Webhook sent successfully: connection.status",
    ] {
        kurir_test_harness::until(format!("the log to have {promised:?}"), SOON, || async {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            let line = log.lines().find(|line| line.contains(promised)).map(str::to_owned).ok_or(log)?;
            if line.contains("webhook") { Ok(()) } else { Err(line) }
        })
        .await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_script_goes_on_under_its_new_name() {
    let stack = Stack::start().await;
    for arguments in [&["status"][..], &["test"], &["custom"], &["message"], &[]] {
        let kurir = Command::new(binary("kurir"))
            .arg("webhook")
            .args(arguments)
            .env_clear()
            .env("API_KEY", kurir_test_harness::stack::KEY)
            .env("KURIR_URL", stack.api.url(""))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&kurir.stdout);
        assert!(kurir.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&kurir.stderr));
    }
    stack.finish().await;
}
