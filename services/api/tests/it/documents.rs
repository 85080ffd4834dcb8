//! The README names every command.

use crate::{api::Api, openapi::operations};
use kurir_test_harness::Nats;
use std::{fs, path::Path};

#[tokio::test]
async fn the_readme_names_every_command() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).expect("the README");
    let operations = operations(&api).await;
    let commands: Vec<_> = operations.iter().filter_map(|one| one.path.strip_prefix("/api/whatsapp/")).collect();
    assert!(commands.len() > 50, "{commands:?}");
    let missing: Vec<_> = commands.iter().filter(|command| !readme.contains(&format!("`{command}`"))).collect();
    assert!(missing.is_empty(), "the README lacks {missing:?}");
}
