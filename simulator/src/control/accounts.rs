//! The accounts and their companions.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{phone_number::PhoneNumber, state::SharedState};

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    number: PhoneNumber,
    lid: String,
    push_name: String,
    devices: Vec<DeviceView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceView {
    id: u16,
    connected: bool,
    push_name: String,
    /// What it said of being online on its connection.
    presences: Vec<String>,
    /// Messages that the client has not acknowledged.
    pending: usize,
    one_time_prekeys: usize,
}

pub async fn list(State(shared): State<SharedState>) -> Json<Vec<AccountView>> {
    let server = shared.lock();
    let accounts = server
        .people
        .accounts()
        .map(|person| AccountView {
            number: person.number.clone(),
            lid: person.lid.clone(),
            push_name: person.push_name.clone(),
            devices: person
                .companions
                .values()
                .map(|companion| DeviceView {
                    id: companion.device,
                    connected: companion.connection.is_some(),
                    push_name: companion.push_name.clone(),
                    presences: companion
                        .connection
                        .and_then(|id| server.connections.get(&id))
                        .map(|connection| connection.presences.clone())
                        .unwrap_or_default(),
                    pending: companion.queue.messages(),
                    one_time_prekeys: companion.one_time_prekeys.len(),
                })
                .collect(),
        })
        .collect();
    Json(accounts)
}
