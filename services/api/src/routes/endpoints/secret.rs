//! `POST /api/endpoints/{id}/secret/rotate`: a new secret signs, and for a while the old one beside it.

use super::{changeable, endpoint_view};
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::{PathId, field_problem},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    endpoint::{EndpointSettings, SigningSecret, StoredSecret},
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use time::OffsetDateTime;

/// A day is enough to change one's receiver.
const KEEP_OLD: u64 = 24 * 60 * 60;
const KEEP_OLD_AT_MOST: u64 = 7 * 24 * 60 * 60;

pub async fn rotate(State(app): State<AppState>, id: PathId, JsonObject(fields): JsonObject) -> JsonResult {
    let id = changeable(id)?;
    let keep = read(&fields)?;
    let now = OffsetDateTime::now_utc();
    let new = SigningSecret::random();
    let settings = app.endpoints.change(&id, |before| Ok(rotated(before, &new, keep, now))).await?;
    tracing::info!(endpoint.id = %id, "the secret of the endpoint {id} was rotated");
    Ok(Json(json!({"success": true, "data": endpoint_view::with_secret(&id, &settings)})))
}

/// Never more than two: the one before the last ends now, whatever it was promised.
fn rotated(before: &EndpointSettings, new: &SigningSecret, keep: Duration, now: OffsetDateTime) -> EndpointSettings {
    let mut secrets = vec![StoredSecret::new(new.clone())];
    let last = before.secrets.first().filter(|last| !keep.is_zero() && last.is_valid(now));
    secrets.extend(last.map(|last| StoredSecret { until: Some(clock::iso(now + keep)), ..last.clone() }));
    EndpointSettings { secrets, ..before.clone() }
}

fn read(fields: &Map<String, Value>) -> Result<Duration, ApiError> {
    let mut problems: Vec<_> = fields
        .keys()
        .filter(|name| *name != "keepOldForSeconds")
        .map(|name| field_problem(name, "is not known"))
        .collect();
    let keep = match fields.get("keepOldForSeconds") {
        None | Some(Value::Null) => Some(KEEP_OLD),
        Some(given) => given.as_u64().filter(|keep| *keep <= KEEP_OLD_AT_MOST),
    };
    if keep.is_none() {
        let message = format!("must be a whole number from 0 to {KEEP_OLD_AT_MOST}");
        problems.push(field_problem("keepOldForSeconds", message));
    }
    match keep {
        Some(keep) if problems.is_empty() => Ok(Duration::from_secs(keep)),
        Some(_) | None => Err(ApiError::invalid("invalid_rotation", problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_at_most_and_the_new_one_first() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let (first, second, third) = (SigningSecret::random(), SigningSecret::random(), SigningSecret::random());
        let unsigned = EndpointSettings::new(String::new());
        let hour = Duration::from_secs(3_600);
        let valid = |settings: &EndpointSettings, at: OffsetDateTime| {
            settings.secrets.iter().filter(|one| one.is_valid(at)).map(|one| one.secret.clone()).collect::<Vec<_>>()
        };
        let one = rotated(&unsigned, &first, hour, now);
        assert_eq!(valid(&one, now), [first.clone()].as_slice());
        let two = rotated(&one, &second, hour, now);
        assert_eq!(valid(&two, now), [second.clone(), first].as_slice());
        assert_eq!(valid(&two, now + hour), [second.clone()].as_slice());
        assert_eq!(valid(&rotated(&two, &third, hour, now), now), [third.clone(), second].as_slice());
        assert_eq!(valid(&rotated(&two, &third, Duration::ZERO, now), now), [third].as_slice());
    }
}
