//! The resolver: sharing, cancelling, bounds, errors.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use dodici_pool::{ErrorKind, Family, Phase};
use parking_lot::Mutex;

use super::support::detail;
use crate::connect::dns::{Limits, Resolver, SYSTEM};
use crate::connect::getaddrinfo::LookupError;

const LONG: Duration = Duration::from_secs(3600);

fn answer() -> Vec<SocketAddr> {
    vec!["192.0.2.1:0".parse().unwrap()]
}

/// A resolver whose look-ups wait for a permit each, and the names it was asked for.
fn gated(limits: Limits) -> (Arc<Resolver>, mpsc::Sender<()>, Arc<Mutex<Vec<String>>>) {
    let (permit, permits) = mpsc::channel::<()>();
    let permits = Mutex::new(permits);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let resolver = Resolver::new(limits, move |host, _| {
        log.lock().push(host.to_owned());
        permits.lock().recv().ok();
        Ok(answer())
    });
    (Arc::new(resolver), permit, asked)
}

fn limits(threads: usize) -> Limits {
    Limits {
        threads,
        pending: 2,
        idle: LONG,
    }
}

async fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut future = future;
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn r24_lookups_of_one_name_that_overlap_share_one_call() {
    let (resolver, permit, asked) = gated(limits(8));
    let (one, two, ()) = tokio::join!(
        resolver.resolve("a.test", Family::Any),
        resolver.resolve("a.test", Family::Any),
        async { permit.send(()).unwrap() },
    );
    assert_eq!(one.unwrap().to_vec(), answer());
    assert_eq!(two.unwrap().to_vec(), answer());
    assert_eq!(*asked.lock(), ["a.test"]);
}

