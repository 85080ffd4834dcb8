//! Files and values that an operator or a thief hands over, on the kept corpus and mutations of it.

use crate::{
    bucket::secrets_key::{self, SecretsKey},
    byte_size::ByteSize,
};

#[test]
fn fuzz_stored_secrets() {
    let key: SecretsKey = "0123456789abcdef0123456789abcdef".parse().expect("a key");
    let sealed = secrets_key::seal(Some(&key), "here", bytes::Bytes::from_static(b"secret")).expect("sealed");
    kurir_fuzz::run("stored-secrets", |input| {
        let stored = bytes::Bytes::copy_from_slice(input);
        if let Ok(opened) = secrets_key::open(Some(&key), "here", stored.clone()) {
            assert!(opened == stored, "something opens that was never sealed");
        }
        // What was sealed does not open after any change.
        let changed = [&sealed[..], input].concat();
        assert!(input.is_empty() || secrets_key::open(Some(&key), "here", changed.into()).is_err());
        let _ = String::from_utf8_lossy(input).parse::<SecretsKey>();
        let _ = String::from_utf8_lossy(input).parse::<ByteSize>();
    });
}
