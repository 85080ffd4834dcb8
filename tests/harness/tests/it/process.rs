use std::panic::{AssertUnwindSafe, catch_unwind};

use kurir_test_harness::{Process, until};

use crate::SOON;
use crate::wait::panic_of;

/// A real program with this script.
fn sh(script: &str) -> Process {
    Process::spawn_with_arguments("sh", "/bin/sh", ["-c", script], [("KURIR_SETTING", "one")])
}

#[tokio::test]
async fn a_process_is_ready_when_it_says_so_on_standard_error() {
    let mut process = sh("echo ready; echo not yet >&2; echo ready >&2; exec sleep 600");
    process.wait_ready(SOON).await;
    let line = process.wait_for_line(|line| line.starts_with("not"), SOON).await;
    assert_eq!(line, "not yet");
    assert!(process.is_running());
}

#[tokio::test]
async fn a_process_has_its_settings_and_no_others_in_an_empty_folder() {
    let mut process = sh("env; echo entries: $(ls | wc -l); pwd; echo ready >&2; exec sleep 600");
    process.wait_ready(SOON).await;
    let output = until("all of it", SOON, || async {
        let output = process.output();
        output.contains("kurir-").then_some(output)
    })
    .await;
    assert!(output.contains("KURIR_SETTING=one") && output.contains("entries: 0"), "{output}");
    // Cargo sets this one for every test.
    assert!(!output.contains("CARGO_MANIFEST_DIR"), "{output}");
}

#[tokio::test]
async fn terminate_gives_the_exit_status_and_all_that_was_said() {
    let mut process = sh("trap 'echo drained; exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done");
    process.wait_ready(SOON).await;
    assert_eq!(process.terminate(SOON).await.code(), Some(3));
    assert!(process.output().ends_with("drained\n"));
}

#[tokio::test]
async fn a_restarted_process_has_its_folder_still_and_must_say_ready_anew() {
    let mut process = sh("ls; touch left; test $KURIR_SETTING = two || echo ready >&2; exec sleep 600");
    process.wait_ready(SOON).await;
    let first = process.id();
    process.kill_9().await;
    process.start_again();
    process.wait_ready(SOON).await;
    process.wait_for_line(|line| line == "left", SOON).await;
    assert_ne!(process.id(), first);

    process.set_env("KURIR_SETTING", "two");
    process.restart().await;
    let text = panic_of(process.wait_ready(std::time::Duration::from_millis(300))).await;
    assert!(text.contains("in vain"), "{text}");
}

#[tokio::test]
async fn waiting_for_a_process_that_ended_shows_its_last_words_at_once() {
    let mut process = sh("echo no such setting >&2; exit 64");
    let text = panic_of(process.wait_ready(SOON)).await;
    assert!(text.contains("no such setting") && text.contains("64"), "{text}");
    assert_eq!(process.exited(SOON).await.code(), Some(64));
}

#[tokio::test]
async fn a_process_that_ended_unasked_fails_the_test() {
    let mut process = sh("exit 1");
    until("its end", SOON, || {
        let ended = !process.is_running();
        async move { ended }
    })
    .await;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(process)));
    let text = dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("ended by itself"), "{text}");
}

#[tokio::test]
async fn a_dropped_process_is_gone_with_its_folder_even_if_it_hangs() {
    let mut process = sh("trap '' TERM; echo ready >&2; while :; do sleep 0.01; done");
    process.wait_ready(SOON).await;
    process.pause();
    let (id, folder) = (process.id(), process.folder().to_owned());
    drop(process);
    assert!(!folder.exists());
    let alive = std::process::Command::new("sh").args(["-c", &format!("kill -0 {id} 2>/dev/null")]).status();
    assert!(!alive.unwrap().success());
}
