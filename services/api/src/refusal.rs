//! A command's failure as HTTP: status, code and the contract's texts. Pure; the table is the test below.

use crate::{
    answer::{Code, Failure},
    commands::CommandError,
};
use axum::http::StatusCode;
use kurir_contract::{
    command::{Command, Refusal, RefusalCode},
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
pub fn failure(error: CommandError, command: Command, session: &SessionId) -> Failure {
    match error {
        CommandError::BrokerAway => Failure::broker_unavailable(),
        CommandError::BrokerLost => Failure::broker_lost(),
        // The session `default` is always meant to be there, so its gateway is what is missing.
        CommandError::NobodyThere if *session == SessionId::default() => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "gateway_unavailable", NOT_CONNECTED)
        }
        CommandError::NobodyThere => Failure::new(StatusCode::NOT_FOUND, "session_not_found", "Session not found"),
        CommandError::NoAnswer => {
            Failure::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", timeout_text(command).unwrap_or(NO_ANSWER))
        }
        CommandError::Refused(refusal) => refused(refusal, command),
        // Its routes answer for themselves.
        CommandError::Queued(queued) => {
            tracing::error!(session.id = %session, "the command {command} waits as the job {}", queued.job_id);
            Failure::internal()
        }
        CommandError::Unreadable(problem) => {
            tracing::error!(session.id = %session, "the command {command} failed: {problem}");
            Failure::internal()
        }
    }
}

fn refused(refusal: Refusal, command: Command) -> Failure {
    let Refusal { code, message, whatsapp_code } = refusal;
    match code {
        RefusalCode::InvalidRequest => Failure::new(StatusCode::BAD_REQUEST, "invalid_request", message),
        RefusalCode::NotConnected => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_connected", NOT_CONNECTED),
        RefusalCode::NotOnWhatsapp => Failure::new(StatusCode::NOT_FOUND, "not_on_whatsapp", message),
        RefusalCode::GroupNotFound => Failure::new(StatusCode::NOT_FOUND, "group_not_found", message),
        RefusalCode::InviteNotFound => Failure::new(StatusCode::NOT_FOUND, "invite_not_found", message),
        RefusalCode::CallNotFound => Failure::new(StatusCode::NOT_FOUND, "call_not_found", message),
        RefusalCode::RefusedByWhatsapp => {
            let text = if command.is_send() { REFUSED.into() } else { message };
            let failure = Failure::new(StatusCode::BAD_GATEWAY, "refused_by_whatsapp", text);
            Failure { code: whatsapp_code.map_or(failure.code, Code::WhatsApp), ..failure }
        }
        RefusalCode::TimedOut => {
            let text = timeout_text(command).map_or(message, str::to_owned);
            Failure::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", text)
        }
        RefusalCode::Conflict => Failure::new(StatusCode::CONFLICT, "conflict", message),
        RefusalCode::BrokerUnavailable => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", message),
        RefusalCode::Internal => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
    }
}

/// What the caller of a route hears when a dispatcher did not do what it was asked.
pub fn of_dispatcher(error: CommandError, command: WebhookCommand) -> Failure {
    match error {
        CommandError::BrokerAway => Failure::broker_unavailable(),
        CommandError::BrokerLost => Failure::broker_lost(),
        CommandError::NobodyThere => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "dispatcher_unavailable", NO_DISPATCHER)
        }
        CommandError::NoAnswer => Failure::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", NO_ANSWER_OF_DISPATCHER),
        CommandError::Refused(Refusal { code, message, .. }) => match code {
            RefusalCode::InvalidRequest => Failure::bad_request("invalid_request", message),
            RefusalCode::Conflict => Failure::new(StatusCode::CONFLICT, "conflict", message),
            RefusalCode::TimedOut => Failure::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message),
            RefusalCode::BrokerUnavailable => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", message)
            }
            // All but the first are a gateway's alone.
            RefusalCode::Internal
            | RefusalCode::NotConnected
            | RefusalCode::NotOnWhatsapp
            | RefusalCode::GroupNotFound
            | RefusalCode::InviteNotFound
            | RefusalCode::CallNotFound
            | RefusalCode::RefusedByWhatsapp => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
        },
        CommandError::Queued(_) => Failure::internal(),
        CommandError::Unreadable(problem) => {
            tracing::error!("the webhook command {command} failed: {problem}");
            Failure::internal()
        }
    }
}

