//! Files: received ones, which callers fetch, and files that wait to be sent.
//!
//! Both are in object stores of NATS, so any replica of a service can serve a file that another one has stored. A
//! received file is protected by its name alone, which therefore has 128 random bits.

mod mime;

pub use mime::extension;

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, time::Duration};

/// The object store of received files; the key is [`MediaFile`].
pub const MEDIA_BUCKET: &str = "media";
/// The object store of files to send. A file is in it from the request until WhatsApp's acknowledgement.
pub const MEDIA_TO_SEND_BUCKET: &str = "media_to_send";
/// How long a file to send is kept: a send may wait as long for `sendAt` or for the end of a restriction.
pub const MEDIA_TO_SEND_LASTS: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// The metadata field that holds an object's MIME type, in both stores.
pub const CONTENT_TYPE: &str = "content-type";
/// The metadata field that holds the name that a document's sender gave it.
pub const SENDER_NAME: &str = "sender-name";

/// A new name for a file to send. It is unique, and nobody can guess it.
#[must_use]
pub fn new_object_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The name of a received file: `<type>_<messageId>_<ms>_<random>.<ext>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct MediaFile(String);

/// The error of a text that is no file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no file's name: use what `filename` of an event says")]
pub struct InvalidMediaFile;

/// Kurir makes the names; they are shorter.
const LONGEST: usize = 160;
/// The longest message id in a name; WhatsApp's have 20 to 32 characters.
const LONGEST_ID: usize = 64;
/// The longest extension that a sender may choose.
const LONGEST_EXTENSION: usize = 10;

impl MediaFile {
    /// The name of a message's file; `kind` is the message's `messageType`.
    #[must_use]
    pub fn for_message(kind: &str, message_id: &str, mimetype: &str, milliseconds: i64, random: u128) -> Self {
        let id: String =
            message_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(LONGEST_ID).collect();
        Self(format!("{kind}_{id}_{milliseconds}_{random:032x}.{}", extension(mimetype)))
    }

    /// The same name with the extension of the name that the sender gave the file, if the file's type says none.
    #[must_use]
    pub fn with_extension_of(self, sender_name: &str) -> Self {
        let given = sender_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let is_short = |extension: &String| {
            (1..=LONGEST_EXTENSION).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        match (self.0.strip_suffix(".bin"), given.filter(is_short)) {
            (Some(name), Some(extension)) => Self(format!("{name}.{extension}")),
            (None, _) | (_, None) => self,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The contract's `filepath`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("media/{}", self.0)
    }

    /// The path where the API serves it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("/media/{}", self.0)
    }
}

impl FromStr for MediaFile {
    type Err = InvalidMediaFile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if (1..=LONGEST).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_safe) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidMediaFile)
        }
    }
}

impl fmt::Display for MediaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MediaFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_message_and_cannot_be_guessed() {
        let file = MediaFile::for_message("image", "3EB0/../A", "image/jpeg; q=1", 1_700_000_000_123, 0xabc);
        assert_eq!(file.as_str(), "image_3EB0A_1700000000123_00000000000000000000000000000abc.jpg");
        assert_eq!(file.as_str().parse(), Ok(file.clone()));
        assert_eq!((file.path(), file.url()), (format!("media/{file}"), format!("/media/{file}")));
        let longest = MediaFile::for_message("document", &"x".repeat(500), "application/pdf", i64::MIN, u128::MAX);
        assert_eq!(longest.as_str().parse(), Ok(longest));
    }

    #[test]
    fn a_file_of_an_unknown_type_keeps_its_senders_extension() {
        let of = |mimetype: &str, name: &str| {
            let file = MediaFile::for_message("document", "A", mimetype, 0, 0).with_extension_of(name);
            assert_eq!(file.as_str().parse(), Ok(file.clone()));
            file.as_str().rsplit_once('.').map(|(_, extension)| extension.to_owned()).unwrap_or_default()
        };
        let unknown = "application/octet-stream";
        for (mimetype, name, extension) in [
            (unknown, "plan.dwg", "dwg"),
            (unknown, "a.b/..", "bin"),
            (unknown, "Archive.TAR.GZ", "gz"),
            (unknown, "no extension", "bin"),
            (unknown, "dot.", "bin"),
            (unknown, "a.ü", "bin"),
            (unknown, "a.verylongextension", "bin"),
            ("application/pdf", "bill.exe", "pdf"),
        ] {
            assert_eq!(of(mimetype, name), extension, "{name}");
        }
    }

    #[test]
    fn a_name_never_leaves_the_bucket() {
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a*", "ü", "a%2fb", "a\n", &"x".repeat(161)] {
            assert_eq!(bad.parse::<MediaFile>(), Err(InvalidMediaFile), "{bad:?}");
        }
    }
}
