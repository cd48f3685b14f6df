//! The connect timeout: the instant by which all legs must be done.
//!
//! Called by the connector for each leg. Must not know what the legs do.

use std::time::Duration;

use dodici_pool::{Error, ErrorKind, Phase, Replay};
use tokio::time::Instant;

use crate::clock::before;

/// How long a lookup that has missed the deadline may still report that the name does not exist.
/// Half a second: the tick of the timers with which undici measures this timeout, where a failure
/// before the next tick also takes precedence over the timeout.
const LOOKUP_GRACE: Duration = Duration::from_millis(500);

/// End of the connect timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    timeout: Duration,
    /// `None` means never: no timeout was set, or it is beyond the clock's range.
    at: Option<Instant>,
}

/// The deadline passed before the leg was done.
#[derive(Debug)]
pub(super) struct TimedOut;

impl Deadline {
    pub(super) fn after(start: Instant, timeout: Option<Duration>) -> Self {
        Self {
            timeout: timeout.unwrap_or_default(),
            at: timeout.and_then(|timeout| start.checked_add(timeout)),
        }
    }

    /// This deadline, or the end of `timeout` if that comes first.
    pub(super) fn or_sooner(self, start: Instant, timeout: Option<Duration>) -> Self {
        let other = Self::after(start, timeout);
        match (self.at, other.at) {
            (_, None) => self,
            (Some(at), Some(sooner)) if at <= sooner => self,
            _ => other,
        }
    }

    /// `None` means never.
    #[cfg(feature = "http3")]
    pub(super) fn at(self) -> Option<Instant> {
        self.at
    }

    pub(super) fn has_passed(self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Runs a leg until it completes or the deadline passes; then the leg is dropped.
    pub(super) async fn run<F: Future>(self, leg: F) -> Result<F::Output, TimedOut> {
        match self.at {
            Some(at) => before(at, leg).await.map_err(|_| TimedOut),
            None => Ok(leg.await),
        }
    }

    /// Like [`Deadline::run`], for a lookup, whose failure is more informative than the timeout
    /// that would hide it: a failure within [`LOOKUP_GRACE`] after the deadline is reported. A
    /// success by then is still too late.
    pub(super) async fn run_lookup<T, E>(
        self,
        leg: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, TimedOut> {
        let Some(at) = self.at else {
            return Ok(leg.await);
        };
        let mut leg = std::pin::pin!(leg);
        if let Ok(done) = before(at, leg.as_mut()).await {
            return Ok(done);
        }
        let grace = at.checked_add(LOOKUP_GRACE).unwrap_or(at);
        match before(grace, leg).await {
            Ok(Err(failure)) => Ok(Err(failure)),
            Ok(Ok(_)) | Err(_) => Err(TimedOut),
        }
    }

    /// The error of a leg that timed out, with undici's message (`core/util.js`,
    /// `onConnectTimeout`). `tried` lists the addresses if there was more than one.
    pub(super) fn error(self, phase: Phase, host: &str, port: u16, tried: &[String]) -> Error {
        timeout_error(self.timeout, phase, host, port, tried)
    }
}

/// See [`Deadline::error`].
pub(super) fn timeout_error(
    timeout: Duration,
    phase: Phase,
    host: &str,
    port: u16,
    tried: &[String],
) -> Error {
    let place = if tried.is_empty() {
        format!("attempted address: {host}:{port}")
    } else {
        format!("attempted addresses: {}", tried.join(", "))
    };
    Error::new(
        ErrorKind::ConnectTimeout,
        phase,
        format!(
            "Connect Timeout Error ({place}, timeout: {}ms)",
            timeout.as_millis()
        ),
    )
    .with_replay(Replay::Unsent)
}
