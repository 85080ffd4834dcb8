//! Why a file was not uploaded.

/// Why a file was not uploaded to WhatsApp.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("The file of this message is no longer there; send it again")]
    Gone,
    #[error("NATS did not give the file: {0}")]
    Unread(String),
    #[error("the file could not be encrypted in the session's folder: {0}")]
    NotWritten(String),
    #[error("WhatsApp's media server did not take the file: {0}")]
    NotTaken(String),
}
