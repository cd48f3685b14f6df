//! A pool's part in a limit on connections that it shares with other pools.
//!
//! Such a pool opens a connection only when it was granted one, and gives connections up for pools
//! that wait. [`SharedLimit`](super::SharedLimit) decides both, and the pool's owner says when to ask
//! it: [`OriginPool::concerns_limit`]. It must not know other pools.

use std::num::NonZeroU32;
use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;
use crate::model::id::ConnId;

/// How many more requests a pool may assign before it gives a connection up for another pool. 8: with
/// fewer connections than origins, a new connection is the price of every turn, and eight requests
/// share it.
const TURN: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The limit.
    most: usize,
    /// A connection may be opened; only during `handle_granted`.
    granted: bool,
    /// The pool is in the limit's queue.
    waits: bool,
    /// Connections to give up.
    owed: u32,
    /// Requests left of the turn, while `owed`.
    left: u32,
    /// A connection is closing or gone, since the last report to the limit.
    moved: bool,
}

impl Share {
    /// Whether the pool may open a connection now.
    pub(super) fn is_granted(&self) -> bool {
        self.granted
    }

    /// A connection is opened.
    pub(super) fn spend(&mut self) {
        self.granted = false;
    }

    /// Whether a connection is to be given up.
    pub(super) fn owes(&self) -> bool {
        self.owed > 0
    }

    /// Whether one is to be given up now, although requests wait.
    pub(super) fn turn_is_over(&self) -> bool {
        self.owed > 0 && self.left == 0
    }

    /// A request is assigned. Whether its connection accepts no more, to be given up after those it
    /// has: one with room for several is never unused. If these take long, another one follows.
    #[cold]
    pub(super) fn ends_turn(&mut self, concurrency: u32) -> bool {
        if self.owed > 0 {
            self.left = self.left.saturating_sub(1);
        }
        let ends = concurrency > 1 && self.turn_is_over();
        if ends {
            self.begin_turn();
        }
        ends
    }

    fn begin_turn(&mut self) {
        self.left = TURN;
    }

    /// A connection is about to be closed, or is gone. Whatever the reason, it makes room.
    fn gives_up(&mut self) {
        self.owed = self.owed.saturating_sub(1);
        self.begin_turn();
        self.moved = true;
    }
}

/// What a pool has that others may wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Connections that are closing.
    pub(super) closing: u32,
    /// The others.
    pub(super) open: u32,
    /// Since when the one of these that has been idle longest is idle.
    pub(super) idle_since: Option<Instant>,
}

impl OriginPool {
    /// Makes this pool part of a [`SharedLimit`](super::SharedLimit) of so many connections, before
    /// anything else happens to it.
    pub fn share_limit(&mut self, most: NonZeroU32) {
        self.share = Some(Box::new(Share {
            most: most.get() as usize,
            ..Share::default()
        }));
    }

    /// Whether the pool has all connections that the limit allows, so that waiting for others is no use.
    pub(super) fn has_whole_limit(&self) -> bool {
        let share = self.share.as_ref();
        share.is_some_and(|share| self.conns.len() >= share.most)
    }

    /// Whether [`SharedLimit::balance`](super::SharedLimit::balance) must be called: this pool wants a
    /// connection, or does not want one any more, or has one for those who wait, if any do.
    pub fn concerns_limit(&mut self, is_waited_for: bool) -> bool {
        let wants = self.wants_connection();
        let has_idle = !self.idle.is_empty();
        let Some(share) = &mut self.share else {
            return false;
        };
        let moved = std::mem::take(&mut share.moved);
        wants != share.waits || (is_waited_for && (has_idle || moved))
    }

    /// Whether there are actions to carry out.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Compares what the pool wants with its place in the limit's queue, which it takes or leaves if
    /// this returns something.
    pub(super) fn note_wish(&mut self) -> Option<bool> {
        let wants = self.wants_connection();
        let share = self.share.as_mut()?;
        let changed = share.waits != wants;
        share.waits = wants;
        changed.then_some(wants)
    }

    /// The pool has left the limit's queue, and may open one connection now. Whether it does.
    pub(super) fn handle_granted(&mut self, now: Instant) -> bool {
        self.tick(now);
        if let Some(share) = &mut self.share {
            share.waits = false;
            share.granted = true;
        }
        self.settle();
        let share = self.share.as_mut();
        share.is_some_and(|share| !std::mem::take(&mut share.granted))
    }

    /// Closes the connection that has been idle longest, if there is one.
    pub(super) fn handle_make_room(&mut self, now: Instant) {
        self.tick(now);
        if let Some(conn) = self.longest_idle() {
            self.close(conn, CloseReason::MadeRoom);
        }
        self.settle();
    }

    /// Pools wait for so many of this pool's connections: each is given up when it becomes unused, if
    /// no request waits for it, or once the pool has had its turn.
    pub(super) fn handle_pressed(&mut self, count: u32) {
        if let Some(share) = &mut self.share {
            if share.owed == 0 {
                share.begin_turn();
            }
            share.owed = count;
        }
    }

    /// What others may wait for.
    pub(super) fn standing(&self) -> Standing {
        let idle = self.longest_idle().and_then(|conn| self.conns.get(conn));
        Standing {
            closing: self.closing,
            open: self.conns.len() as u32 - self.closing,
            idle_since: idle.and_then(|entry| entry.rests_since),
        }
    }

    /// Whether an unused connection is to be given up now, although requests wait.
    #[cold]
    pub(super) fn had_its_turn(&self, conn: ConnId) -> bool {
        let is_over = self.share.as_deref().is_some_and(Share::turn_is_over);
        let entry = self.conns.get(conn);
        is_over && entry.is_some_and(|entry| entry.served > 0 && entry.is_unused())
    }

    /// The connection that has been unused longest.
    fn longest_idle(&self) -> Option<ConnId> {
        let mut at = self.idle.back();
        // Streams may have outlived the requests of an idle one.
        while let Some(conn) = at
            && !self.conns.get(conn)?.is_unused()
        {
            at = self.idle.before(&self.conns, conn);
        }
        at
    }

    /// A connection leaves state `from` for being closed with `reason`, or for good.
    pub(super) fn note_leaving(&mut self, from: ConnState, reason: Option<CloseReason>) {
        let Some(share) = &mut self.share else {
            return;
        };
        // The socket of an upgraded connection stays open.
        if from == ConnState::Closing || reason == Some(CloseReason::Upgraded) {
            share.moved = true;
        } else {
            share.gives_up();
        }
    }
}
