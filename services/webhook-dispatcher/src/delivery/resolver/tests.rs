use super::*;
use std::sync::{
    Barrier,
    atomic::{AtomicUsize, Ordering},
};

fn files() -> ResolverFiles {
    ResolverFiles::new(Vec::new())
}

fn address(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 0).into()
}

#[tokio::test(start_paused = true)]
async fn callers_of_the_same_name_share_one_lookup_and_its_answer() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let resolver = NameResolver::with_function(files(), CacheTimes::USUAL, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(vec![address(1)])
    });
    let look_up = || resolver.resolve("a.test".to_owned(), AddressFamily::V4);
    let answers = futures::future::join_all((0..20).map(|_| look_up())).await;
    assert!(answers.iter().all(|answer| *answer == Ok(vec![address(1)])));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokio::time::advance(CacheTimes::USUAL.addresses).await;
    look_up().await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_believed_for_a_shorter_time() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let resolver = NameResolver::with_function(files(), CacheTimes::USUAL, move |host, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(ResolveError::NoSuchHost { host: host.to_owned() })
    });
    for expected in [1, 1, 2] {
        resolver.resolve("a.test".to_owned(), AddressFamily::V4).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), expected);
        tokio::time::advance(CacheTimes::USUAL.no_host / 2).await;
    }
}

#[tokio::test]
async fn silent_names_stop_neither_each_other_for_ever_nor_names_of_the_hosts_file() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "192.0.2.7 known.test\n").unwrap();
    let release = Arc::new(Barrier::new(MAX_LOOKUPS + 1));
    let silent = Arc::clone(&release);
    let resolver =
        NameResolver::with_function(ResolverFiles::new(vec![hosts]), CacheTimes::USUAL, move |host, family| {
            if family != AddressFamily::Both {
                silent.wait();
            }
            Ok(vec![address(if host == "known.test" { 7 } else { 1 })])
        });
    let waiting: Vec<_> = (0..MAX_LOOKUPS)
        .map(|number| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.resolve(format!("{number}.test"), AddressFamily::V4).await })
        })
        .collect();
    assert_eq!(resolver.families("Known.test"), [AddressFamily::Both]);
    assert_eq!(resolver.resolve("known.test".to_owned(), AddressFamily::Both).await, Ok(vec![address(7)]));
    tokio::task::spawn_blocking(move || release.wait()).await.unwrap();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_name_of_the_system_is_found_and_another_is_not() {
    let resolver = NameResolver::from_system();
    let mut found = Vec::new();
    for &family in resolver.families("localhost") {
        found.extend(resolver.resolve("localhost".to_owned(), family).await.unwrap_or_default());
    }
    assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    let missing = resolver.resolve("no-such-host.invalid".to_owned(), AddressFamily::V4).await;
    assert!(missing.is_err(), "{missing:?}");
}
