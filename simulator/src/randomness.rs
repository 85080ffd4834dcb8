//! Where chance comes from: the system, or a seed, so that two runs with the same calls in the same order have the same
//! keys, ids and codes. Only what the client library makes by itself (keys of files) stays by chance.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use rand::{
    SeedableRng as _,
    distr::{Distribution, StandardUniform},
    rand_core::{TryCryptoRng, TryRng},
    rngs::StdRng,
};

/// Of the whole process: the key of a person is made where no state is at hand.
static SEEDED: Mutex<Option<StdRng>> = Mutex::new(None);

/// From now on everything is derived from this seed.
pub fn seed(seed: u64) {
    *SEEDED.lock().unwrap_or_else(PoisonError::into_inner) = Some(StdRng::seed_from_u64(seed));
}

/// A source of chance for keys and ids.
pub struct Randomness;

pub fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    StandardUniform.sample(&mut Randomness)
}

fn with_rng<T>(draw: impl FnOnce(&mut dyn rand::Rng) -> T) -> T {
    match SEEDED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        Some(rng) => draw(rng),
        None => draw(&mut rand::rng()),
    }
}

impl TryRng for Randomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(with_rng(|rng| rng.next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(with_rng(|rng| rng.next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        with_rng(|rng| rng.fill_bytes(bytes));
        Ok(())
    }
}

impl TryCryptoRng for Randomness {}
