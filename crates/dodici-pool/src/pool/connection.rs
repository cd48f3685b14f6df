//! One connection as the pool sees it: its state, its requests and what limits its reuse.
//!
//! Used by the pool only. Knows nothing of transports and protocols.

use std::time::{Duration, Instant};

use super::list::{Linked, Links, List};
use crate::model::close_reason::CloseReason;
use crate::model::id::{ConnId, RequestId};

/// State of a connection.
///
/// ```text
///                    handle_connected
///   Connecting ──────────┬──────────────▶ Idle ◀───── last request released, nothing queued
///       │                │ queued         │  ▲                    │
///       │                ▼                │  │                    │
///       │              Busy ◀── assigned ─┘  └──────────────────Busy
///       │                │
///       │                │ takes no more: exclusive, request limit, max_connection_age,
///       │                ▼ no keep-alive, or a hint within the threshold
///       │            Draining
///       │                │ last request released
///       │                ▼
///       └───────────▶ Closing ◀── Idle: deadline, max_connection_age, pool closed
///     pool closed        │    ◀── Busy, Draining: Finished, unsent
///     or destroyed       │    ◀── any: pool destroyed
///                        │    ◀── Idle: draining (and Busy becomes Draining)
///                        ▼
///                     (gone)     handle_closed; also from every other state.
///                                handle_connect_failed from Connecting and Closing
/// ```
///
/// An input that is not drawn for the current state is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnState {
    /// Being opened; counts against the limit.
    Connecting,
    /// Open and idle.
    Idle {
        /// When it is closed unless used before; `None`: never.
        until: Option<Instant>,
    },
    /// Open, with at least one request on it.
    Busy {
        /// Whether one more request may join: it is then in the pool's list of shareable ones.
        open: bool,
    },
    /// Open, with at least one request on it, and accepting no more.
    Draining {
        /// Why it will be closed.
        reason: CloseReason,
    },
    /// The owner was asked to close it; counts against the limit until it is gone.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// State. Written by `OriginPool::enter` only, which keeps lists and counters in step.
    pub(super) state: ConnState,
    /// Requests on it, in the order of assignment.
    pub(super) running: List<RequestId>,
    /// How many concurrent requests it carries.
    pub(super) concurrency: u32,
    /// Its requests are separate streams (HTTP/2): none waits for, or fails with, another.
    pub(super) multiplexed: bool,
    /// Streams that outlive their request (upgrades); each occupies the place of a request.
    pub(super) pinned: u32,
    /// How many requests it has been assigned in total.
    pub(super) served: u32,
    /// The blocking request whose response head has not arrived.
    pub(super) hold: Option<RequestId>,
    /// How long it may stay idle; `None`: for ever.
    pub(super) rest: Option<Duration>,
    /// Since when: it was opened, or something was last written to it and answered.
    pub(super) rests_since: Option<Instant>,
    /// When it stops accepting requests; `None`: no such limit.
    pub(super) expires: Option<Instant>,
    links: Links<ConnId>,
}

impl Connection {
    /// A connection that is being opened.
    pub(super) fn connecting(rest: Option<Duration>) -> Self {
        Self {
            state: ConnState::Connecting,
            running: List::new(),
            concurrency: 1,
            multiplexed: false,
            pinned: 0,
            served: 0,
            hold: None,
            rest,
            rests_since: None,
            expires: None,
            links: Links::default(),
        }
    }

    /// Whether another request may join those on it.
    pub(super) fn has_room(&self) -> bool {
        self.hold.is_none()
            && self.running.len() + (self.pinned as usize) < self.concurrency as usize
    }

    /// Whether nothing is on it, neither a request nor a stream that outlived one.
    pub(super) fn is_unused(&self) -> bool {
        self.running.is_empty() && self.pinned == 0
    }

    /// Whether it has reached its maximum age.
    pub(super) fn is_expired(&self, now: Option<Instant>) -> bool {
        has_passed(self.expires, now)
    }

    /// Why an idle connection must no longer be used, if so.
    pub(super) fn rest_over(&self, now: Option<Instant>) -> Option<CloseReason> {
        match self.state {
            _ if self.is_expired(now) => Some(CloseReason::Expired),
            ConnState::Idle { until } if has_passed(until, now) => Some(CloseReason::IdleTimeout),
            _ => None,
        }
    }

    /// When an idle connection must be closed.
    pub(super) fn rest_deadline(&self) -> Option<Instant> {
        if self.pinned > 0 {
            return None;
        }
        // An instant beyond the range of the platform's clock is never reached.
        let since = self.rests_since;
        let rested = since
            .zip(self.rest)
            .and_then(|(since, rest)| since.checked_add(rest));
        match (rested, self.expires) {
            (Some(rested), Some(expires)) => Some(rested.min(expires)),
            (at, None) | (None, at) => at,
        }
    }
}

pub(super) fn has_passed(at: Option<Instant>, now: Option<Instant>) -> bool {
    matches!((at, now), (Some(at), Some(now)) if at <= now)
}

impl Linked<ConnId> for Connection {
    fn links(&self) -> &Links<ConnId> {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links<ConnId> {
        &mut self.links
    }
}
