//! The server's side of the Noise handshake, and the certificate chain that vouches for its key.

mod handshake;

pub use handshake::{HandshakeReply, NoiseSession, ServerIdentity, answer};
