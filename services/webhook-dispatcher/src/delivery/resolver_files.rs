//! Notices changes of the files by which this system resolves names.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The hosts file comes first: it is read, the others are only watched.
const FILES: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf"];
/// How soon a change is noticed. Looking costs some microseconds, and each delivery looks.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The files, and which state of them is known.
pub struct ResolverFiles {
    paths: Vec<PathBuf>,
    known: Mutex<KnownFiles>,
}

struct KnownFiles {
    looked: Instant,
    stamps: Vec<Option<FileStamp>>,
    generation: u64,
    /// The names in the hosts file, in lower case.
    hosts: HashSet<String>,
}

/// Differs after each change of a file, also after one within the same second or to a file of the same size.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl ResolverFiles {
    #[must_use]
    pub fn of_system() -> Self {
        Self::new(FILES.map(PathBuf::from).to_vec())
    }

    /// `paths`: the hosts file, then what else is watched.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let mut known = KnownFiles { looked: Instant::now(), stamps: Vec::new(), generation: 0, hosts: HashSet::new() };
        known.read(&paths);
        Self { paths, known: Mutex::new(known) }
    }

    /// A number that is another one after each change of the files.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.with_known(|known| known.generation)
    }

    /// Whether the hosts file has this name.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        self.with_known(|known| known.hosts.contains(&host.to_ascii_lowercase()))
    }

    fn with_known<T>(&self, read: impl FnOnce(&KnownFiles) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.elapsed() >= LOOK_AGAIN_AFTER {
            known.read(&self.paths);
        }
        read(&known)
    }
}

impl KnownFiles {
    fn read(&mut self, paths: &[PathBuf]) {
        self.looked = Instant::now();
        let stamps: Vec<_> = paths
            .iter()
            .map(|path| {
                let file = fs::metadata(path).ok()?;
                let changed = (file.ctime(), file.ctime_nsec());
                Some(FileStamp { inode: file.ino(), size: file.size(), changed })
            })
            .collect();
        if stamps != self.stamps {
            self.stamps = stamps;
            self.generation += 1;
            let hosts = paths.first().and_then(|hosts| fs::read(hosts).ok()).unwrap_or_default();
            self.hosts = host_names(&String::from_utf8_lossy(&hosts));
        }
    }
}

/// The names of a hosts file: an address, then names, up to a `#`.
fn host_names(hosts: &str) -> HashSet<String> {
    hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_whitespace().skip(1))
        .map(str::to_ascii_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_hosts_file_are_read_without_its_comments() {
        let hosts =
            host_names("127.0.0.1\tlocalhost Hooks.test # not.this\n# 10.0.0.1 nor.this\n::1 six\n\n10.0.0.1\n");
        let expected: HashSet<_> = ["localhost", "hooks.test", "six"].map(str::to_owned).into();
        assert_eq!(hosts, expected);
    }

    #[test]
    fn each_change_of_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, other) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        let mut known = KnownFiles { looked: Instant::now(), stamps: Vec::new(), generation: 0, hosts: HashSet::new() };
        let paths = [hosts.clone(), other.clone()];
        known.read(&paths);
        let first = known.generation;
        known.read(&paths);
        assert_eq!(known.generation, first);
        fs::write(&hosts, "127.0.0.1 a.test\n").unwrap();
        known.read(&paths);
        assert!(known.generation > first && known.hosts.contains("a.test"));
        let second = known.generation;
        // The same size, in the same second.
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&hosts, "127.0.0.1 b.test\n").unwrap();
        known.read(&paths);
        assert!(known.generation > second && known.hosts.contains("b.test") && !known.hosts.contains("a.test"));
        let third = known.generation;
        fs::write(&other, "nameserver 127.0.0.1\n").unwrap();
        known.read(&paths);
        assert!(known.generation > third);
        fs::remove_file(&hosts).unwrap();
        known.read(&paths);
        assert!(known.hosts.is_empty());
    }
}
