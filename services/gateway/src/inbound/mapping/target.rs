//! Finds the message to which another one refers. A key is written from its writer's point of view, so "me" is the
//! writer.

use super::MappingContext;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::MessageKey;

/// The message to which another one refers.
pub struct TargetMessage {
    pub id: String,
    /// Its author; none if the key does not say.
    pub author: Option<Jid>,
}

/// The message that `key` names, read as a part of the message `seen`.
pub fn find_target(key: Option<&MessageKey>, seen: &MappingContext<'_>) -> Option<TargetMessage> {
    let key = key?;
    let id = key.id.clone().filter(|id| !id.is_empty())?;
    Some(TargetMessage { id, author: target_author(key, seen) })
}

fn target_author(key: &MessageKey, seen: &MappingContext<'_>) -> Option<Jid> {
    let source = &seen.info.source;
    if let Some(participant) = key.participant.as_deref().and_then(|jid| jid.parse().ok()) {
        return Some(participant);
    }
    if key.from_me == Some(true) {
        return Some(source.sender.clone());
    }
    let is_direct = !source.chat.is_group() && !source.chat.is_status_broadcast();
    match (is_direct, source.is_from_me) {
        (true, true) => Some(source.chat.clone()),
        (true, false) => seen.directory.own_jid().cloned(),
        (false, _) => None,
    }
}
