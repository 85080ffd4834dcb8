//! A command's failure as HTTP: status, code and the contract's texts. Pure; the table is the test below.

use crate::{
    command_request::CommandFailure,
    response::{ApiError, ErrorCode},
};
use axum::http::StatusCode;
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
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "gateway_unavailable", NOT_CONNECTED)
        }
        CommandFailure::NobodyThere => ApiError::new(StatusCode::NOT_FOUND, "session_not_found", "Session not found"),
        CommandFailure::NoAnswer => {
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", timeout_text(command).unwrap_or(NO_ANSWER))
        }
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
        CommandErrorCode::InvalidRequest => ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message),
        CommandErrorCode::NotConnected => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_connected", NOT_CONNECTED)
        }
        CommandErrorCode::NotOnWhatsapp => ApiError::new(StatusCode::NOT_FOUND, "not_on_whatsapp", message),
        CommandErrorCode::GroupNotFound => ApiError::new(StatusCode::NOT_FOUND, "group_not_found", message),
        CommandErrorCode::InviteNotFound => ApiError::new(StatusCode::NOT_FOUND, "invite_not_found", message),
        CommandErrorCode::CallNotFound => ApiError::new(StatusCode::NOT_FOUND, "call_not_found", message),
        CommandErrorCode::RefusedByWhatsapp => {
            let text = if command.is_send() { REFUSED.into() } else { message };
            let failure = ApiError::new(StatusCode::BAD_GATEWAY, "refused_by_whatsapp", text);
            ApiError { code: whatsapp_code.map_or(failure.code, ErrorCode::WhatsApp), ..failure }
        }
        CommandErrorCode::TimedOut => {
            let text = timeout_text(command).map_or(message, str::to_owned);
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", text)
        }
        CommandErrorCode::Conflict => ApiError::new(StatusCode::CONFLICT, "conflict", message),
        CommandErrorCode::BrokerUnavailable => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", message)
        }
        CommandErrorCode::Internal => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
    }
}

/// What the caller of a route hears when a dispatcher did not do what it was asked.
pub fn dispatcher_error(error: CommandFailure, command: WebhookCommand) -> ApiError {
    match error {
        CommandFailure::BrokerAway => ApiError::broker_unavailable(),
        CommandFailure::BrokerLost => ApiError::broker_lost(),
        CommandFailure::NobodyThere => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "dispatcher_unavailable", NO_DISPATCHER)
        }
        CommandFailure::NoAnswer => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", NO_ANSWER_OF_DISPATCHER),
        CommandFailure::Refused(CommandError { code, message, .. }) => match code {
            CommandErrorCode::InvalidRequest => ApiError::bad_request("invalid_request", message),
            CommandErrorCode::Conflict => ApiError::new(StatusCode::CONFLICT, "conflict", message),
            CommandErrorCode::TimedOut => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message),
            CommandErrorCode::BrokerUnavailable => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", message)
            }
            // All but the first are a gateway's alone.
            CommandErrorCode::Internal
            | CommandErrorCode::NotConnected
            | CommandErrorCode::NotOnWhatsapp
            | CommandErrorCode::GroupNotFound
            | CommandErrorCode::InviteNotFound
            | CommandErrorCode::CallNotFound
            | CommandErrorCode::RefusedByWhatsapp => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            }
        },
        CommandFailure::Queued(_) => ApiError::internal(),
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
            (CommandFailure::NobodyThere, 503, ErrorCode::Name("gateway_unavailable"), NOT_CONNECTED),
            (CommandFailure::NoAnswer, 504, ErrorCode::Name("timed_out"), SEND_TIMEOUT),
            (CommandFailure::Unreadable(String::new()), 500, ErrorCode::Name("internal"), "Internal server error"),
            (refusal(R::InvalidRequest, None), 400, ErrorCode::Name("invalid_request"), own),
            (refusal(R::NotConnected, None), 503, ErrorCode::Name("not_connected"), NOT_CONNECTED),
            (refusal(R::NotOnWhatsapp, None), 404, ErrorCode::Name("not_on_whatsapp"), own),
            (refusal(R::GroupNotFound, None), 404, ErrorCode::Name("group_not_found"), own),
            (refusal(R::InviteNotFound, None), 404, ErrorCode::Name("invite_not_found"), own),
            (refusal(R::CallNotFound, None), 404, ErrorCode::Name("call_not_found"), own),
            (refusal(R::RefusedByWhatsapp, Some(463)), 502, ErrorCode::WhatsApp(463), REFUSED),
            (refusal(R::RefusedByWhatsapp, None), 502, ErrorCode::Name("refused_by_whatsapp"), REFUSED),
            (refusal(R::TimedOut, None), 504, ErrorCode::Name("timed_out"), SEND_TIMEOUT),
            (refusal(R::Conflict, None), 409, ErrorCode::Name("conflict"), own),
            (refusal(R::BrokerUnavailable, None), 503, ErrorCode::Name("broker_unavailable"), own),
            (refusal(R::Internal, None), 500, ErrorCode::Name("internal"), own),
        ] {
            let shown = error.to_string();
            let failure = gateway_error(error, Command::SendText, &SessionId::default());
            let seen = (failure.status.as_u16(), failure.code, failure.message.as_ref());
            assert_eq!(seen, (status, code, message), "{shown}");
        }
    }

    #[test]
    fn a_session_that_no_gateway_serves_is_not_found() {
        let session = "sales".parse::<SessionId>().expect("a name");
        assert_eq!(gateway_error(CommandFailure::NobodyThere, Command::Status, &session).status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn each_failure_of_a_dispatcher_has_its_status_and_code() {
        use CommandErrorCode as R;
        for (error, status, code) in [
            (CommandFailure::BrokerAway, 503, "broker_unavailable"),
            (CommandFailure::BrokerLost, 503, "broker_unavailable"),
            (CommandFailure::NobodyThere, 503, "dispatcher_unavailable"),
            (CommandFailure::NoAnswer, 504, "timed_out"),
            (CommandFailure::Unreadable(String::new()), 500, "internal"),
            (refusal(R::InvalidRequest, None), 400, "invalid_request"),
            (refusal(R::Conflict, None), 409, "conflict"),
            (refusal(R::TimedOut, None), 504, "timed_out"),
            (refusal(R::BrokerUnavailable, None), 503, "broker_unavailable"),
            (refusal(R::Internal, None), 500, "internal"),
        ] {
            let shown = error.to_string();
            let failure = dispatcher_error(error, WebhookCommand::Replay);
            assert_eq!((failure.status.as_u16(), failure.code), (status, ErrorCode::Name(code)), "{shown}");
        }
    }

    #[test]
    fn only_a_send_has_the_text_of_a_send() {
        let failure = gateway_error(CommandFailure::NoAnswer, Command::Logout, &SessionId::default());
        assert_eq!(failure.message, NO_ANSWER);
    }
}
