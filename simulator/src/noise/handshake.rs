//! The server's side of the Noise handshake: XX, IK, and XXfallback when a client knows an older
//! server key. Promises what wacore's initiator accepts. Leaves the socket to `socket`.

use anyhow::{Context as _, Result, ensure};
use buffa::Message as _;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::whatsapp::{
    HandshakeMessage,
    handshake_message::{ClientHello, ServerHello},
};

use super::certificate::ServerIdentity;

use crate::randomness::Randomness;

/// A finished handshake: the ciphers of both directions, who the client is and what it declared.
pub struct NoiseSession {
    pub read: NoiseCipher,
    pub write: NoiseCipher,
    pub client_static: [u8; 32],
    pub payload: Vec<u8>,
}

pub enum HandshakeReply {
    /// IK: the reply ends the handshake.
    Done(Vec<u8>, Box<NoiseSession>),
    /// XX and XXfallback: the reply asks for the client's last message.
    Continue(Vec<u8>, Box<PendingHandshake>),
}

/// Between the server's hello and the client's finish.
pub struct PendingHandshake {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
    pattern: &'static str,
}

/// Reads the client's hello and says what to answer.
pub fn answer(identity: &ServerIdentity, hello: &[u8]) -> Result<HandshakeReply> {
    let hello = HandshakeMessage::decode_from_slice(hello)
        .context("decode the handshake message")?
        .client_hello
        .into_option()
        .context("the first handshake message is no client hello")?;
    let theirs = hello.ephemeral.clone().context("the hello has no key")?;
    ensure!(theirs.len() == 32, "the hello's key has not 32 bytes");
    if hello.r#static.is_none() {
        return full(identity, &theirs, NOISE_PATTERN_XX);
    }
    match resume(identity, &theirs, &hello) {
        Ok(answer) => Ok(answer),
        // The client encrypted for another server key (the simulator has a new one).
        Err(_) => full(identity, &theirs, NOISE_PATTERN_XXFALLBACK),
    }
}

fn full(identity: &ServerIdentity, theirs: &[u8], pattern: &'static str) -> Result<HandshakeReply> {
    let ephemeral = KeyPair::generate(&mut Randomness);
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER)?;
    noise.authenticate(theirs);
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), theirs)?;
    let sealed_static = noise.encrypt(identity.key.public_key.public_key_bytes())?;
    noise.mix_shared_secret(identity.key.private_key.serialize(), theirs)?;
    let payload = noise.encrypt(&identity.chain)?;
    let reply = server_hello(&ephemeral, Some(sealed_static), payload);
    Ok(HandshakeReply::Continue(reply, Box::new(PendingHandshake { noise, ephemeral, pattern })))
}

fn resume(identity: &ServerIdentity, theirs: &[u8], hello: &ClientHello) -> Result<HandshakeReply> {
    let own = identity.key.private_key.serialize();
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(identity.key.public_key.public_key_bytes());
    noise.authenticate(theirs);
    noise.mix_shared_secret(own, theirs)?;
    let client_static = static_key(noise.decrypt(hello.r#static.as_deref().unwrap_or_default())?)?;
    noise.mix_shared_secret(own, &client_static)?;
    let payload = noise.decrypt(hello.payload.as_deref().unwrap_or_default())?;

    let ephemeral = KeyPair::generate(&mut Randomness);
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), theirs)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let reply = server_hello(&ephemeral, None, noise.encrypt(&identity.chain)?);
    Ok(HandshakeReply::Done(reply, Box::new(established(noise, client_static, payload)?)))
}

impl PendingHandshake {
    /// The pattern's name in the statistics.
    pub fn pattern(&self) -> &'static str {
        if self.pattern == NOISE_PATTERN_XX { "xx" } else { "xxfallback" }
    }

    /// Reads the client's finish.
    pub fn finish(mut self, finish: &[u8]) -> Result<NoiseSession> {
        let finish = HandshakeMessage::decode_from_slice(finish)
            .context("decode the handshake message")?
            .client_finish
            .into_option()
            .context("the last handshake message is no client finish")?;
        let client_static = static_key(self.noise.decrypt(finish.r#static.as_deref().unwrap_or_default())?)?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(finish.payload.as_deref().unwrap_or_default())?;
        established(self.noise, client_static, payload)
    }
}

fn established(noise: NoiseHandshake, client_static: [u8; 32], payload: Vec<u8>) -> Result<NoiseSession> {
    // The names of `finish()` are the initiator's: what it writes is what we read.
    let (read, write) = noise.finish()?;
    Ok(NoiseSession { read, write, client_static, payload })
}

fn static_key(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| anyhow::anyhow!("the client's static key has not 32 bytes"))
}

fn server_hello(ephemeral: &KeyPair, sealed: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: buffa::MessageField::some(ServerHello {
            ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
            r#static: sealed,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}
