//! Answers of the resolver, kept for a time.
//!
//! A state machine without a clock: the resolver (`dns.rs`) asks it before a lookup and stores the
//! result. Must not know threads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dodici_pool::{DnsCacheConfig, Family};

use super::getaddrinfo::LookupError;

pub(super) type Key = (Arc<str>, Family);
pub(super) type Answer = Result<Arc<[SocketAddr]>, LookupError>;

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The answer.
    Fresh(Answer),
    /// An old answer, to be used while a lookup runs.
    Stale(Arc<[SocketAddr]>),
    /// Nothing.
    Nothing,
}

/// The last answers for one name, and when they were found. A failure does not displace addresses,
/// which may still be used for a time (RFC 8767).
#[derive(Debug, Default)]
struct Entry {
    found: Option<(Instant, Arc<[SocketAddr]>)>,
    failed: Option<(Instant, LookupError)>,
}

impl Entry {
    fn newest(&self) -> Option<Instant> {
        let found = self.found.as_ref().map(|(at, _)| *at);
        found.max(self.failed.map(|(at, _)| at))
    }
}

/// Answers by name. How long they are used is up to who asks.
#[derive(Debug, Default)]
pub(super) struct DnsCache {
    entries: HashMap<Key, Entry>,
    /// Maximum number of entries: the largest that was asked for.
    limit: usize,
}

impl DnsCache {
    pub(super) fn look(&mut self, key: &Key, config: &DnsCacheConfig, now: Instant) -> Known {
        self.limit = self.limit.max(config.max_entries);
        let Some(entry) = self.entries.get(key) else {
            return Known::Nothing;
        };
        let age = |at: Instant| now.saturating_duration_since(at);
        let failure = entry
            .failed
            .filter(|(at, _)| age(*at) < config.negative_ttl);
        if let Some((at, addresses)) = &entry.found {
            let addresses = Arc::clone(addresses);
            if age(*at) < config.ttl {
                return Known::Fresh(Ok(addresses));
            }
            if age(*at) < config.ttl.saturating_add(config.stale_ttl) {
                // A lookup that has just failed is not repeated.
                return match failure {
                    Some(_) => Known::Fresh(Ok(addresses)),
                    None => Known::Stale(addresses),
                };
            }
        }
        match failure {
            Some((_, error)) => Known::Fresh(Err(error)),
            None => Known::Nothing,
        }
    }

    /// Keeps an answer, if anybody has asked for that; the oldest one gives way.
    pub(super) fn store(&mut self, key: Key, answer: &Answer, now: Instant) {
        if self.limit == 0 {
            return;
        }
        if !self.entries.contains_key(&key) && self.entries.len() >= self.limit {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.newest());
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        let entry = self.entries.entry(key).or_default();
        match answer {
            Ok(addresses) => {
                entry.found = Some((now, Arc::clone(addresses)));
                entry.failed = None;
            }
            Err(error) => entry.failed = Some((now, *error)),
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
