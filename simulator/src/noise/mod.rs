//! The server's side of the Noise handshake, and the certificate chain that vouches for its key.

mod certificate;
mod handshake;

pub use certificate::{ServerIdentity, ServerKeys};
pub use handshake::{HandshakeReply, NoiseSession, answer};
