//! `kurir tail` and `kurir listen`: events as they are stored. Both come back by themselves after a cut, without a gap.

use crate::{api_client::ApiClient, table::cell};
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Client, Url};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde_json::Value;
use std::{
    io::IsTerminal as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Before the next try to reach an API that is away.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// As the dispatcher waits for a receiver.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Prints events until the user ends it.
pub async fn tail(api: &ApiClient, query: &str, as_json: bool) -> anyhow::Result<bool> {
    let colour = std::io::stdout().is_terminal();
    follow(api, query, async |event| {
        if as_json {
            println!("{event}");
            return;
        }
        let (at, session, kind) = (cell(&event["storedAt"]), cell(&event["session"]), cell(&event["event"]));
        let data = &event["body"]["data"];
        let what = ["content", "status", "state", "errorMessage"]
            .iter()
            .map(|name| &data[*name])
            .find(|value| !value.is_null());
        let what = what.map(|what| if what["text"].is_string() { cell(&what["text"]) } else { cell(what) });
        let who = cell(&data["chat"]["jid"]);
        let kind = if colour { format!("\u{1b}[36m{kind}\u{1b}[0m") } else { kind };
        println!("{at} {session} {kind} {who} {}", what.unwrap_or_default());
    })
    .await
}

/// Forwards events to a URL, signed, and prints the answers until the user ends it.
pub async fn listen(api: &ApiClient, to: &Url, query: &str, secret: Option<&str>) -> anyhow::Result<bool> {
    let (secret, key) = signing_key(secret)?;
    println!("Events go to {to}; they are signed with {secret}");
    let client = Client::builder().timeout(ANSWERS_WITHIN).build().context("failed to make an HTTP client")?;
    follow(api, query, async |event| {
        let (id, body) = (event["id"].as_str().unwrap_or_default(), event["body"].to_string());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, format!("{id}.{now}.{body}").as_bytes()));
        let request = client
            .post(to.clone())
            .header("Content-Type", "application/json")
            .header("User-Agent", "WhatsApp-API-Webhook/1.0.0")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", format!("v1,{signature}"));
        let kind = cell(&event["event"]);
        match request.body(body).send().await {
            Ok(answer) => println!("{kind} {id}: {}", answer.status()),
            Err(error) => println!("{kind} {id}: {error}"),
        }
    })
    .await
}

/// The secret as receivers take it, and the key in it; a new one if none is given.
fn signing_key(given: Option<&str>) -> anyhow::Result<(String, hmac::Key)> {
    let secret = match given {
        Some(given) => given.to_owned(),
        None => {
            let mut random = [0_u8; 24];
            SystemRandom::new().fill(&mut random).map_err(|_| anyhow::anyhow!("the system gave no random bytes"))?;
            format!("whsec_{}", BASE64_STANDARD.encode(random))
        }
    };
    let bytes = secret.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let bytes = bytes.context("--secret must be whsec_ and base64, as the API shows an endpoint's secret")?;
    Ok((secret, hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

/// Gives each event to `take`, in order, and goes on behind the last one after a cut.
async fn follow(api: &ApiClient, query: &str, take: impl AsyncFn(&Value)) -> anyhow::Result<bool> {
    let mut last: Option<String> = None;
    // A sequence counts in its stream only.
    let mut stream: Option<String> = None;
    let mut is_first = true;
    loop {
        let place =
            last.as_ref().map(|last| stream.iter().fold(last.clone(), |last, stream| format!("{last}-{stream}")));
        let opened = api.open_stream(&format!("/api/events/stream?{query}"), place.as_deref()).await;
        let mut response = match opened {
            Ok(response) => response,
            Err(error) if is_first => return Err(error),
            Err(_) => {
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        is_first = false;
        let mut buffer = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let frame = String::from_utf8_lossy(&buffer[..end]).into_owned();
                buffer.drain(..end + 2);
                let frame = Frame::parse(&frame);
                if let (Some(data), None) = (&frame.data, &frame.name) {
                    take(data).await;
                } else if let (Some(data), Some(name)) = (&frame.data, &frame.name) {
                    eprintln!("{name}: {data}");
                }
                last = frame.id.or(last);
                stream = frame.stream.or(stream);
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq)]
struct Frame {
    id: Option<String>,
    /// The stream in which the id counts, in a comment.
    stream: Option<String>,
    name: Option<String>,
    data: Option<Value>,
}

impl Frame {
    fn parse(text: &str) -> Self {
        let mut frame = Self::default();
        for line in text.lines() {
            if let Some(stream) = line.strip_prefix(": stream ") {
                frame.stream = Some(stream.to_owned());
            }
            match line.split_once(": ") {
                Some(("id", id)) => frame.id = Some(id.to_owned()),
                Some(("event", name)) => frame.name = Some(name.to_owned()),
                Some(("data", data)) => frame.data = serde_json::from_str(data).ok(),
                Some(_) | None => {}
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_heartbeat_is_no_event_and_moves_the_place() {
        assert_eq!(Frame::parse(": alive\nid: 7"), Frame { id: Some("7".to_owned()), ..Frame::default() });
        assert_eq!(Frame::parse(": alive\nid: 7\n: stream 176").stream.as_deref(), Some("176"));
        let event = Frame::parse("id: 8\ndata: {\"a\":\"b: c\"}");
        assert_eq!((event.id.as_deref(), event.data), (Some("8"), Some(json!({"a": "b: c"}))));
        assert_eq!(Frame::parse("event: gap\nid: 9\ndata: {}").name.as_deref(), Some("gap"));
    }

    #[test]
    fn a_secret_is_taken_or_made_and_a_wrong_one_refused() {
        assert!(signing_key(None).is_ok_and(|(secret, _)| secret.starts_with("whsec_")));
        assert!(signing_key(Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).is_ok());
        assert!(signing_key(Some("hello")).is_err());
    }
}
