//! Forms that never end, or never come: refused within bounds on bytes, work and time.

use crate::{
    api::{Api, KEY},
    raw::{connect, read_until},
};
use kurir_test_harness::Nats;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n";

/// Sends `body` in one go or, for `each` bytes, as chunks of HTTP; gives the answer and how long it took.
async fn send(api: &Api, boundary: &str, body: &[u8], each: Option<usize>) -> (String, Duration) {
    let (began, mut stream) = (Instant::now(), connect(api).await);
    let length = each.map_or(format!("Content-Length: {}", 50_000_000), |_| "Transfer-Encoding: chunked".to_owned());
    let head = format!(
        "POST /api/whatsapp/send-media HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n{length}\r\n\
         Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    );
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(head.as_bytes()).await?;
        let bytes = match each {
            None => body.to_vec(),
            Some(each) => body
                .chunks(each)
                .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
                .collect(),
        };
        writer.write_all(&bytes).await
    };
    // The connection ends before all is written, and the answer is there nevertheless.
    let mut text = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        loop {
            match tokio::io::AsyncReadExt::read(&mut reader, &mut buffer).await {
                Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => return,
            }
            if text.ends_with(b"}") {
                return;
            }
        }
    };
    let both = async {
        tokio::select! {
            () = read => {}
            Err(_) = write => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(40), both).await.expect("an end");
    (String::from_utf8_lossy(&text).into_owned(), began.elapsed())
}

#[tokio::test]
async fn a_head_that_does_not_end_is_refused_early() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("MEDIA_UPLOAD_MAX", "100MB")]).await;
    let endless = [PART.as_bytes(), b"X-Fill: ", &vec![b'x'; 30_000_000]].concat();
    let many = [PART.as_bytes(), &b"A: b\r\n".repeat(5_000_000)].concat();
    let preamble = vec![b'x'; 30_000_000];
    // One byte in each chunk: the work for each must not grow with what is there.
    for (what, body, each) in [
        ("one header", &endless, None),
        ("many headers", &many, None),
        ("a preamble", &preamble, None),
        ("one header in bytes", &endless[..200_000].to_vec(), Some(1)),
    ] {
        let (answer, took) = send(&api, "b", body, each).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("more than 64 kB"), "{what}: {answer}");
        assert!(took < Duration::from_secs(10), "{what}: {took:?}");
    }
    let (answer, _) = send(&api, &"b".repeat(1_000), b"", None).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("boundary"), "{answer}");
    let fields = format!("{PART}\r\nx\r\n").repeat(40);
    let (answer, _) = send(&api, "b", fields.as_bytes(), None).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("too many fields"), "{answer}");
    assert!(rss_of(api.process.id()) < 150 << 10, "{} kB", rss_of(api.process.id()));
}

#[tokio::test]
async fn silence_in_a_form_ends_it() {
    let nats = Nats::start().await;
    let api = &Api::start(&nats, &[("MEDIA_UPLOAD_MAX", "100MB")]).await;
    let silent = [PART.to_owned(), format!("{PART}\r\n6281"), "--b".to_owned()].map(|said| async move {
        let (answer, took) = send(api, "b", said.as_bytes(), None).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{said}: {answer}");
        assert!(took < Duration::from_secs(30), "{said}: {took:?}");
    });
    futures::future::join_all(silent).await;
    let mut stream = connect(api).await;
    stream.write_all(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    read_until(&mut stream, |text| text.ends_with('}')).await;
}

/// In kB.
pub fn rss_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
