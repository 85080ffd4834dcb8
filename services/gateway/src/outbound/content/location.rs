//! A place on the map.

use super::{
    message::{MessageToSend, parse_jid},
    quote::quote_context,
};
use buffa::MessageField;
use kurir_contract::command::{CommandError, SendLocation};
use waproto::whatsapp::{Message, message::LocationMessage};

/// # Errors
/// If there is no such place.
pub fn build_location(request: SendLocation) -> Result<MessageToSend, CommandError> {
    if !(-90.0..=90.0).contains(&request.latitude) || !(-180.0..=180.0).contains(&request.longitude) {
        return Err(CommandError::invalid("latitude is from -90 to 90 and longitude from -180 to 180"));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendLocation { to, latitude, longitude, name, address, quoted, quote, idempotency_key: key } = request;
    let shown = |text: String| Some(text).filter(|text| !text.is_empty());
    let place = LocationMessage {
        degrees_latitude: Some(latitude),
        degrees_longitude: Some(longitude),
        name: shown(name),
        address: shown(address),
        context_info: quote_context(quoted.as_deref(), quote.as_ref(), &jid),
        ..LocationMessage::default()
    };
    let message = Message { location_message: MessageField::some(place), ..Message::default() };
    Ok(MessageToSend { to, jid, message, attachment: None, key, fingerprint })
}
