//! The file of the log: opened again when somebody moved it away, and moved away itself when it is too large or too old.
//!
//! Several services may share one file. Each looks at every write whether the path still leads to the file that it has
//! open; who rotates holds a lock on the file, so that only one does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What people write to each other is not in the log, but when and from where they do is.
const OWNER_ONLY: u32 = 0o600;

/// When the file is moved away, and how many are kept.
#[derive(Clone, Debug)]
pub struct LogRotation {
    /// Bytes; `u64::MAX`: never for its size.
    pub max_size: u64,
    /// Zero: never for its age.
    pub max_age: Duration,
    /// `app.log.1` is the newest; 0 keeps none.
    pub kept: usize,
}

pub struct LogFile {
    path: PathBuf,
    rotation: LogRotation,
    file: File,
    inode: u64,
}

impl LogFile {
    /// Appends to the file, which is made if it is missing.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, rotation: LogRotation) -> io::Result<Self> {
        let file = open_file(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self { path: path.to_owned(), rotation, file, inode })
    }

    /// Makes the file that is written to the one that the path names, and a new one if it is time.
    fn renew(&mut self) -> io::Result<()> {
        if !self.is_at_path() {
            return self.reopen();
        }
        let metadata = self.file.metadata()?;
        let is_large = metadata.len() > 0 && metadata.len() >= self.rotation.max_size;
        let age = metadata.created().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
        let is_old = !self.rotation.max_age.is_zero() && age.is_some_and(|age| age >= self.rotation.max_age);
        if !(is_large || (is_old && metadata.len() > 0)) {
            return Ok(());
        }
        self.file.lock()?;
        // Another service may have rotated while this one waited.
        if self.is_at_path() {
            self.shift()?;
        }
        // The lock ends with the old file.
        self.reopen()
    }

    fn is_at_path(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|there| there.ino() == self.inode)
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.rotation.clone())?;
        Ok(())
    }

    /// Moves `app.log` to `app.log.1`, that to `app.log.2`, and removes the last one.
    fn shift(&self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let kept = self.rotation.kept;
        if kept == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..kept).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, numbered(1))
    }
}

/// Whole lines come in one piece, so they stay whole.
impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // A folder that is gone or forbids it: the lines still go where they went.
        let _ = self.renew();
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(OWNER_ONLY).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, max_size: u64, kept: usize) -> LogFile {
        let rotation = LogRotation { max_size, max_age: Duration::ZERO, kept };
        LogFile::open(&folder.join("app.log"), rotation).expect("a file")
    }

    fn read(folder: &Path, name: &str) -> Option<String> {
        fs::read_to_string(folder.join(name)).ok()
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again_and_gets_the_next_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = log(folder.path(), 1 << 20, 3);
        file.write_all(b"one\n").expect("a disk");
        fs::rename(folder.path().join("app.log"), folder.path().join("moved")).expect("a disk");
        file.write_all(b"two\n").expect("a disk");
        fs::remove_file(folder.path().join("app.log")).expect("a disk");
        file.write_all(b"three\n").expect("a disk");
        assert_eq!(read(folder.path(), "moved").as_deref(), Some("one\n"));
        assert_eq!(read(folder.path(), "app.log").as_deref(), Some("three\n"));
    }

    #[test]
    fn two_services_rotate_one_file_once_and_lose_no_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut one, mut other) = (log(folder.path(), 10, 100), log(folder.path(), 10, 100));
        for number in 0..20 {
            one.write_all(format!("one {number:02}\n").as_bytes()).expect("a disk");
            other.write_all(format!("two {number:02}\n").as_bytes()).expect("a disk");
        }
        let files: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
        // Two lines of seven bytes are more than ten.
        assert_eq!(files.len(), 20);
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file.path()).expect("text")).collect();
        let mut lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
        lines.sort_unstable();
        let expected: Vec<String> =
            ["one", "two"].iter().flat_map(|name| (0..20).map(move |number| format!("{name} {number:02}"))).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn only_so_many_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = log(folder.path(), 1, 2);
        for number in 0..6 {
            file.write_all(format!("{number}\n").as_bytes()).expect("a disk");
        }
        let seen = ["app.log", "app.log.1", "app.log.2", "app.log.3"].map(|name| read(folder.path(), name));
        assert_eq!(seen.map(|text| text.unwrap_or_default()), ["5\n", "4\n", "3\n", ""]);
    }
}
