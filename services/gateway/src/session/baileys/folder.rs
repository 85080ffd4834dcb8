//! The files of a Baileys folder, read once.

use super::UnusableFolder;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    path::Path,
};

/// The file without which there is no session.
pub const CREDENTIALS_FILE: &str = "creds.json";
/// The most bytes of one file. The largest hold the state of a long list of settings.
const LARGEST_FILE: u64 = 16 << 20;
/// The most bytes of all files together.
const LARGEST_FOLDER: u64 = 256 << 20;
/// The most files: an account with 30,000 sessions has about as many.
const MOST_FILES: usize = 200_000;

/// The JSON files of a folder, by name.
pub struct BaileysFolder {
    files: BTreeMap<String, Vec<u8>>,
}

impl BaileysFolder {
    /// Whether the folder looks like one that Baileys wrote.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join(CREDENTIALS_FILE).is_file()
    }

    /// Reads a folder, without what is in its own folders.
    ///
    /// # Errors
    /// If the folder or one of its files cannot be read, or if it is too large.
    pub fn read(path: &Path) -> Result<Self, UnusableFolder> {
        let unreadable = |error: std::io::Error| {
            UnusableFolder::new(&path.display().to_string(), format!("cannot be read: {error}"))
        };
        let mut folder = Self { files: BTreeMap::new() };
        let mut room = LARGEST_FOLDER;
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.ends_with(".json") || !entry.path().is_file() {
                continue;
            }
            let content = read_file(&entry.path()).map_err(|problem| UnusableFolder::new(&name, problem))?;
            room = room.checked_sub(content.len() as u64).ok_or_else(|| too_large(path))?;
            folder.insert(name, content, path)?;
        }
        Ok(folder)
    }

    /// Reads a tar file of such a folder, with or without the folder's own name in it.
    ///
    /// # Errors
    /// If it is no tar file, holds several folders, or is too large.
    pub fn from_tar(from: impl Read) -> Result<Self, UnusableFolder> {
        let whole = Path::new("the tar file");
        let unreadable =
            |error: std::io::Error| UnusableFolder::new("the tar file", format!("cannot be read: {error}"));
        let mut folder = Self { files: BTreeMap::new() };
        let (mut room, mut parent) = (LARGEST_FOLDER, None);
        for entry in tar::Archive::new(from).entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let path = entry.path().map_err(unreadable)?.into_owned();
            let name = path.file_name().and_then(OsStr::to_str).map(str::to_owned);
            let Some(name) = name.filter(|name| name.ends_with(".json") && entry.header().entry_type().is_file())
            else {
                continue;
            };
            let beside = path.parent().map(Path::to_owned).unwrap_or_default();
            if *parent.get_or_insert_with(|| beside.clone()) != beside {
                return Err(UnusableFolder::new(
                    "the tar file",
                    "holds more than one folder: take the one with creds.json",
                ));
            }
            if entry.size() > LARGEST_FILE {
                return Err(UnusableFolder::new(&name, format!("has more than {LARGEST_FILE} bytes")));
            }
            room = room.checked_sub(entry.size()).ok_or_else(|| too_large(whole))?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(unreadable)?;
            folder.insert(name, content, whole)?;
        }
        Ok(folder)
    }

    fn insert(&mut self, name: String, content: Vec<u8>, path: &Path) -> Result<(), UnusableFolder> {
        if self.files.len() >= MOST_FILES {
            return Err(too_large(path));
        }
        self.files.insert(name, content);
        Ok(())
    }

    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The files of one sort: what stands between `prefix` and `.json` in a name, as Baileys means it, and the content.
    pub fn of_sort<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (FileId<'a>, &'a [u8])> {
        self.files.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix)).filter_map(
            move |(name, content)| {
                let id = name.strip_prefix(prefix)?.strip_suffix(".json")?;
                Some((FileId { name, id }, content.as_slice()))
            },
        )
    }
}

/// The name of a file, and what it says.
#[derive(Clone, Copy)]
pub struct FileId<'a> {
    pub name: &'a str,
    /// In it `/` is written `__`, and `:` is written `-`.
    pub id: &'a str,
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(|error| format!("cannot be read: {error}"))?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(format!("has more than {LARGEST_FILE} bytes"));
    }
    Ok(content)
}

fn too_large(path: &Path) -> UnusableFolder {
    UnusableFolder::new(&path.display().to_string(), "holds too many files, or too large ones, for a session")
}
