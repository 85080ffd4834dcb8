//! Routes that send: texts, files, polls, jobs, and what is done to messages.

use super::session::GATEWAY;
use crate::{
    error_code::ErrorCode::{self, *},
    openapi::{DocumentedRouter, OperationDoc, RouteAccess, operation},
    routes::whatsapp,
};
use axum::extract::DefaultBodyLimit;
use serde_json::json;

const TO_BUDI: &str = "6281234567890";
/// What every send says of `options`.
const TEXT: &[ErrorCode] = &[
    MissingRecipient,
    InvalidRecipient,
    MissingMessage,
    MessageTooLong,
    InvalidOptions,
    InvalidQuoted,
    InvalidMentions,
    InvalidSendAt,
    JobTooLarge,
];
const MEDIA: &[ErrorCode] = &[
    MissingRecipient,
    InvalidRecipient,
    MissingMedia,
    EmptyFile,
    InvalidMediaType,
    InvalidMimetype,
    InvalidMedia,
    FileUnreachable,
    InvalidFile,
    InvalidBase64,
    InvalidMultipart,
    InvalidOptions,
    InvalidQuoted,
    MessageNotFound,
    InvalidSendAt,
    FileNotFound,
    FileTooLarge,
    NotStored,
];

pub fn routes() -> DocumentedRouter {
    send_routes().merge(message_routes()).merge(job_routes())
}

fn send_routes() -> DocumentedRouter {
    DocumentedRouter::new("Sending", RouteAccess::Keyed, GATEWAY)
        .post(
            "/whatsapp/send-message",
            whatsapp::send_message,
            operation("sendMessage", "Sends a text")
                .describe(
                    "Answers when WhatsApp has taken the message; it is tried three times, under one id. 202: it cannot \
                     go out yet, and is sent later under the id that the answer names. With `Idempotency-Key` a repeat \
                     never sends twice.",
                )
                .errors(TEXT)
                .request(json!({"to": TO_BUDI, "message": "Hello"}))
                .answer(json!({
                    "success": true, "messageId": "3EB0C431C26A1916E07A", "message": "Message sent successfully",
                    "to": "6281234567890@s.whatsapp.net", "attempt": 1,
                })),
        )
        .post(
            "/whatsapp/send-bulk",
            whatsapp::send_bulk,
            operation("sendBulk", "Sends up to 100 texts, one second apart")
                .describe(
                    "One that is invalid refuses the whole request before anything is sent. The answer comes at the end: \
                     let your client wait for some minutes.",
                )
                .errors(&[
                    InvalidMessages,
                    NoMessages,
                    TooManyMessages,
                    IncompleteMessage,
                    MissingRecipient,
                    InvalidRecipient,
                    MissingMessage,
                    MessageTooLong,
                    InvalidOptions,
                    InvalidQuoted,
                    InvalidMentions,
                ])
                .request(json!({"messages": [{"to": TO_BUDI, "message": "Hello"}]})),
        )
        .post(
            "/whatsapp/send-location",
            whatsapp::send_location,
            operation("sendLocation", "Sends a place on the map")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    InvalidLocation,
                    InvalidOptions,
                    InvalidQuoted,
                    InvalidSendAt,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "latitude": -6.1754, "longitude": 106.8272, "name": "Monas"})),
        )
        .post(
            "/whatsapp/send-contact",
            whatsapp::send_contact,
            operation("sendContact", "Sends somebody's card")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    InvalidContact,
                    InvalidOptions,
                    InvalidQuoted,
                    InvalidSendAt,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "displayName": "Ani", "phoneNumber": "6281234567891"})),
        )
        .post(
            "/whatsapp/send-poll",
            whatsapp::send_poll,
            operation("sendPoll", "Sends a poll")
                .errors(&[MissingRecipient, InvalidRecipient, InvalidPoll, InvalidSendAt, JobTooLarge])
                .request(json!({"to": TO_BUDI, "name": "Lunch?", "options": ["Rice", "Noodles"], "selectable": 1})),
        )
        .post(
            "/whatsapp/forward-message",
            whatsapp::forward_message,
            operation("forwardMessage", "Sends on the message of an event")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    MissingMessage,
                    MessageTooLong,
                    InvalidForward,
                    InvalidOptions,
                    InvalidSendAt,
                    FileNotFound,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "message": {"messageType": "text", "content": {"text": "Hello"}}})),
        )
}

