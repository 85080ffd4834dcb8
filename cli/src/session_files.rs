//! Sessions as files: the folder of another program goes in, a sealed file goes out and in.

use crate::{
    api_client::{ApiClient, ApiReply},
    history::escape,
    table::{cell, print_one},
};
use anyhow::{Context as _, ensure};
use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// The file without which a folder holds no session.
const CREDENTIALS: &str = "creds.json";

/// Takes over the session of a program that uses Baileys; true if that was done.
pub async fn adopt(api: &ApiClient, folder: &Path, session: &str, as_json: bool) -> anyhow::Result<bool> {
    ensure!(
        folder.join(CREDENTIALS).is_file(),
        "{} holds no {CREDENTIALS}: this is no folder of a Baileys session",
        folder.display()
    );
    let packed = pack(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let reply = api.post_file(&format!("/api/sessions/{}/adopt", escape(session)), packed, None).await?;
    Ok(print_one(&reply, as_json, |done| {
        println!("{session}: {} was taken over; the other program must stay stopped", cell(&done["jid"]));
        for left_out in done["leftOut"].as_array().into_iter().flatten() {
            println!("  not taken over: {}; these keys are made anew", cell(left_out));
        }
    }))
}

/// Writes a stopped session into a sealed file; true if that was done.
pub async fn export(api: &ApiClient, id: &str, to: &Path, passphrase: &str) -> anyhow::Result<bool> {
    let sealed = api.get_sealed(&format!("/api/sessions/{}/export", escape(id)), passphrase).await?;
    match sealed {
        Ok(sealed) => {
            let unwritten = || format!("failed to write {}", to.display());
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).with_context(unwritten)?;
            file.write_all(&sealed).and_then(|()| file.sync_all()).with_context(unwritten)?;
            println!(
                "{id}: {} bytes in {}; do not start it here again once it runs elsewhere",
                sealed.len(),
                to.display()
            );
            Ok(true)
        }
        Err(refusal) => {
            eprintln!("{}", refusal.message());
            Ok(false)
        }
    }
}

/// Makes a session of an exported one.
pub async fn import(api: &ApiClient, file: &Path, id: Option<&str>, passphrase: &str) -> anyhow::Result<ApiReply> {
    let sealed = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    let query = id.map(|id| format!("?id={}", escape(id))).unwrap_or_default();
    api.post_file(&format!("/api/sessions/import{query}"), sealed, Some(passphrase)).await
}

/// A tar file of the folder's JSON files.
fn pack(folder: &Path) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_wanted = name.to_str().is_some_and(|name| name.ends_with(".json")) && entry.path().is_file();
        if is_wanted {
            tar.append_path_with_name(entry.path(), Path::new(&name))?;
        }
    }
    tar.into_inner()
}
