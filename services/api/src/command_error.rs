//! A command's failure as HTTP: status, code and the contract's texts. Pure; the table is the test below.

use crate::{command_request::CommandFailure, error_code::ErrorCode, response::ApiError};
use kurir_contract::{
    command::{Command, CommandError, CommandErrorCode},
    session::SessionId,
    webhook::WebhookCommand,
};

const NOT_CONNECTED: &str = "WhatsApp is not connected";
const REFUSED: &str = "WhatsApp refused the message";
const SEND_TIMEOUT: &str = "Message send timeout after multiple attempts. Please check your connection.";
const NO_ANSWER: &str = "The WhatsApp gateway did not answer in time";
const NO_DISPATCHER: &str = "No webhook-dispatcher is running; nothing was done. Start one and try again.";
const NO_ANSWER_OF_DISPATCHER: &str = "The webhook-dispatcher did not answer in time";

/// What the caller of a route hears when the command behind it failed.
pub fn gateway_error(error: CommandFailure, command: Command, session: &SessionId) -> ApiError {
    match error {
        CommandFailure::BrokerAway => ApiError::broker_unavailable(),
        CommandFailure::BrokerLost => ApiError::broker_lost(),
        // The session `default` is always meant to be there, so its gateway is what is missing.
        CommandFailure::NobodyThere if *session == SessionId::default() => {
            ApiError::new(ErrorCode::GatewayUnavailable, NOT_CONNECTED)
        }
        CommandFailure::NobodyThere => ApiError::new(ErrorCode::SessionNotFound, "Session not found"),
        CommandFailure::SessionMoving => {
            let text = format!("No gateway holds the session {session} at this moment; nothing was done");
            ApiError::new(ErrorCode::SessionMoving, text)
        }
        CommandFailure::SessionStopped => {
            ApiError::new(ErrorCode::SessionStopped, format!("The session {session} is stopped: start it first"))
        }
        CommandFailure::NoAnswer => ApiError::new(ErrorCode::TimedOut, timeout_text(command).unwrap_or(NO_ANSWER)),
        CommandFailure::Refused(refusal) => refused(refusal, command),
        // Its routes answer for themselves.
        CommandFailure::Queued(queued) => {
            tracing::error!(session.id = %session, "the command {command} waits as the job {}", queued.job_id);
            ApiError::internal()
        }
        CommandFailure::Unreadable(problem) => {
            tracing::error!(session.id = %session, "the command {command} failed: {problem}");
            ApiError::internal()
        }
    }
}

fn refused(refusal: CommandError, command: Command) -> ApiError {
    let CommandError { code, message, whatsapp_code } = refusal;
    match code {
        CommandErrorCode::InvalidRequest => ApiError::new(ErrorCode::InvalidRequest, message),
        CommandErrorCode::NotConnected => ApiError::new(ErrorCode::NotConnected, NOT_CONNECTED),
        CommandErrorCode::NotOnWhatsapp => ApiError::new(ErrorCode::NotOnWhatsapp, message),
        CommandErrorCode::GroupNotFound => ApiError::new(ErrorCode::GroupNotFound, message),
        CommandErrorCode::InviteNotFound => ApiError::new(ErrorCode::InviteNotFound, message),
        CommandErrorCode::CallNotFound => ApiError::new(ErrorCode::CallNotFound, message),
        CommandErrorCode::RefusedByWhatsapp => {
            let text = if command.is_send() { REFUSED.into() } else { message };
            ApiError { whatsapp_code, ..ApiError::new(ErrorCode::RefusedByWhatsapp, text) }
        }
        CommandErrorCode::TimedOut => {
            let text = timeout_text(command).map_or(message, str::to_owned);
            ApiError::new(ErrorCode::TimedOut, text)
        }
        CommandErrorCode::Conflict => ApiError::new(ErrorCode::Conflict, message),
        CommandErrorCode::BrokerUnavailable => ApiError::new(ErrorCode::BrokerUnavailable, message),
        CommandErrorCode::StorageFull => ApiError::new(ErrorCode::StorageFull, message),
        CommandErrorCode::StorageRefused => ApiError::new(ErrorCode::StorageRefused, message),
        CommandErrorCode::StorageUnavailable => ApiError::new(ErrorCode::StorageUnavailable, message),
        CommandErrorCode::Internal => ApiError::new(ErrorCode::Internal, message),
    }
}

/// What the caller of a route hears when a dispatcher did not do what it was asked.
pub fn dispatcher_error(error: CommandFailure, command: WebhookCommand) -> ApiError {
    match error {
        CommandFailure::BrokerAway => ApiError::broker_unavailable(),
        CommandFailure::BrokerLost => ApiError::broker_lost(),
        CommandFailure::NobodyThere => ApiError::new(ErrorCode::DispatcherUnavailable, NO_DISPATCHER),
        CommandFailure::NoAnswer => ApiError::new(ErrorCode::TimedOut, NO_ANSWER_OF_DISPATCHER),
        CommandFailure::Refused(CommandError { code, message, .. }) => match code {
            CommandErrorCode::InvalidRequest => ApiError::new(ErrorCode::InvalidRequest, message),
            CommandErrorCode::Conflict => ApiError::new(ErrorCode::Conflict, message),
            CommandErrorCode::TimedOut => ApiError::new(ErrorCode::TimedOut, message),
            CommandErrorCode::BrokerUnavailable => ApiError::new(ErrorCode::BrokerUnavailable, message),
            CommandErrorCode::StorageFull => ApiError::new(ErrorCode::StorageFull, message),
            CommandErrorCode::StorageRefused => ApiError::new(ErrorCode::StorageRefused, message),
            CommandErrorCode::StorageUnavailable => ApiError::new(ErrorCode::StorageUnavailable, message),
            // All but the first are a gateway's alone.
            CommandErrorCode::Internal
            | CommandErrorCode::NotConnected
            | CommandErrorCode::NotOnWhatsapp
            | CommandErrorCode::GroupNotFound
            | CommandErrorCode::InviteNotFound
            | CommandErrorCode::CallNotFound
            | CommandErrorCode::RefusedByWhatsapp => ApiError::new(ErrorCode::Internal, message),
        },
        // Only commands to gateways fail so.
        CommandFailure::Queued(_) | CommandFailure::SessionMoving | CommandFailure::SessionStopped => {
            ApiError::internal()
        }
        CommandFailure::Unreadable(problem) => {
            tracing::error!("the webhook command {command} failed: {problem}");
            ApiError::internal()
        }
    }
}

