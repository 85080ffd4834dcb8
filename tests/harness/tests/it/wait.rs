use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use kurir_test_harness::until;

use crate::SOON;

#[tokio::test]
async fn until_gives_the_answer_of_the_first_question_that_has_one() {
    let asked = Cell::new(0);
    let answer = until("the third question", SOON, || async {
        asked.set(asked.get() + 1);
        (asked.get() == 3).then_some("here")
    })
    .await;
    assert_eq!((answer, asked.get()), ("here", 3));
}

#[tokio::test]
async fn until_says_what_it_saw_last_when_it_waited_in_vain() {
    let question = || async { Err::<(), _>("half of it") };
    let waiting = until("all of it", Duration::from_millis(50), question);
    let text = panic_of(waiting).await;
    assert!(text.contains("all of it") && text.contains("half of it"), "{text}");
    assert!(text.contains("wait.rs"), "it names the place: {text}");
}

#[tokio::test]
async fn until_gives_up_on_a_question_that_never_returns() {
    let question = || async { std::future::pending::<bool>().await };
    let text = panic_of(until("godot", Duration::from_millis(50), question)).await;
    assert!(text.contains("did not end"), "{text}");
}

/// The text of the panic in which `future` ends.
pub async fn panic_of(future: impl Future) -> String {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(_) => panic!("it did not panic"),
        Err(panic) => panic.downcast_ref::<String>().unwrap().clone(),
    }
}