/// Files are bounded by `MEDIA_UPLOAD_MAX`, and every other field by the routes themselves.
pub fn file_routes() -> DocumentedRouter {
    let send = |id, summary| -> OperationDoc {
        let file =
            "A form with the file in the field `media`, or JSON with the file as `base64` or as a received `file`.";
        operation(id, summary).describe(file).errors(MEDIA)
    };
    DocumentedRouter::new("Sending", RouteAccess::Keyed, GATEWAY)
        .post("/whatsapp/send-media", whatsapp::send_media, send("sendMedia", "Sends a file as `mediaType`"))
        .post("/whatsapp/send-image", whatsapp::send_image, send("sendImage", "Sends an image"))
        .post("/whatsapp/send-video", whatsapp::send_video, send("sendVideo", "Sends a video"))
        .post("/whatsapp/send-audio", whatsapp::send_audio, send("sendAudio", "Sends a file with sound"))
        .post("/whatsapp/send-voice", whatsapp::send_voice, send("sendVoice", "Sends a voice note"))
        .post("/whatsapp/send-document", whatsapp::send_document, send("sendDocument", "Sends a document"))
        .post("/whatsapp/send-sticker", whatsapp::send_sticker, send("sendSticker", "Sends a sticker: a WebP image"))
        .route_layer(DefaultBodyLimit::disable())
}

fn message_routes() -> DocumentedRouter {
    DocumentedRouter::new("Messages", RouteAccess::Keyed, GATEWAY)
        .post(
            "/whatsapp/send-reaction",
            whatsapp::send_reaction,
            operation("sendReaction", "Reacts to a message")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    InvalidMessageId,
                    MessageNotFound,
                    InvalidReaction,
                    InvalidParticipant,
                    InvalidOptions,
                    InvalidSendAt,
                    GroupNotFound,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "messageId": "3EB0C431C26A1916E07A", "emoji": "👍"})),
        )
        .post(
            "/whatsapp/edit-message",
            whatsapp::edit_message,
            operation("editMessage", "Replaces the text of a message that this account sent")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    InvalidMessageId,
                    MessageNotFound,
                    MissingMessage,
                    MessageTooLong,
                    InvalidOptions,
                    InvalidSendAt,
                    GroupNotFound,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "messageId": "3EB0C431C26A1916E07A", "message": "Hello!"})),
        )
        .post(
            "/whatsapp/revoke-message",
            whatsapp::revoke_message,
            operation("revokeMessage", "Deletes a message for everyone")
                .errors(&[
                    MissingRecipient,
                    InvalidRecipient,
                    InvalidMessageId,
                    MessageNotFound,
                    InvalidParticipant,
                    InvalidOptions,
                    InvalidSendAt,
                    GroupNotFound,
                    JobTooLarge,
                ])
                .request(json!({"to": TO_BUDI, "messageId": "3EB0C431C26A1916E07A"})),
        )
        .post(
            "/whatsapp/mark-read",
            whatsapp::mark_read,
            operation("markRead", "Marks messages of one writer as read")
                .errors(&[MissingRecipient, InvalidRecipient, InvalidMessageId, InvalidParticipant, GroupNotFound])
                .request(json!({"to": TO_BUDI, "messageIds": ["3EB0C431C26A1916E07A"]})),
        )
        .post(
            "/whatsapp/typing",
            whatsapp::typing,
            operation("showTyping", "Shows that the account writes, or no longer does")
                .errors(&[MissingRecipient, InvalidRecipient, InvalidState, GroupNotFound])
                .request(json!({"to": TO_BUDI, "state": "composing"})),
        )
}

fn job_routes() -> DocumentedRouter {
    DocumentedRouter::new("Jobs", RouteAccess::Keyed, GATEWAY)
        .post(
            "/whatsapp/jobs",
            whatsapp::create_job,
            operation("createJob", "Sends up to 10,000 messages behind the answer, at once or at `sendAt`")
                .describe(
                    "All messages are checked before the job is taken; from then on it survives every restart. Each goes \
                     out under the id that the answer names, in order; one that fails is recorded and the job goes on.",
                )
                .errors(&[
                    InvalidJob,
                    InvalidMessages,
                    NoMessages,
                    TooManyMessages,
                    IncompleteMessage,
                    MissingRecipient,
                    InvalidRecipient,
                    MissingMessage,
                    MessageTooLong,
                    InvalidOptions,
                    InvalidQuoted,
                    InvalidMentions,
                    InvalidSendAt,
                    JobTooLarge,
                    InvalidContact,
                    InvalidForward,
                    InvalidLocation,
                    InvalidMessageId,
                    InvalidParticipant,
                    InvalidPoll,
                    InvalidReaction,
                    InvalidMedia,
                    InvalidMediaType,
                    InvalidMimetype,
                    InvalidBase64,
                    InvalidFile,
                    FileUnreachable,
                    MissingMedia,
                    EmptyFile,
                    FileNotFound,
                    FileTooLarge,
                ])
                .request(json!({"name": "reminder", "messages": [{"to": TO_BUDI, "message": "Hello"}]})),
        )
        .get(
            "/whatsapp/jobs",
            whatsapp::list_jobs,
            operation("listJobs", "Lists the jobs, the newest first")
                .describe("A job is kept for 32 days after its last change."),
        )
        .get(
            "/whatsapp/jobs/{id}",
            whatsapp::show_job,
            operation("showJob", "Shows a job as it stands now").errors(&[JobNotFound]),
        )
        .delete(
            "/whatsapp/jobs/{id}",
            whatsapp::cancel_job,
            operation("cancelJob", "Ends a job: what was sent by then is sent").errors(&[JobNotFound]),
        )
}
