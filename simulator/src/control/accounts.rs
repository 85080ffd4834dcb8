//! The accounts and their companions.

use axum::{Json, extract::State};
use serde::Serialize;

use crate::{people::Number, world::Shared};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    number: Number,
    lid: String,
    push_name: String,
    devices: Vec<Device>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    id: u16,
    connected: bool,
    push_name: String,
    /// What it said of being online on its connection.
    presences: Vec<String>,
    /// Messages that the client has not acknowledged.
    pending: usize,
    one_time_prekeys: usize,
}

pub async fn list(State(shared): State<Shared>) -> Json<Vec<Account>> {
    let world = shared.lock();
    let accounts = world
        .people
        .accounts()
        .map(|person| Account {
            number: person.number.clone(),
            lid: person.lid.clone(),
            push_name: person.push_name.clone(),
            devices: person
                .companions
                .values()
                .map(|companion| Device {
                    id: companion.device,
                    connected: companion.connection.is_some(),
                    push_name: companion.push_name.clone(),
                    presences: companion
                        .connection
                        .and_then(|id| world.connections.get(&id))
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