fn timeout_text(command: Command) -> Option<&'static str> {
    command.is_send().then_some(SEND_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: CommandErrorCode, whatsapp_code: Option<u16>) -> CommandFailure {
        CommandFailure::Refused(CommandError { code, message: "its own text".to_owned(), whatsapp_code })
    }

    #[test]
    fn each_failure_of_a_send_has_its_status_code_and_text() {
        use CommandErrorCode as R;
        let own = "its own text";
        for (error, status, code, message) in [
            (CommandFailure::NobodyThere, 503, ErrorCode::GatewayUnavailable, NOT_CONNECTED),
            (CommandFailure::NoAnswer, 504, ErrorCode::TimedOut, SEND_TIMEOUT),
            (CommandFailure::Unreadable(String::new()), 500, ErrorCode::Internal, "Internal server error"),
            (refusal(R::InvalidRequest, None), 400, ErrorCode::InvalidRequest, own),
            (refusal(R::NotConnected, None), 503, ErrorCode::NotConnected, NOT_CONNECTED),
            (refusal(R::NotOnWhatsapp, None), 404, ErrorCode::NotOnWhatsapp, own),
            (refusal(R::GroupNotFound, None), 404, ErrorCode::GroupNotFound, own),
            (refusal(R::InviteNotFound, None), 404, ErrorCode::InviteNotFound, own),
            (refusal(R::CallNotFound, None), 404, ErrorCode::CallNotFound, own),
            (refusal(R::RefusedByWhatsapp, Some(463)), 502, ErrorCode::RefusedByWhatsapp, REFUSED),
            (refusal(R::RefusedByWhatsapp, None), 502, ErrorCode::RefusedByWhatsapp, REFUSED),
            (refusal(R::TimedOut, None), 504, ErrorCode::TimedOut, SEND_TIMEOUT),
            (refusal(R::Conflict, None), 409, ErrorCode::Conflict, own),
            (refusal(R::BrokerUnavailable, None), 503, ErrorCode::BrokerUnavailable, own),
            (refusal(R::StorageFull, None), 503, ErrorCode::StorageFull, own),
            (refusal(R::StorageRefused, None), 503, ErrorCode::StorageRefused, own),
            (refusal(R::StorageUnavailable, None), 503, ErrorCode::StorageUnavailable, own),
            (refusal(R::Internal, None), 500, ErrorCode::Internal, own),
        ] {
            let shown = error.to_string();
            let failure = gateway_error(error, Command::SendText, &SessionId::default());
            let seen = (failure.status().as_u16(), failure.code, failure.message.as_ref());
            assert_eq!(seen, (status, code, message), "{shown}");
        }
    }

    #[test]
    fn a_session_that_no_gateway_serves_is_not_found() {
        let session = "sales".parse::<SessionId>().expect("a name");
        assert_eq!(
            gateway_error(CommandFailure::NobodyThere, Command::Status, &session).code,
            ErrorCode::SessionNotFound
        );
    }

    #[test]
    fn each_failure_of_a_dispatcher_has_its_status_and_code() {
        use CommandErrorCode as R;
        for (error, status, code) in [
            (CommandFailure::BrokerAway, 503, ErrorCode::BrokerUnavailable),
            (CommandFailure::BrokerLost, 503, ErrorCode::BrokerUnavailable),
            (CommandFailure::NobodyThere, 503, ErrorCode::DispatcherUnavailable),
            (CommandFailure::NoAnswer, 504, ErrorCode::TimedOut),
            (CommandFailure::Unreadable(String::new()), 500, ErrorCode::Internal),
            (refusal(R::InvalidRequest, None), 400, ErrorCode::InvalidRequest),
            (refusal(R::Conflict, None), 409, ErrorCode::Conflict),
            (refusal(R::TimedOut, None), 504, ErrorCode::TimedOut),
            (refusal(R::BrokerUnavailable, None), 503, ErrorCode::BrokerUnavailable),
            (refusal(R::Internal, None), 500, ErrorCode::Internal),
        ] {
            let shown = error.to_string();
            let failure = dispatcher_error(error, WebhookCommand::Replay);
            assert_eq!((failure.status().as_u16(), failure.code), (status, code), "{shown}");
        }
    }

    #[test]
    fn only_a_send_has_the_text_of_a_send() {
        let failure = gateway_error(CommandFailure::NoAnswer, Command::Logout, &SessionId::default());
        assert_eq!(failure.message, NO_ANSWER);
    }
}