#[tokio::test]
async fn lookups_of_different_families_do_not_share() {
    let (resolver, permit, asked) = gated(limits(8));
    permit.send(()).unwrap();
    permit.send(()).unwrap();
    let (one, two) = tokio::join!(
        resolver.resolve("a.test", Family::V4),
        resolver.resolve("a.test", Family::V6),
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(asked.lock().len(), 2);
}

#[tokio::test]
async fn cancelling_the_first_waiter_leaves_the_lookup_to_the_second() {
    let (resolver, permit, asked) = gated(limits(8));
    let mut second = pin!(resolver.resolve("a.test", Family::Any));
    {
        let first = pin!(resolver.resolve("a.test", Family::Any));
        assert!(poll_once(first).await.is_none());
        assert!(poll_once(second.as_mut()).await.is_none());
    }
    permit.send(()).unwrap();
    second.await.unwrap();
    assert_eq!(*asked.lock(), ["a.test"]);
}

#[tokio::test]
async fn a_queued_lookup_without_waiters_is_skipped() {
    let (resolver, permit, asked) = gated(limits(1));
    let mut busy = pin!(resolver.resolve("busy.test", Family::Any));
    assert!(poll_once(busy.as_mut()).await.is_none());
    while asked.lock().is_empty() {
        std::thread::yield_now();
    }
    {
        let abandoned = pin!(resolver.resolve("abandoned.test", Family::Any));
        assert!(poll_once(abandoned).await.is_none());
    }
    let mut wanted = pin!(resolver.resolve("wanted.test", Family::Any));
    assert!(poll_once(wanted.as_mut()).await.is_none());
    // One permit more than needed, for a look-up that must not happen.
    for _ in 0..3 {
        permit.send(()).unwrap();
    }
    busy.await.unwrap();
    wanted.await.unwrap();
    assert_eq!(*asked.lock(), ["busy.test", "wanted.test"]);
}

#[tokio::test]
async fn a_full_queue_fails_with_a_temporary_error() {
    let (resolver, permit, asked) = gated(limits(1));
    let mut busy = pin!(resolver.resolve("busy.test", Family::Any));
    assert!(poll_once(busy.as_mut()).await.is_none());
    while asked.lock().is_empty() {
        std::thread::yield_now();
    }
    let mut one = pin!(resolver.resolve("one.test", Family::Any));
    let mut two = pin!(resolver.resolve("two.test", Family::Any));
    assert!(poll_once(one.as_mut()).await.is_none());
    assert!(poll_once(two.as_mut()).await.is_none());
    let error = resolver
        .resolve("three.test", Family::Any)
        .await
        .unwrap_err();
    assert_eq!(error.message(), "getaddrinfo EAI_AGAIN three.test");
    drop(permit);
    one.await.unwrap();
    two.await.unwrap();
}

#[tokio::test]
async fn the_number_of_threads_is_limited_and_idle_ones_end() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let limits = Limits {
        threads: 2,
        pending: 100,
        idle: Duration::ZERO,
    };
    let resolver = Arc::new(Resolver::new(limits, move |_, _| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(answer())
    }));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let resolver = Arc::clone(&resolver);
        tasks.spawn(async move {
            resolver
                .resolve(&format!("host{n}.test"), Family::Any)
                .await
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
    while resolver.threads() > 0 {
        std::thread::yield_now();
    }
    resolver.resolve("again.test", Family::Any).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_lookup_fails_its_waiters_and_spares_the_thread() {
    let resolver = Resolver::new(limits(1), |host, _| {
        assert_ne!(host, "boom.test", "as the test wants it");
        Ok(answer())
    });
    let error = resolver
        .resolve("boom.test", Family::Any)
        .await
        .unwrap_err();
    assert_eq!(detail(&error).code, "EAI_FAIL");
    resolver.resolve("fine.test", Family::Any).await.unwrap();
    assert_eq!(resolver.threads(), 1);
}

#[tokio::test]
async fn an_answer_without_addresses_is_not_found() {
    let resolver = Resolver::new(limits(1), |_, _| Ok(Vec::new()));
    let error = resolver.resolve("a.test", Family::Any).await.unwrap_err();
    assert_eq!(detail(&error).code, "ENOTFOUND");
}

#[tokio::test]
async fn literal_addresses_take_no_lookup() {
    let resolver = Resolver::new(limits(1), |_, _| Err(LookupError::NOT_FOUND));
    for (literal, expected) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0")] {
        let found = resolver.resolve(literal, Family::Any).await.unwrap();
        assert_eq!(found.to_vec(), [expected.parse().unwrap()]);
    }
    assert_eq!(resolver.threads(), 0);
}

#[tokio::test]
async fn r24_a_name_that_cannot_exist_fails_as_in_node() {
    // A NUL never reaches the system, so that this holds without a network as well.
    let error = SYSTEM.resolve("no\0name", Family::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert_eq!(error.phase(), Phase::Resolve);
    assert_eq!(error.message(), "getaddrinfo ENOTFOUND no\0name");
    let detail = detail(&error);
    assert_eq!((&*detail.code, detail.errno), ("ENOTFOUND", -3008));
    assert_eq!(detail.syscall, "getaddrinfo");
    assert_eq!(detail.hostname.as_deref(), Some("no\0name"));
}

#[tokio::test]
async fn a_reserved_name_does_not_resolve() {
    let error = SYSTEM
        .resolve("nonexistent.invalid", Family::Any)
        .await
        .unwrap_err();
    // Without any name server the system says "try again".
    let code = detail(&error).code.clone();
    assert!(code == "ENOTFOUND" || code == "EAI_AGAIN", "{code}");
    assert_eq!(
        error.message(),
        format!("getaddrinfo {code} nonexistent.invalid")
    );
}

#[tokio::test]
async fn localhost_resolves_to_loopback_of_the_wanted_family() {
    let found = SYSTEM.resolve("localhost", Family::V4).await.unwrap();
    assert!(found.iter().all(|address| address.is_ipv4()));
    assert!(found.iter().all(|address| address.ip().is_loopback()));
}

#[cfg(unix)]
#[test]
fn statuses_of_getaddrinfo_get_libuv_numbers() {
    let error = LookupError::from_eai(libc::EAI_AGAIN).into_error("h");
    assert_eq!(
        (&*detail(&error).code, detail(&error).errno),
        ("EAI_AGAIN", -3001)
    );
    let error = LookupError::from_eai(libc::EAI_NONAME).into_error("h");
    assert_eq!(
        (&*detail(&error).code, detail(&error).errno),
        ("ENOTFOUND", -3008)
    );
}
