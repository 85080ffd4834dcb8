//! A received file arrives at the webhook and under its link, the same bytes, from whichever replica of the API.

use crate::expect::webhook;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_test_harness::{Process, Stack, http, until};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::task::JoinSet;

const CONTACT: &str = "6281234567890";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_in_the_body_and_under_its_link_at_every_replica() {
    let stack = Stack::start().await;
    let replica = stack.api.replica(&stack.nats.url()).await;
    let file: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let id = stack.simulator.contact_sends(CONTACT, json!({"type": "image", "size": file.len()})).await;
    let request = webhook(&stack.receiver, "the image", |body| body["data"]["messageId"] == id.as_str()).await;
    let content = &request.json()["data"]["content"];
    assert_eq!(content["mediaDownloaded"], true, "{}", content["error"]);
    let base64 = content["base64"].as_str().unwrap_or_default();
    assert!(BASE64_STANDARD.decode(base64).unwrap() == file, "the body has another file");
    let link = content["downloadUrl"].as_str().unwrap();
    for api in [&stack.api, &replica] {
        let answer = http::client().get(api.url(link)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "image/jpeg"));
        assert!(answer.bytes().await.unwrap() == file, "the link leads to another file");
    }
    stack.settled().await;
    stack.finish().await;
}

/// The most that a service may ever have had in memory, in kB.
const SMALL: u64 = 150_000;
const FILES: usize = 20;
const SIZE: usize = 50_000_000;

/// What the kernel says was the most.
fn most_memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a gigabyte through every part takes minutes: cargo test -p kurir-end-to-end -- --ignored twenty_files"]
async fn twenty_files_of_50_mb_at_once_leave_every_service_small() {
    let mut stack = Stack::start().await;
    let mut ids = BTreeSet::new();
    for n in 0..FILES {
        let contact = format!("62812345679{n:02}");
        ids.insert(stack.simulator.contact_sends(&contact, json!({"type": "video", "size": SIZE})).await);
    }
    let links = until("every file to be kept", Duration::from_secs(900), || async {
        let events = stack.events().await;
        let kept = events.iter().map(|(_, _, body)| &body["data"]);
        let kept: BTreeMap<&str, &str> = kept
            .filter_map(|data| Some((data["messageId"].as_str()?, data["content"]["downloadUrl"].as_str()?)))
            .collect();
        let links: Vec<String> = kept.values().map(|link| (*link).to_owned()).collect();
        if ids.iter().all(|id| kept.contains_key(id.as_str())) { Ok(links) } else { Err(links.len()) }
    })
    .await;
    let mut readers = JoinSet::new();
    for link in links {
        let url = stack.api.url(&link);
        readers.spawn(async move {
            let mut answer = reqwest::get(url).await.unwrap();
            let mut length = 0;
            while let Some(piece) = answer.chunk().await.unwrap() {
                assert!(piece.iter().enumerate().all(|(n, byte)| usize::from(*byte) == (length + n) % 251));
                length += piece.len();
            }
            length
        });
    }
    assert_eq!(readers.join_all().await, [SIZE; FILES]);
    stack.settled().await;
    let nats = most_memory(stack.nats.process());
    let services = [&stack.gateway, &stack.api.process, &stack.dispatchers[0]];
    let most = services.map(|service| (service.name().to_owned(), most_memory(service)));
    eprintln!("the most memory in kB: {most:?}, nats-server {nats}");
    assert!(most.iter().all(|(_, most)| *most < SMALL), "{most:?}");
    stack.finish().await;
}
