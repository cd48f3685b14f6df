//! Alternatives of origins: where HTTP/3 was offered for an origin, and whether it works.
//!
//! Learned from Alt-Svc fields (RFC 7838), from HTTPS records (RFC 9460) by the same means, and
//! forgotten when they expire. One that fails is left out for a while, twice as long each time. The
//! caller makes sure that whoever offers is the origin: an `https` response from a connection whose
//! certificate was verified.

mod field;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use field::{AltSvc, Offer};

use crate::{Origin, Scheme};

/// Origins with alternatives, and alternatives with a history, that are remembered at most. 1,000:
/// some 100 KiB. The one that expires first makes room.
const MOST: usize = 1000;

/// TCP starts this long after HTTP/3 at the latest (RFC 8305's connection attempt delay).
pub const HEAD_START: Duration = Duration::from_millis(250);

/// The shortest head start, however fast the last handshakes were: a timer's precision and a busy
/// thread's delay.
const LEAST_HEAD_START: Duration = Duration::from_millis(10);

/// How long an alternative is left out after its first failure, and at most.
const BROKEN: Duration = Duration::from_secs(60);
const MOST_BROKEN: Duration = Duration::from_secs(3600);

/// Where else an origin is served. The certificate there must be valid for the origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Alternative {
    /// Host name or address, in [canonical form](Origin::canonical_host).
    pub host: Arc<str>,
    /// UDP port.
    pub port: u16,
}

impl Alternative {
    /// Creates one; the host gets its canonical form.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: Origin::canonical_host(host).into(),
            port,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Alternatives {
    offers: HashMap<Origin, Vec<Kept>>,
    histories: HashMap<Alternative, History>,
}

#[derive(Debug)]
struct Kept {
    alternative: Alternative,
    expires: Instant,
}

#[derive(Debug)]
struct History {
    /// Failures since it last worked.
    failures: u32,
    left_out_until: Instant,
    /// Smoothed time of its handshakes.
    handshake: Option<Duration>,
}

impl Alternatives {
    /// Takes note of what an origin says of itself.
    ///
    /// Ignored for origins that are not `https`, and for ports below 1024 if the origin's is not: who
    /// may listen on the one may not on the other (RFC 7838, section 9.1).
    pub fn learn(&mut self, origin: &Origin, said: AltSvc, now: Instant) {
        let offers = match said {
            AltSvc::Alternatives(offers) if origin.scheme == Scheme::Https => offers,
            _ => Vec::new(),
        };
        let kept: Vec<_> = offers
            .into_iter()
            .filter(|offer| offer.alternative.port >= 1024 || origin.port < 1024)
            .take(field::MOST_ALTERNATIVES)
            .filter_map(|offer| {
                Some(Kept {
                    expires: now.checked_add(offer.max_age).filter(|at| *at > now)?,
                    alternative: offer.alternative,
                })
            })
            .collect();
        if kept.is_empty() {
            self.offers.remove(origin);
            return;
        }
        if self.offers.len() >= MOST && !self.offers.contains_key(origin) {
            let last = |kept: &Vec<Kept>| kept.iter().map(|kept| kept.expires).max();
            let first = self.offers.iter().min_by_key(|(_, kept)| last(kept));
            if let Some(first) = first.map(|(origin, _)| origin.clone()) {
                self.offers.remove(&first);
            }
        }
        self.offers.insert(origin.clone(), kept);
    }

    /// The alternative to try for this origin, if one is known and not left out, and how much
    /// earlier than TCP: at most [`HEAD_START`], and not at all if it has failed before.
    pub fn of(&mut self, origin: &Origin, now: Instant) -> Option<(Alternative, Duration)> {
        let kept = self.offers.get_mut(origin)?;
        kept.retain(|kept| kept.expires > now);
        let histories = &self.histories;
        let found = kept.iter().find_map(|Kept { alternative, .. }| {
            let history = histories.get(alternative);
            if history.is_some_and(|history| history.left_out_until > now) {
                return None;
            }
            let head_start = match history {
                None => HEAD_START,
                // What failed costs nobody time again.
                Some(History { failures: 1.., .. }) => Duration::ZERO,
                // Twice what it took: a handshake that takes longer is not on its way as before.
                Some(History { handshake, .. }) => handshake.map_or(HEAD_START, |took| {
                    (took * 2).clamp(LEAST_HEAD_START, HEAD_START)
                }),
            };
            Some((alternative.clone(), head_start))
        });
        if kept.is_empty() {
            self.offers.remove(origin);
        }
        found
    }

    /// A handshake with it has succeeded and taken this long.
    pub fn worked(&mut self, alternative: &Alternative, took: Duration, now: Instant) {
        let history = self.history(alternative, now);
        history.failures = 0;
        history.left_out_until = now;
        let smoothed = history
            .handshake
            .map_or(took, |before| (before * 7 + took) / 8);
        history.handshake = Some(smoothed);
    }

    /// It could not be connected to, or was slower than TCP by more than its head start.
    pub fn failed(&mut self, alternative: &Alternative, now: Instant) {
        let history = self.history(alternative, now);
        let factor = 2_u32.saturating_pow(history.failures);
        history.failures = history.failures.saturating_add(1);
        history.left_out_until = now + BROKEN.saturating_mul(factor).min(MOST_BROKEN);
        history.handshake = None;
    }

