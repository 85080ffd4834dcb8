//! The message to which another one belongs: its album, its smaller upload, its event, its status. Pure.

use super::UnwrappedMessage;
use kurir_contract::event::{RelatedMessage, RelationKind};
use waproto::whatsapp::{ContextInfo, MessageAssociation, message_association::AssociationType};

/// The server of status updates.
const STATUS: &str = "status@broadcast";

/// The message to which this one belongs, as far as the message itself says so.
pub fn related_message(opened: UnwrappedMessage<'_>, info: Option<&ContextInfo>) -> Option<RelatedMessage> {
    let related = |kind, id: Option<&String>| {
        let message_id = id.filter(|id| !id.is_empty())?.clone();
        Some(RelatedMessage { kind, message_id })
    };
    let commented = opened.comment.and_then(|key| related(RelationKind::Comment, key.id.as_ref()));
    let associated = opened.association.and_then(|association| {
        related(relation_kind(association)?, association.parent_message_key.as_option()?.id.as_ref())
    });
    let added = opened
        .message
        .poll_add_option_message
        .as_option()
        .and_then(|added| related(RelationKind::Poll, added.poll_creation_message_key.as_option()?.id.as_ref()));
    let status = info.filter(|info| info.remote_jid.as_deref() == Some(STATUS));
    commented
        .or(associated)
        .or(added)
        .or_else(|| status.and_then(|info| related(RelationKind::Status, info.stanza_id.as_ref())))
}

fn relation_kind(association: &MessageAssociation) -> Option<RelationKind> {
    use AssociationType as Type;
    Some(match association.association_type? {
        Type::UNKNOWN => return None,
        Type::MEDIA_ALBUM => RelationKind::Album,
        Type::HD_VIDEO_DUAL_UPLOAD | Type::HD_IMAGE_DUAL_UPLOAD | Type::HEVC_VIDEO_DUAL_UPLOAD => RelationKind::Hd,
        Type::MOTION_PHOTO => RelationKind::Motion,
        Type::MEDIA_POLL | Type::POLL_ADD_OPTION => RelationKind::Poll,
        Type::STATUS_POLL
        | Type::STATUS_EXTERNAL_RESHARE
        | Type::STATUS_ADD_YOURS
        | Type::STATUS_NOTIFICATION
        | Type::STATUS_LINK_ACTION
        | Type::STATUS_ADD_YOURS_AI_IMAGINE
        | Type::STATUS_QUESTION
        | Type::STATUS_ADD_YOURS_DIWALI
        | Type::STATUS_REACTION => RelationKind::Status,
        Type::BOT_PLUGIN | Type::EVENT_COVER_IMAGE | Type::STICKER_ANNOTATION | Type::VIEW_ALL_REPLIES => {
            RelationKind::Other
        }
    })
}
