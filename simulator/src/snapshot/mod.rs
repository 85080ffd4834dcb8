//! What survives a restart, as one JSON file in the state folder: the server's key, everybody with
//! keys and sessions, queues, ledger and groups. Promises that the file is whole: written beside,
//! synced, renamed. A process that is killed loses what happened since the last write, at most
//! [`EVERY`]; one that is stopped loses nothing. Media and faults are not kept.

mod base64_bytes;
pub use base64_bytes::base64_field;
mod companion_record;
mod records;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use records::StateSnapshot;

use crate::state::{ServerState, SharedState};

/// How much a killed process may lose, against how often everything is written.
const EVERY: Duration = Duration::from_secs(1);

const FILE: &str = "simulator.json";

/// Puts what the folder holds into a new server. False: an empty folder is a beginning.
pub fn restore(server: &mut ServerState, folder: &Path) -> Result<bool> {
    fs::create_dir_all(folder).with_context(|| format!("make the folder {} (SIMULATOR_STATE)", folder.display()))?;
    let path = folder.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let snapshot: StateSnapshot = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not a state of this simulator", path.display()))?;
    snapshot.restore(server).with_context(|| format!("restore the state of {}", path.display()))?;
    Ok(true)
}

/// Writes the state whenever something changed, and once more at the end.
pub async fn keep(shared: SharedState, folder: PathBuf) -> Result<()> {
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(EVERY) => false,
            () = shared.stop.cancelled() => true,
        };
        save(&shared, &folder).await?;
        if stopping {
            return Ok(());
        }
    }
}

/// Writes the state if something changed since the last time.
async fn save(shared: &SharedState, folder: &Path) -> Result<()> {
    let snapshot = {
        let mut server = shared.lock();
        if !std::mem::take(&mut server.dirty) {
            return Ok(());
        }
        StateSnapshot::of(&server)?
    };
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || write(&folder, &snapshot)).await?
}

fn write(folder: &Path, snapshot: &StateSnapshot) -> Result<()> {
    let beside = folder.join(format!("{FILE}.new"));
    let path = folder.join(FILE);
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(snapshot)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // The new name is on disk only once the folder is.
        File::open(folder)?.sync_all()?;
        anyhow::Ok(())
    })();
    written.with_context(|| format!("write {}", path.display()))
}
