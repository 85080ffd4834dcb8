//! `POST /api/endpoints/{id}/secret/rotate`: a new secret signs, and for a while the old one signs too.

use super::{endpoint_view::EndpointSecretView, lookup::changeable};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId},
    fields::{Field, FieldError, FieldErrors, FieldValue, inline_schema},
    response::{DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    endpoint::{EndpointSettings, SigningSecret, StoredSecret},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use time::OffsetDateTime;

/// A day is enough to change one's receiver.
const KEEP_OLD: u64 = 24 * 60 * 60;
const KEEP_OLD_AT_MOST: u64 = 7 * 24 * 60 * 60;

/// How long the old secret signs too.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct RotateSecretRequest {
    /// Seconds; a day if it is missing.
    keep_old_for_seconds: Option<Field<OverlapSeconds>>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

/// At most a week.
struct OverlapSeconds(u64);

pub async fn rotate_secret(
    State(app): State<AppState>,
    id: PathId,
    JsonBody(body): JsonBody<RotateSecretRequest>,
) -> JsonResult<DataResponse<EndpointSecretView>> {
    let id = changeable(id)?;
    let mut errors = FieldErrors::new(ErrorCode::InvalidRotation);
    errors.refuse_unknown(&body.unknown);
    let keep = errors.take_optional("keepOldForSeconds", body.keep_old_for_seconds);
    let keep = errors.finish(|| Some(keep.map_or(KEEP_OLD, |OverlapSeconds(keep)| keep)))?;
    let (now, new) = (clock::now(), SigningSecret::random());
    let rotate = |before: &EndpointSettings| Ok(rotated(before, &new, Duration::from_secs(keep), now));
    let settings = app.endpoint_store.change(&id, rotate).await?;
    tracing::info!(endpoint.id = %id, "the secret of the endpoint {id} was rotated");
    Ok(data_response(EndpointSecretView::new(&id, &settings)))
}

/// Never more than two: the one before the last ends now, whatever it was promised.
fn rotated(before: &EndpointSettings, new: &SigningSecret, keep: Duration, now: OffsetDateTime) -> EndpointSettings {
    let mut secrets = vec![StoredSecret::new(new.clone())];
    let last = before.secrets.first().filter(|last| !keep.is_zero() && last.is_valid(now));
    secrets.extend(last.map(|last| StoredSecret { until: Some(clock::iso(now + keep)), ..last.clone() }));
    EndpointSettings { secrets, ..before.clone() }
}

impl FieldValue for OverlapSeconds {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let seconds = given.as_u64().filter(|seconds| *seconds <= KEEP_OLD_AT_MOST);
        let text = || FieldError::predicate(format!("must be a whole number from 0 to {KEEP_OLD_AT_MOST}"));
        seconds.map(Self).ok_or_else(text)
    }
}

inline_schema!(
    OverlapSeconds,
    |_| json_schema!({"type": "integer", "minimum": 0, "maximum": KEEP_OLD_AT_MOST, "default": KEEP_OLD})
);

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
