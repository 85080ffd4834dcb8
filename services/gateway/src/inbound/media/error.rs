//! Why a download failed, and what is done next. Pure.

use std::time::Duration;

/// The text is the event's `error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    #[error("the file has {length} bytes, more than MEDIA_MAX_SIZE allows ({largest})")]
    TooLarge { length: u64, largest: u64 },
    #[error("the file is longer than its message says")]
    LongerThanSaid,
    #[error("the message does not say where its file is")]
    NoAddress,
    #[error("too many files wait to be downloaded")]
    TooMany,
    #[error("the file did not come within {}", humantime::format_duration(*.0))]
    NotInTime(Duration),
    #[error("WhatsApp no longer has the file")]
    Gone,
    /// The connection broke, or the bytes do not match the message's hash: the client does not say which.
    #[error("the file could not be downloaded whole")]
    Broken,
    #[error("WhatsApp's media servers did not give the file")]
    Unreachable,
    #[error("the file came too slowly, and others waited")]
    TooSlow,
    #[error("NATS did not store the file")]
    NotStored,
}

/// The step after a failed download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadRetry {
    /// The phone uploads the file to WhatsApp's servers again.
    AskPhone,
    TryAgain {
        after: Duration,
    },
    Nothing,
}

/// The pauses between the tries. An outage of WhatsApp's servers or of NATS is over by then, or noticed.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(600)];

/// `tries`: how many were made. `asked`: whether the phone was asked.
#[must_use]
pub fn next_step(failed: &DownloadError, tries: usize, asked: bool) -> DownloadRetry {
    match failed {
        DownloadError::Gone | DownloadError::LongerThanSaid if !asked => DownloadRetry::AskPhone,
        DownloadError::Broken if tries > 0 && !asked => DownloadRetry::AskPhone,
        DownloadError::Broken
        | DownloadError::Unreachable
        | DownloadError::TooSlow
        | DownloadError::NotStored
        | DownloadError::NotInTime(_) => {
            PAUSES.get(tries).map_or(DownloadRetry::Nothing, |after| DownloadRetry::TryAgain { after: *after })
        }
        DownloadError::Gone
        | DownloadError::LongerThanSaid
        | DownloadError::TooLarge { .. }
        | DownloadError::NoAddress
        | DownloadError::TooMany => DownloadRetry::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_what_follows() {
        let soon = DownloadRetry::TryAgain { after: PAUSES[0] };
        for (failed, tries, asked, expected) in [
            (DownloadError::Gone, 0, false, DownloadRetry::AskPhone),
            (DownloadError::Gone, 0, true, DownloadRetry::Nothing),
            (DownloadError::Broken, 0, false, soon),
            (DownloadError::Broken, 1, false, DownloadRetry::AskPhone),
            (DownloadError::Broken, 1, true, DownloadRetry::TryAgain { after: PAUSES[1] }),
            (DownloadError::LongerThanSaid, 0, false, DownloadRetry::AskPhone),
            (DownloadError::Unreachable, 0, false, soon),
            (DownloadError::TooSlow, 0, false, soon),
            (DownloadError::NotStored, 0, true, soon),
            (DownloadError::NotInTime(Duration::from_secs(1)), 3, false, DownloadRetry::TryAgain { after: PAUSES[3] }),
            (DownloadError::Unreachable, 4, false, DownloadRetry::Nothing),
            (DownloadError::TooLarge { length: 2, largest: 1 }, 0, false, DownloadRetry::Nothing),
            (DownloadError::NoAddress, 0, false, DownloadRetry::Nothing),
            (DownloadError::TooMany, 0, false, DownloadRetry::Nothing),
        ] {
            assert_eq!(next_step(&failed, tries, asked), expected, "{failed}");
        }
    }
}
