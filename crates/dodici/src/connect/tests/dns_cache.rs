//! Which answers are kept, how long, and how many; and the lookups that renew them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dodici_pool::{DnsCacheConfig, Family};
use dodici_testkit::with;
use parking_lot::Mutex;

use crate::connect::dns::{Limits, Resolver};
use crate::connect::dns_cache::{Answer, DnsCache, Key, Known};
use crate::connect::getaddrinfo::LookupError;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3600);

fn key(host: &str) -> Key {
    (host.into(), Family::Any)
}

fn found(last: u8) -> Answer {
    Ok(Arc::new([([192, 0, 2, last], 0).into()]))
}

fn failed() -> Answer {
    Err(LookupError::AGAIN)
}

/// 10 s fresh, 5 s stale, 2 s negative.
fn config() -> DnsCacheConfig {
    with(DnsCacheConfig::default(), |config| {
        config.stale_ttl = 5 * SECOND;
        config.negative_ttl = 2 * SECOND;
        config.max_entries = 2;
    })
}

/// A cache that was asked once, and the instant of that.
fn cache() -> (DnsCache, Instant) {
    let (mut cache, now) = (DnsCache::default(), Instant::now());
    assert_eq!(cache.look(&key("a"), &config(), now), Known::Nothing);
    (cache, now)
}

#[test]
fn an_answer_is_fresh_then_stale_then_forgotten() {
    let (mut cache, start) = cache();
    cache.store(key("a"), &found(1), start);
    let mut at = |seconds| cache.look(&key("a"), &config(), start + seconds * SECOND);
    assert_eq!(at(9), Known::Fresh(found(1)));
    assert_eq!(at(10), Known::Stale(found(1).unwrap()));
    assert_eq!(at(14), Known::Stale(found(1).unwrap()));
    assert_eq!(at(15), Known::Nothing);
}

#[test]
fn each_configuration_decides_for_itself_how_old_an_answer_may_be() {
    let (mut cache, start) = cache();
    cache.store(key("a"), &found(1), start);
    let strict = with(DnsCacheConfig::default(), |config| config.ttl = SECOND);
    assert_eq!(
        cache.look(&key("a"), &strict, start + SECOND),
        Known::Nothing
    );
    assert_eq!(
        cache.look(&key("a"), &config(), start + SECOND),
        Known::Fresh(found(1))
    );
}

#[test]
fn a_failure_is_kept_for_its_own_time_and_does_not_displace_a_stale_answer() {
    let (mut cache, start) = cache();
    cache.store(key("a"), &failed(), start);
    let look =
        |cache: &mut DnsCache, seconds| cache.look(&key("a"), &config(), start + seconds * SECOND);
    assert_eq!(look(&mut cache, 1), Known::Fresh(failed()));
    assert_eq!(look(&mut cache, 2), Known::Nothing);

    cache.store(key("a"), &found(1), start);
    cache.store(key("a"), &failed(), start + 11 * SECOND);
    // Not renewed again while the failure is fresh.
    assert_eq!(look(&mut cache, 12), Known::Fresh(found(1)));
    assert_eq!(look(&mut cache, 13), Known::Stale(found(1).unwrap()));
    cache.store(key("a"), &failed(), start + 14 * SECOND);
    assert_eq!(look(&mut cache, 15), Known::Fresh(failed()));

    cache.store(key("a"), &found(2), start + 16 * SECOND);
    assert_eq!(look(&mut cache, 16), Known::Fresh(found(2)));
}

#[test]
fn the_name_that_was_looked_up_longest_ago_gives_way() {
    let (mut cache, start) = cache();
    cache.store(key("a"), &found(1), start);
    cache.store(key("b"), &found(2), start + SECOND);
    cache.store(key("a"), &found(3), start + 2 * SECOND);
    cache.store(key("c"), &found(4), start + 3 * SECOND);
    let mut look = |host| cache.look(&key(host), &config(), start + 3 * SECOND);
    assert_eq!(look("a"), Known::Fresh(found(3)));
    assert_eq!(look("b"), Known::Nothing);
    assert_eq!(look("c"), Known::Fresh(found(4)));
}

#[test]
fn nothing_is_kept_if_nobody_asks_for_it() {
    let mut cache = DnsCache::default();
    let now = Instant::now();
    cache.store(key("a"), &found(1), now);
    assert_eq!(cache.look(&key("a"), &config(), now), Known::Nothing);
}

fn limits() -> Limits {
    Limits {
        idle: LONG,
        ..Limits::default()
    }
}

/// A resolver whose answers count its lookups; `then` comes before each answer.
fn counting(then: impl Fn() + Send + Sync + 'static) -> (Resolver, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let resolver = Resolver::new(limits(), move |_, _| {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        then();
        Ok(vec![([192, 0, 2, number as u8], 0).into()])
    });
    (resolver, count)
}

async fn resolve(resolver: &Resolver, config: Option<&DnsCacheConfig>) -> u8 {
    let answer = resolver.resolve_cached("a.test", Family::Any, config).await;
    match answer.unwrap()[0].ip() {
        std::net::IpAddr::V4(address) => address.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    }
}

fn lasting() -> DnsCacheConfig {
    with(DnsCacheConfig::default(), |config| config.ttl = LONG)
}

#[tokio::test]
async fn a_name_is_looked_up_once_until_the_cache_is_cleared() {
    let (resolver, count) = counting(|| {});
    for _ in 0..3 {
        assert_eq!(resolve(&resolver, Some(&lasting())).await, 1);
    }
    // Without the option, the system is asked, and its answer is the newest.
    assert_eq!(resolve(&resolver, None).await, 2);
    assert_eq!(resolve(&resolver, Some(&lasting())).await, 2);
    resolver.clear_cache();
    assert_eq!(resolve(&resolver, Some(&lasting())).await, 3);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_stale_answer_is_served_while_one_lookup_renews_it() {
    let (permit, permits) = std::sync::mpsc::channel::<()>();
    let permits = Mutex::new(permits);
    let (resolver, count) = counting(move || {
        permits.lock().recv().ok();
    });
    let stale = with(DnsCacheConfig::default(), |config| {
        config.ttl = Duration::ZERO;
        config.stale_ttl = LONG;
    });
    permit.send(()).unwrap();
    assert_eq!(resolve(&resolver, Some(&stale)).await, 1);
    // The second lookup has no permit yet: nobody waits for it, and there is only one.
    for _ in 0..5 {
        assert_eq!(resolve(&resolver, Some(&stale)).await, 1);
    }
    permit.send(()).unwrap();
    while resolve(&resolver, Some(&lasting())).await == 1 {
        std::thread::yield_now();
    }
    assert_eq!(resolve(&resolver, Some(&lasting())).await, 2);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    drop(permit);
}

#[tokio::test]
async fn the_answer_of_a_lookup_that_began_before_the_cache_was_cleared_is_not_kept() {
    let (begun, has_begun) = std::sync::mpsc::channel::<()>();
    let (permit, permits) = std::sync::mpsc::channel::<()>();
    let permits = Mutex::new(permits);
    let (resolver, _) = counting(move || {
        begun.send(()).ok();
        permits.lock().recv().ok();
    });
    let config = lasting();
    let clear = async {
        tokio::task::yield_now().await;
        has_begun.recv().unwrap();
        resolver.clear_cache();
        permit.send(()).unwrap();
    };
    let (first, ()) = tokio::join!(resolve(&resolver, Some(&config)), clear);
    assert_eq!(first, 1);
    permit.send(()).unwrap();
    assert_eq!(resolve(&resolver, Some(&config)).await, 2);
}