fn timeout_text(command: Command) -> Option<&'static str> {
    command.is_send().then_some(SEND_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: RefusalCode, whatsapp_code: Option<u16>) -> CommandError {
        CommandError::Refused(Refusal { code, message: "its own text".to_owned(), whatsapp_code })
    }

    #[test]
    fn each_failure_of_a_send_has_its_status_code_and_text() {
        use RefusalCode as R;
        let own = "its own text";
        for (error, status, code, message) in [
            (CommandError::NobodyThere, 503, Code::Name("gateway_unavailable"), NOT_CONNECTED),
            (CommandError::NoAnswer, 504, Code::Name("timed_out"), SEND_TIMEOUT),
            (CommandError::Unreadable(String::new()), 500, Code::Name("internal"), "Internal server error"),
            (refusal(R::InvalidRequest, None), 400, Code::Name("invalid_request"), own),
            (refusal(R::NotConnected, None), 503, Code::Name("not_connected"), NOT_CONNECTED),
            (refusal(R::NotOnWhatsapp, None), 404, Code::Name("not_on_whatsapp"), own),
            (refusal(R::GroupNotFound, None), 404, Code::Name("group_not_found"), own),
            (refusal(R::InviteNotFound, None), 404, Code::Name("invite_not_found"), own),
            (refusal(R::CallNotFound, None), 404, Code::Name("call_not_found"), own),
            (refusal(R::RefusedByWhatsapp, Some(463)), 502, Code::WhatsApp(463), REFUSED),
            (refusal(R::RefusedByWhatsapp, None), 502, Code::Name("refused_by_whatsapp"), REFUSED),
            (refusal(R::TimedOut, None), 504, Code::Name("timed_out"), SEND_TIMEOUT),
            (refusal(R::Conflict, None), 409, Code::Name("conflict"), own),
            (refusal(R::BrokerUnavailable, None), 503, Code::Name("broker_unavailable"), own),
            (refusal(R::Internal, None), 500, Code::Name("internal"), own),
        ] {
            let shown = error.to_string();
            let failure = failure(error, Command::SendText, &SessionId::default());
            let seen = (failure.status.as_u16(), failure.code, failure.message.as_ref());
            assert_eq!(seen, (status, code, message), "{shown}");
        }
    }

    #[test]
    fn a_session_that_no_gateway_serves_is_not_found() {
        let session = "sales".parse::<SessionId>().expect("a name");
        assert_eq!(failure(CommandError::NobodyThere, Command::Status, &session).status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn each_failure_of_a_dispatcher_has_its_status_and_code() {
        use RefusalCode as R;
        for (error, status, code) in [
            (CommandError::BrokerAway, 503, "broker_unavailable"),
            (CommandError::BrokerLost, 503, "broker_unavailable"),
            (CommandError::NobodyThere, 503, "dispatcher_unavailable"),
            (CommandError::NoAnswer, 504, "timed_out"),
            (CommandError::Unreadable(String::new()), 500, "internal"),
            (refusal(R::InvalidRequest, None), 400, "invalid_request"),
            (refusal(R::Conflict, None), 409, "conflict"),
            (refusal(R::TimedOut, None), 504, "timed_out"),
            (refusal(R::BrokerUnavailable, None), 503, "broker_unavailable"),
            (refusal(R::Internal, None), 500, "internal"),
        ] {
            let shown = error.to_string();
            let failure = of_dispatcher(error, WebhookCommand::Replay);
            assert_eq!((failure.status.as_u16(), failure.code), (status, Code::Name(code)), "{shown}");
        }
    }

    #[test]
    fn only_a_send_has_the_text_of_a_send() {
        let failure = failure(CommandError::NoAnswer, Command::Logout, &SessionId::default());
        assert_eq!(failure.message, NO_ANSWER);
    }
}
