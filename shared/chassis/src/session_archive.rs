//! A session on its way between installations: a tar file, sealed with a passphrase. First in it is the manifest, which says
//! how the session is set up; the session's files follow.

use crate::sealed_file::{OpeningReader, SealingWriter};
use kurir_contract::{session::SessionId, session_record::SessionSettings};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    path::Path,
};
use tar::{Archive, Builder, Header};

/// The manifest's name in the tar file.
const MANIFEST: &str = "session.json";
/// The version of the format.
const VERSION: u32 = 1;
const LARGEST_MANIFEST: u64 = 1 << 20;
/// The most bytes of one of the session's files.
const LARGEST_FILE: u64 = 512 << 20;

/// How an exported session was set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveManifest {
    pub version: u32,
    /// Its id where it was exported.
    pub session: SessionId,
    pub name: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub settings: SessionSettings,
    /// ISO 8601.
    pub exported_at: String,
}

impl ArchiveManifest {
    #[must_use]
    pub fn new(session: SessionId, exported_at: String) -> Self {
        Self {
            version: VERSION,
            session,
            name: None,
            metadata: BTreeMap::new(),
            settings: SessionSettings::default(),
            exported_at,
        }
    }
}

/// What seals an archive.
#[derive(Clone, Copy)]
pub enum ArchiveKey<'a> {
    /// Something that a person can remember.
    Passphrase(&'a str),
    /// 32 random characters or more.
    Random(&'a str),
}

/// Writes an archive of those of `names` that are in `folder`.
///
/// # Errors
/// If a file cannot be read or the archive cannot be written.
pub fn write_archive(
    key: ArchiveKey<'_>,
    manifest: &ArchiveManifest,
    (folder, names): (&Path, &[&str]),
    into: impl Write,
) -> io::Result<()> {
    let mut tar = Builder::new(match key {
        ArchiveKey::Passphrase(passphrase) => SealingWriter::new(passphrase, into)?,
        ArchiveKey::Random(key) => SealingWriter::with_key(key, into)?,
    });
    let manifest = serde_json::to_vec(manifest)?;
    tar.append_data(&mut header(manifest.len() as u64), MANIFEST, manifest.as_slice())?;
    for name in names {
        let file = match File::open(folder.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        tar.append_data(&mut header(file.metadata()?.len()), name, file)?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

/// Reads the manifest, and with it whether the passphrase is right.
///
/// # Errors
/// Of kind `InvalidData` if this is no archive of a session, or the passphrase is another one.
pub fn read_manifest(passphrase: &str, from: impl Read) -> io::Result<ArchiveManifest> {
    let mut tar = Archive::new(OpeningReader::new(passphrase, from)?);
    let first = tar.entries()?.next().ok_or_else(no_archive)??;
    let is_manifest = first.path_bytes().as_ref() == MANIFEST.as_bytes() && first.size() <= LARGEST_MANIFEST;
    if !is_manifest {
        return Err(no_archive());
    }
    let mut text = Vec::new();
    first.take(LARGEST_MANIFEST).read_to_end(&mut text)?;
    let manifest: ArchiveManifest = serde_json::from_slice(&text).map_err(|_| no_archive())?;
    if manifest.version > VERSION {
        return Err(invalid("this session was exported by a newer version of Kurir"));
    }
    Ok(manifest)
}

/// Writes those of the archive's files that are among `names` into `folder`. The whole archive was read when this returns.
///
/// # Errors
/// As [`read_manifest`], and if the disk fails.
pub fn unpack_archive(passphrase: &str, from: impl Read, names: &[&str], folder: &Path) -> io::Result<()> {
    let mut tar = Archive::new(OpeningReader::new(passphrase, from)?);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        let Some(name) = names.iter().find(|name| name.as_bytes() == path.as_slice()) else { continue };
        if entry.size() > LARGEST_FILE {
            return Err(invalid("a file of this archive is too large for a session"));
        }
        let mut file = File::create(folder.join(name))?;
        io::copy(&mut entry, &mut file)?;
        file.sync_all()?;
    }
    // The end of the tar file may lie before that of the sealed one, whose last chunk says that nothing was cut off.
    io::copy(&mut tar.into_inner(), &mut io::sink())?;
    Ok(())
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header
}

fn no_archive() -> io::Error {
    invalid("this is no exported session")
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PASSPHRASE: &str = "correct horse battery";

    #[test]
    fn a_session_comes_out_as_it_went_in() {
        let (from, into) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(from.path().join("keys"), vec![9; 200_000]).expect("written");
        fs::write(from.path().join("other"), b"stays here").expect("written");
        let mut manifest = ArchiveManifest::new("sales".parse().expect("an id"), "2026-11-30T08:00:00Z".to_owned());
        manifest.metadata.insert("crm".to_owned(), "7".to_owned());
        let mut archive = Vec::new();
        write_archive(ArchiveKey::Passphrase(PASSPHRASE), &manifest, (from.path(), &["keys", "missing"]), &mut archive)
            .expect("written");
        assert_eq!(read_manifest(PASSPHRASE, archive.as_slice()).expect("a manifest"), manifest);
        unpack_archive(PASSPHRASE, archive.as_slice(), &["keys", "missing"], into.path()).expect("unpacked");
        assert_eq!(fs::read(into.path().join("keys")).expect("the keys"), vec![9; 200_000]);
        assert_eq!(fs::read_dir(into.path()).expect("a folder").count(), 1);

        let cut = &archive[..archive.len() - 20];
        let error = unpack_archive(PASSPHRASE, cut, &["keys"], into.path()).expect_err("cut off");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        let error = read_manifest("correct horse batterz", archive.as_slice()).expect_err("another passphrase");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }

    #[test]
    fn a_tar_file_of_something_else_is_no_session() {
        let mut tar = Builder::new(SealingWriter::new(PASSPHRASE, Vec::new()).expect("a writer"));
        tar.append_data(&mut header(2), "../session.json", &b"{}"[..]).unwrap_err();
        tar.append_data(&mut header(2), "creds.json", &b"{}"[..]).expect("written");
        let sealed = tar.into_inner().expect("a tar file").finish().expect("sealed");
        let error = read_manifest(PASSPHRASE, sealed.as_slice()).expect_err("no session");
        assert_eq!(error.to_string(), "this is no exported session");
    }
}
