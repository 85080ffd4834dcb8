//! A file that a user sends reaches the contact as it is, and costs neither program its size in memory.

use crate::expect::webhook;
use futures::{future::join_all, stream};
use kurir_test_harness::{
    Stack,
    stack::{KEY, SOON},
};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::{convert::Infallible, time::Duration};

const CONTACT: &str = "6281234567890";
const BOUNDARY: &str = "the-boundary-of-the-tests";
const PART: usize = 64 * 1024;
/// Longer than the API waits for the gateway.
const ANSWERED_WITHIN: Duration = Duration::from_secs(300);
/// What neither program may need, whatever it sends.
const MOST_MEMORY: u64 = 150;

/// A form with a file of so many parts, as a program writes it that reads it from its disk.
async fn send(stack: &Stack, to: &str, kind: &str, mimetype: &str, parts: usize) -> (u16, Value) {
    let field = |name: &str, value: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head = format!(
        "{}{}{}--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.bin\"\r\nContent-Type: {mimetype}\r\n\r\n",
        field("to", to),
        field("mediaType", kind),
        field("caption", "Look"),
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let chunks = std::iter::once(head.into_bytes())
        .chain((0..parts).map(|part| vec![part as u8; PART]))
        .chain(std::iter::once(end.into_bytes()));
    let request = stack.api.request(Method::POST, "/api/whatsapp/send-media").header("X-API-Key", KEY);
    let request = request.header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let body = Body::wrap_stream(stream::iter(chunks.map(Ok::<_, Infallible>)));
    let response = request.body(body).timeout(ANSWERED_WITHIN).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_reaches_the_contact_and_message_sent_tells_of_it() {
    let stack = Stack::start().await;
    let (status, answer) = send(&stack, "+62 812-3456-7890", "image", "image/png", 5).await;
    assert_eq!((status, &answer["message"]), (200, &json!("Media message sent successfully")), "{answer}");
    let id = answer["messageId"].as_str().unwrap();
    let got = stack.simulator.contact_receives(CONTACT, "the image", SOON, |got| got["id"] == id).await;
    assert_eq!((&got["type"], &got["copies"]), (&json!("image"), &json!(1)));
    let url = stack.simulator.url(&format!("/contacts/{CONTACT}/messages/{id}/media"));
    let there = kurir_test_harness::http::client().get(url).send().await.unwrap().bytes().await.unwrap();
    let expected: Vec<u8> = (0..5_u8).flat_map(|part| vec![part; PART]).collect();
    assert!(there == expected, "{} bytes arrived", there.len());
    let request = webhook(&stack.receiver, "message.sent", |body| body["event"] == "message.sent").await;
    let data = &request.json()["data"];
    assert_eq!((&data["messageId"], &data["messageType"]), (&json!(id), &json!("image")));
    assert_eq!(
        data["content"],
        json!({"caption": "Look", "text": "Look", "mimetype": "image/png", "fileName": "media.jpg"})
    );
    stack.finish().await;
}

/// `KURIR_MEDIA_MB=50` measures what docs/performance.md tells.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_large_files_at_once_do_not_need_their_size_in_memory() {
    let megabytes: usize = std::env::var("KURIR_MEDIA_MB").ok().and_then(|given| given.parse().ok()).unwrap_or(10);
    let stack = Stack::plan().gateway("WHATSAPP_MEDIA_TIMEOUT", "600s").api("MEDIA_UPLOAD_MAX", "100MB").start().await;
    let parts = megabytes * 1024 * 1024 / PART;
    let began = std::time::Instant::now();
    // To one each, so that none waits for its turn in a chat.
    let numbers: Vec<_> = (0..20).map(|n| format!("62812345678{n:02}")).collect();
    let all = join_all(numbers.iter().map(|to| send(&stack, to, "document", "application/zip", parts))).await;
    for (status, answer) in all {
        assert_eq!(status, 200, "{answer}");
    }
    let (api, gateway) = (peak(stack.api.process.id()), peak(stack.gateway.id()));
    eprintln!(
        "20 files of {megabytes} MB in {:?}: at most {api} MB in the API, {gateway} MB in the gateway",
        began.elapsed()
    );
    assert!(api < MOST_MEMORY && gateway < MOST_MEMORY, "API {api} MB, gateway {gateway} MB");
    stack.finish().await;
}

/// The most memory that a process ever had, in MB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}
