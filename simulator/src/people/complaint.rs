//! What the receiver's app would not like in a message that the server takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Complaint {
    /// The app has nothing to show of the message that is answered.
    QuoteWithoutContent,
    /// Nobody is named who wrote the message that is answered.
    QuoteWithoutAuthor,
    MediaWithoutSize,
    /// The app cannot leave room for the image before it has it.
    MediaWithoutDimensions,
    MediaWithoutDuration,
    VoiceWithoutWaveform,
    /// The file is not what its type says: an mp3 that is called Opus.
    MediaOfAnotherType,
    /// The file cannot be had, or is not what the message's hashes say.
    MediaUnreadable,
    /// The address belongs to no member of the group, or does not exist.
    MentionOfNobody,
    /// The text does not hold the `@` with the address, so that nobody is shown as mentioned.
    MentionNotInText,
    /// The client says in a group that it knows other devices than there are.
    WrongPhash,
}
