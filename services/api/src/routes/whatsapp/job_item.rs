//! One message of a job: a text as `send-bulk` takes it, or any other send by the name of its command, with the fields of
//! its route. Pure.

use super::{
    forward_message::ForwardMessageRequest,
    message_actions::{EditMessageRequest, RevokeMessageRequest, SendReactionRequest},
    send_contact::SendContactRequest,
    send_location::SendLocationRequest,
    send_poll::SendPollRequest,
    send_request::{RequestedSend, SendRequest},
    text_message::{SendMessageRequest, read_bulk_item},
};
use crate::{
    error_code::ErrorCode,
    extract::{UnknownFields, parse_fields},
    fields::{FieldError, FieldValue as _, Recipient, SendAt, field_problem},
    response::ApiError,
};
use kurir_contract::{
    clock,
    command::{Command, CommandSpec, SendMedia},
    job::JobItem,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

/// A message of a job, whose file may not be there yet.
pub struct PendingItem {
    pub item: JobItem,
    /// The fields of a file that is to be kept first; the item's arguments come of them.
    pub file: Option<Map<String, Value>>,
}

impl From<JobItem> for PendingItem {
    fn from(item: JobItem) -> Self {
        Self { item, file: None }
    }
}

/// Reads the message at `index` of a job.
///
/// # Errors
/// With what is wrong with its fields.
pub fn read_job_item(index: usize, message: &Value) -> Result<PendingItem, FieldError> {
    let read = match message.get("command") {
        Some(Value::String(name)) => read_by_command(index, name, message),
        _ => read_bulk_item(index, message, UnknownFields::Refused)
            .and_then(|item| job_item(Command::SendText, &item.message, item.at))
            .map(PendingItem::from),
    };
    read.map_err(|error| {
        let details: Vec<String> =
            error.problems.iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect();
        let detail = Some(details.join("; ")).filter(|detail| !detail.is_empty() && *detail != error.message);
        FieldError::sentence(error.code, error.message).with_detail(detail)
    })
}

fn read_by_command(index: usize, name: &str, message: &Value) -> Result<PendingItem, ApiError> {
    let command = name.parse::<Command>().ok().filter(|command| command.is_send()).ok_or_else(|| {
        let text = format!("Message at index {index}: command must be one of {}", send_commands().join(", "));
        ApiError::new(ErrorCode::InvalidJob, text)
    })?;
    let mut fields = message.as_object().cloned().unwrap_or_default();
    fields.remove("command");
    // Each message has a key that is made of the job's.
    fields.remove("idempotencyKey");
    let read = match command {
        Command::SendText => read_as::<SendMessageRequest>(with_route_name(fields, "text", "message")),
        Command::SendEdit => read_as::<EditMessageRequest>(with_route_name(fields, "text", "message")),
        Command::SendLocation => read_as::<SendLocationRequest>(fields),
        Command::SendContact => read_as::<SendContactRequest>(fields),
        Command::SendPoll => read_as::<SendPollRequest>(fields),
        Command::SendReaction => read_as::<SendReactionRequest>(fields),
        Command::SendRevoke => read_as::<RevokeMessageRequest>(fields),
        Command::SendForward => read_as::<ForwardMessageRequest>(fields),
        Command::SendMedia => read_media(fields),
        // Refused above: they send nothing.
        _ => Err(ApiError::internal()),
    };
    read.map_err(|error| error.within(&format!("messages[{index}].")))
}

fn read_as<R: SendRequest>(fields: Map<String, Value>) -> Result<PendingItem, ApiError> {
    let request: R = parse_fields(fields, UnknownFields::Refused)?;
    let RequestedSend { message, at, .. } = request.read(None)?;
    job_item(R::Command::COMMAND, &message, at).map(PendingItem::from)
}

/// A file that is stored (`file` is an object): the arguments of the command, with the time beside them. Or the fields of a
/// route that sends a file, as JSON, and its `kind`.
fn read_media(mut fields: Map<String, Value>) -> Result<PendingItem, ApiError> {
    let Recipient(to) = Recipient::parse(fields.get("to").unwrap_or(&Value::Null))
        .map_err(|error| error.into_api_error("to", ErrorCode::InvalidRecipient))?;
    fields.insert("to".to_owned(), json!(to));
    let in_options = fields.get_mut("options").and_then(Value::as_object_mut).and_then(|given| given.remove("sendAt"));
    let at = fields.remove("sendAt").or(in_options).filter(|at| !at.is_null());
    let at = at.map(|at| SendAt::parse(&at)).transpose();
    let at = at.map_err(|error| error.into_api_error("sendAt", ErrorCode::InvalidSendAt))?;
    if !fields.get("file").is_some_and(Value::is_object) {
        let item = job_item(Command::SendMedia, &Value::Null, at.map(|SendAt(at)| at))?;
        return Ok(PendingItem { item, file: Some(fields) });
    }
    let media: SendMedia = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let problem = field_problem("", format!("is no send-media: {error}"));
        ApiError {
            problems: vec![problem],
            ..ApiError::new(ErrorCode::InvalidJob, "A file of the job is named wrongly")
        }
    })?;
    job_item(Command::SendMedia, &media, at.map(|SendAt(at)| at)).map(PendingItem::from)
}

