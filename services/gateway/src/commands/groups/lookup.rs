//! Finds a group, and distinguishes a group that is not there from one that the account may not change.

use crate::commands::whatsapp_request::RequestFailure;
use kurir_contract::{
    address::ChatJid,
    command::{CommandError, CommandErrorCode},
};
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{GroupError, GroupMetadata},
    request::IqError,
};

/// WhatsApp's numbers for an account that is not in a group or may not do what it asks.
const MAY_NOT: [u16; 3] = [401, 403, 404];

/// WhatsApp's description of a group.
pub async fn fetch_group(client: &Client, group: &Jid) -> Result<GroupMetadata, RequestFailure> {
    match client.groups().get_metadata(group).await {
        Err(error) if is_refused_with(&error, &MAY_NOT) => Err(group_not_found().into()),
        other => Ok(other?),
    }
}

/// WhatsApp has one number for both an account outside the group and one without the right. Only the second can see the
/// group.
pub async fn map_group_error<T>(
    client: &Client,
    group: &Jid,
    done: Result<T, GroupError>,
) -> Result<T, RequestFailure> {
    match done {
        Err(error) if is_refused_with(&error, &MAY_NOT) => {
            fetch_group(client, group).await?;
            Err(error.into())
        }
        other => Ok(other?),
    }
}

pub fn is_refused_with(error: &GroupError, codes: &[u16]) -> bool {
    matches!(error, GroupError::Iq(IqError::ServerError { code, .. }) if codes.contains(code))
}

fn group_not_found() -> CommandError {
    CommandError::new(CommandErrorCode::GroupNotFound, "there is no such group, or this account is not in it")
}

pub fn parse_group(group: &ChatJid) -> Result<Jid, CommandError> {
    let jid = group.as_str().parse().ok().filter(|_| group.is_group());
    jid.ok_or_else(|| CommandError::invalid("a group's id looks like 120363000000000001@g.us"))
}
