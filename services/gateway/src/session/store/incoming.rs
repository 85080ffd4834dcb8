//! Keys that come from elsewhere: written into a folder of their own first, and moved to their place in one step, so that a
//! crash leaves either no keys or all of them.

use super::{DATABASE, PHONE, POLLS, SessionStore, key_file};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use wacore_binary::Jid;
use whatsapp_rust::store::{DeviceStore as _, SqliteStore};

/// The folder in which keys wait for their place.
const INCOMING: &str = "incoming";
/// The files that make up a session, which an export holds.
pub const SESSION_FILES: [&str; 4] = [DATABASE, POLLS, PHONE, ORIGIN];
/// What the session was taken from. It outlives a logout, so that a logged-out session is not taken over again.
const ORIGIN: &str = "adopted.json";

/// Where a session's keys came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptionRecord {
    /// The public half of the device's identity key, in hexadecimal digits.
    pub identity: String,
    /// ISO 8601.
    pub adopted_at: String,
}

/// Keys that wait for their place. Dropped, they are gone.
pub struct IncomingKeys {
    folder: PathBuf,
}

impl IncomingKeys {
    /// Begins with an empty folder, inside of the session's own.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn begin(session_folder: &Path) -> anyhow::Result<Self> {
        remove_leftovers(session_folder)?;
        let folder = session_folder.join(INCOMING);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder for the files, under the names that they have in a session's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty database for the keys.
    ///
    /// # Errors
    /// If it cannot be made.
    pub async fn database(&self) -> anyhow::Result<SqliteStore> {
        let file = self.folder.join(DATABASE);
        let path = file.to_str().with_context(|| format!("{} is no text that SQLite takes", file.display()))?;
        SqliteStore::new(path).await.with_context(|| format!("failed to make {}", file.display()))
    }

    /// The account to which the keys belong; none if it was never paired.
    ///
    /// # Errors
    /// If the database is missing or damaged.
    pub async fn account(&self) -> anyhow::Result<Option<Jid>> {
        let file = self.folder.join(DATABASE);
        anyhow::ensure!(file.is_file(), "there is no {} in it", DATABASE);
        key_file::check_keys(&file)?;
        let device = self.database().await?.load().await.context("failed to read the keys")?;
        Ok(device.and_then(|device| device.pn))
    }

    /// Notes where the keys came from.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note_origin(&self, record: &AdoptionRecord) -> anyhow::Result<()> {
        let file = self.folder.join(ORIGIN);
        fs::write(&file, serde_json::to_vec(record)?).with_context(|| format!("failed to write {}", file.display()))
    }
}

impl Drop for IncomingKeys {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("{} holds keys that nobody needs, and was not removed: {error}", self.folder.display());
        }
    }
}

impl SessionStore {
    /// Whether the folder holds the keys of a paired account. Keys that cannot be read count as such.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        key_file::is_paired(&self.folder.join(DATABASE))
    }

    /// Writes the session's files into a folder: the database as one file, and the other files. No client has them open.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn copy_to(&self, folder: &Path) -> anyhow::Result<()> {
        copy_files(&self.folder, folder)
    }

    /// Whether this session has had keys before: nothing is taken over by itself then.
    #[must_use]
    pub fn was_used(&self) -> bool {
        match &self.journal {
            Some(journal) => !journal.is_new(),
            None => self.folder.join(DATABASE).exists() || self.folder.join(ORIGIN).exists(),
        }
    }

    /// Moves keys to their place. The client is not running.
    ///
    /// # Errors
    /// If the session is paired, or the disk fails; the session is unpaired then.
    pub fn install(&self, incoming: IncomingKeys) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_paired(), "the session is paired already");
        let database = incoming.folder.join(DATABASE);
        key_file::close_log(&database).with_context(|| format!("failed to complete {}", database.display()))?;
        self.wipe()?;
        // The database is the last: with it the session is paired.
        let (whole, beside) = (DATABASE, [POLLS, PHONE, ORIGIN]);
        for name in beside.into_iter().chain([whole]) {
            let (from, to) = (incoming.folder.join(name), self.folder.join(name));
            if name == whole {
                sync(&self.folder)?;
            }
            match File::open(&from).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&from, &to)) {
                Err(error) if error.kind() == ErrorKind::NotFound && name != whole => {}
                moved => moved.with_context(|| format!("failed to move {} to its place", from.display()))?,
            }
        }
        sync(&self.folder)
    }
}

/// Copies a session's files from its folder, the database as one file as it is at this moment.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.join(DATABASE).exists() {
        key_file::copy(&from.join(DATABASE), &to.join(DATABASE)).context("failed to copy the keys")?;
    }
    for name in [POLLS, PHONE, ORIGIN] {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to copy {name}"));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes keys that a crash kept from their place.
pub fn remove_leftovers(session_folder: &Path) -> anyhow::Result<()> {
    let folder = session_folder.join(INCOMING);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The session among the others of this gateway that was taken from the same device.
#[must_use]
pub fn find_adopted(sessions: &Path, identity: &str) -> Option<(String, AdoptionRecord)> {
    let folders = fs::read_dir(sessions).ok()?;
    folders.filter_map(Result::ok).find_map(|folder| {
        let record = fs::read(folder.path().join(ORIGIN)).ok()?;
        let record: AdoptionRecord = serde_json::from_slice(&record).ok()?;
        let is_same = record.identity == identity;
        is_same.then(|| (folder.file_name().to_string_lossy().into_owned(), record))
    })
}

/// The session of this gateway that has the keys of this device, `<number>:<device>@s.whatsapp.net`.
#[must_use]
pub fn find_paired(sessions: &Path, device: &str) -> Option<String> {
    let folders = fs::read_dir(sessions).ok()?;
    folders.filter_map(Result::ok).find_map(|folder| {
        let is_same = key_file::device(&folder.path().join(DATABASE)).is_some_and(|found| found == device);
        is_same.then(|| folder.file_name().to_string_lossy().into_owned())
    })
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("failed to write {} to the disk", folder.display()))
}