fn job_item(
    command: Command,
    message: &impl serde::Serialize,
    at: Option<OffsetDateTime>,
) -> Result<JobItem, ApiError> {
    let arguments = serde_json::to_value(message).map_err(|error| {
        tracing::error!("failed to write a message as JSON: {error}");
        ApiError::internal()
    })?;
    Ok(JobItem { command: command.as_str().to_owned(), arguments, send_at: at.map(clock::iso) })
}

/// The fields with the name of the route instead of that of the command.
fn with_route_name(mut fields: Map<String, Value>, of_command: &str, of_route: &str) -> Map<String, Value> {
    if !fields.contains_key(of_route)
        && let Some(value) = fields.remove(of_command)
    {
        fields.insert(of_route.to_owned(), value);
    }
    fields
}

/// The names of the commands that send.
pub fn send_commands() -> Vec<&'static str> {
    Command::ALL.iter().filter(|command| command.is_send()).map(|command| command.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_text_or_a_send_by_name() {
        let text = read_job_item(0, &json!({"to": "6281230000001", "message": " hi "})).expect("a text").item;
        assert_eq!((text.command.as_str(), &text.arguments["text"]), ("send-text", &json!("hi")));
        let place = json!({"command": "send-location", "to": "+62 812-3000-0001", "latitude": 1.0, "longitude": 2.0});
        let place = read_job_item(0, &place).expect("a place").item;
        assert_eq!(place.command, "send-location");
        assert_eq!(place.arguments["to"], "6281230000001@s.whatsapp.net");
        for (wrong, code) in [
            (json!({"to": "6281230000001"}), ErrorCode::IncompleteMessage),
            (json!({"command": "status", "to": "6281230000001"}), ErrorCode::InvalidJob),
            (json!({"command": "send-location"}), ErrorCode::MissingRecipient),
            (json!({"to": "6281230000001", "message": "x", "sendAt": "+1h"}), ErrorCode::InvalidSendAt),
            (json!({"to": "6281230000001", "message": "x", "later": "+1h"}), ErrorCode::UnknownField),
        ] {
            let error = read_job_item(3, &wrong).map(drop).expect_err("refused");
            assert_eq!(error.into_api_error("messages", ErrorCode::InvalidJob).code, code, "{wrong}");
        }
    }

    #[test]
    fn every_send_of_a_job_has_its_time_wherever_it_stands() {
        let later = clock::iso(OffsetDateTime::now_utc() + time::Duration::hours(1));
        let to = "6281230000001";
        let file = json!({"object": "a", "size": 3, "sha256": "01"});
        let text = json!({"messageType": "text", "content": {"text": "x"}});
        for fields in [
            json!({"message": "x"}),
            json!({"command": "send-text", "text": "x"}),
            json!({"command": "send-location", "latitude": 1, "longitude": 2}),
            json!({"command": "send-contact", "displayName": "Ani", "phoneNumber": to}),
            json!({"command": "send-poll", "name": "?", "options": ["a", "b"]}),
            json!({"command": "send-reaction", "messageId": "3EB0", "emoji": ""}),
            json!({"command": "send-edit", "messageId": "3EB0", "message": "x"}),
            json!({"command": "send-revoke", "messageId": "3EB0"}),
            json!({"command": "send-forward", "message": text}),
            json!({"command": "send-media", "kind": "image", "mimetype": "image/png", "file": file}),
        ] {
            let mut top = fields.clone();
            (top["to"], top["sendAt"]) = (json!(to), json!(later));
            assert_eq!(read_job_item(0, &top).expect("a send").item.send_at.as_deref(), Some(later.as_str()), "{top}");
            if top["options"].is_array() {
                continue;
            }
            let mut within = fields.clone();
            (within["to"], within["options"]) = (json!(to), json!({"sendAt": later}));
            assert_eq!(
                read_job_item(0, &within).expect("a send").item.send_at.as_deref(),
                Some(later.as_str()),
                "{within}"
            );
        }
    }
}
