//! Counts the wrong keys that each address sent lately: an address that sends too many is answered 429 for a while.
//!
//! The right key is still taken, so that nobody behind the same proxy is locked out; but not one that is short enough to be
//! guessed. Pure but for its lock.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Addresses that are known; beyond it the one that has been quiet longest is forgotten.
const MOST_ADDRESSES: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

pub struct WrongKeys {
    /// In a minute; 0: no bound.
    most: u32,
    /// When the last of its wrong keys will be forgotten; each stays for a part of a minute.
    until: Mutex<HashMap<IpAddr, Instant>>,
}

impl WrongKeys {
    pub fn new(most: u32) -> Self {
        Self { most, until: Mutex::default() }
    }

    /// Counts a wrong key. The time to wait if there were too many.
    pub fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let each = MINUTE.checked_div(self.most)?;
        let wait = self.wait(address, now);
        if wait.is_some() {
            return wait;
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= MOST_ADDRESSES && !until.contains_key(&address) {
            let quiet = until.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address);
            quiet.map(|address| until.remove(&address));
        }
        let at = until.entry(address).or_insert(now);
        *at = (*at).max(now) + each;
        None
    }

    /// The time to wait if there were too many wrong keys.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let each = MINUTE.checked_div(self.most)?;
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let full = until.get(&address)?.saturating_duration_since(now) + each;
        full.checked_sub(MINUTE).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn too_many_wrong_keys_of_one_address_wait_and_those_of_others_do_not() {
        let (keys, now) = (WrongKeys::new(10), Instant::now());
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(number));
        assert!((0..10).all(|_| keys.count(address(1), now).is_none()));
        assert_eq!(keys.count(address(1), now), Some(Duration::from_secs(6)));
        assert_eq!(keys.count(address(2), now), None);
        let later = now + Duration::from_secs(6);
        assert_eq!((keys.wait(address(1), later), keys.count(address(1), later)), (None, None));
        assert!(keys.wait(address(1), later).is_some());
        assert!((0..1_000).all(|_| WrongKeys::new(0).count(address(1), now).is_none()), "0: any number");
        for number in 0..10_000 {
            keys.count(address(number), later);
        }
        assert!(keys.until.lock().expect("unpoisoned").len() <= MOST_ADDRESSES);
    }
}
