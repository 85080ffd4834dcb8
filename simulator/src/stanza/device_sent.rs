//! The envelope of the account's own copies, around bytes that are no message known here.

/// A message of bytes that nobody looks into, as the sender's own companions get it.
pub(super) fn device_sent(message: &[u8], destination: &str) -> Vec<u8> {
    // Fields of `DeviceSentMessage`, and of `Message` the one that holds it.
    const DESTINATION: u32 = 1;
    const MESSAGE: u32 = 2;
    const DEVICE_SENT: u32 = 31;
    let mut inside = Vec::new();
    write_field(&mut inside, DESTINATION, destination.as_bytes());
    write_field(&mut inside, MESSAGE, message);
    let mut outside = Vec::new();
    write_field(&mut outside, DEVICE_SENT, &inside);
    outside
}

/// A length-delimited field of a protobuf.
fn write_field(into: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    write_varint(into, u64::from(number << 3 | 2));
    write_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn write_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