    fn history(&mut self, alternative: &Alternative, now: Instant) -> &mut History {
        if self.histories.len() >= MOST && !self.histories.contains_key(alternative) {
            let first = self
                .histories
                .iter()
                .min_by_key(|(_, history)| history.left_out_until);
            if let Some(first) = first.map(|(alternative, _)| alternative.clone()) {
                self.histories.remove(&first);
            }
        }
        self.histories
            .entry(alternative.clone())
            .or_insert(History {
                failures: 0,
                left_out_until: now,
                handshake: None,
            })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn origin(port: u16) -> Origin {
        Origin::new(Scheme::Https, "origin.test", port)
    }

    fn said(value: &str) -> AltSvc {
        AltSvc::parse([value.as_bytes()].into_iter(), "origin.test").unwrap()
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn port(known: &mut Alternatives, origin: &Origin, now: Instant) -> Option<u16> {
        known
            .of(origin, now)
            .map(|(alternative, _)| alternative.port)
    }

    #[test]
    fn an_alternative_is_known_until_it_expires_is_cleared_or_replaced() {
        let now = Instant::now();
        let mut known = Alternatives::default();
        let origin = origin(443);
        assert_eq!(port(&mut known, &origin, now), None);
        known.learn(&origin, said(r#"h3=":444"; ma=60"#), now);
        assert_eq!(port(&mut known, &origin, now + secs(59)), Some(444));
        assert_eq!(port(&mut known, &origin, now + secs(60)), None);
        known.learn(&origin, said(r#"h3=":445""#), now);
        known.learn(&origin, said(r#"h3=":446""#), now);
        assert_eq!(port(&mut known, &origin, now), Some(446));
        known.learn(&origin, said("clear"), now);
        assert_eq!(port(&mut known, &origin, now), None);
        known.learn(&origin, said(r#"h3=":446""#), now);
        known.learn(&origin, said(r#"h3=":446"; ma=0"#), now);
        assert_eq!(port(&mut known, &origin, now), None);
        known.learn(&origin, said(r#"h3=":446""#), now);
        known.learn(&origin, said(r#"h2=":446""#), now);
        assert_eq!(port(&mut known, &origin, now), None);
    }

    #[test]
    fn plain_origins_have_none_and_privileged_ports_are_only_for_their_like() {
        let now = Instant::now();
        let mut known = Alternatives::default();
        let plain = Origin::new(Scheme::Http, "origin.test", 80);
        known.learn(&plain, said(r#"h3=":443""#), now);
        assert_eq!(port(&mut known, &plain, now), None);
        let high = origin(8443);
        known.learn(&high, said(r#"h3=":443", h3=":8444""#), now);
        assert_eq!(port(&mut known, &high, now), Some(8444));
        known.learn(&origin(443), said(r#"h3=":8444""#), now);
        assert_eq!(port(&mut known, &origin(443), now), Some(8444));
    }

    #[test]
    fn one_that_fails_is_left_out_for_longer_each_time_and_another_used() {
        let mut now = Instant::now();
        let mut known = Alternatives::default();
        let origin = origin(443);
        let ma = 30 * 24 * 3600;
        known.learn(
            &origin,
            said(&format!(r#"h3=":1"; ma={ma}, h3=":2"; ma={ma}"#)),
            now,
        );
        let first = Alternative::new("origin.test", 1);
        for wait in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(port(&mut known, &origin, now), Some(1));
            known.failed(&first, now);
            assert_eq!(port(&mut known, &origin, now + secs(wait - 1)), Some(2));
            now += secs(wait);
        }
        assert_eq!(
            known.of(&origin, now),
            Some((first.clone(), Duration::ZERO))
        );
        known.worked(&first, secs(1), now);
        assert_eq!(known.of(&origin, now), Some((first.clone(), HEAD_START)));
        known.failed(&first, now);
        assert_eq!(port(&mut known, &origin, now + secs(60)), Some(1));
    }

    #[test]
    fn the_head_start_is_what_handshakes_took_and_at_most_a_quarter_of_a_second() {
        let now = Instant::now();
        let mut known = Alternatives::default();
        let origin = origin(443);
        known.learn(&origin, said(r#"h3=":443""#), now);
        let (alternative, head_start) = known.of(&origin, now).unwrap();
        assert_eq!(head_start, HEAD_START);
        let mut after = |took| {
            known.worked(&alternative, Duration::from_millis(took), now);
            known.of(&origin, now).unwrap().1.as_millis()
        };
        assert_eq!(after(40), 80);
        assert_eq!(after(80), 90);
        assert_eq!(after(4000), 250);
    }

    #[test]
    fn what_is_remembered_is_limited_and_the_first_to_expire_makes_room() {
        let now = Instant::now();
        let mut known = Alternatives::default();
        let number = |n: usize| Origin::new(Scheme::Https, &format!("{n}.test"), 443);
        for n in 0..=MOST {
            let age = if n == 7 { 1 } else { 100 };
            known.learn(&number(n), said(&format!(r#"h3=":443"; ma={age}"#)), now);
            known.failed(&Alternative::new(&format!("{n}.test"), 443), now);
        }
        assert_eq!(known.offers.len(), MOST);
        assert_eq!(known.histories.len(), MOST);
        assert!(!known.offers.contains_key(&number(7)));
    }
}
