//! A limit on the connections of several pools together, as a state machine without I/O.
//!
//! The pools' owner reports changes; it grants connections and asks pools to give
//! some up. What a pool does with that is in `share`. It must not know origins, sockets or locks: it
//! reaches the pools through [`Members`].

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Instant;

use super::OriginPool;
use super::share::Standing;
use super::slot::{SlotId, Slots};

/// A pool of a [`SharedLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId {
    slot: u32,
    generation: u32,
}

impl SlotId for MemberId {
    fn from_parts(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    fn parts(self) -> (u32, u32) {
        (self.slot, self.generation)
    }
}

/// How a [`SharedLimit`] reaches its pools.
pub trait Members {
    /// Applies `work` to a pool; `None` if it is gone.
    fn with<R>(&mut self, member: MemberId, work: impl FnOnce(&mut OriginPool) -> R) -> Option<R>;

    /// Whether connections of `other` can be closed soon, from `member`'s point of view; if possible,
    /// such pools make room. Default: true.
    fn are_near(&mut self, _member: MemberId, _other: MemberId) -> bool {
        true
    }
}

/// A pool of a [`SharedLimit`].
#[derive(Debug, Default)]
struct Member {
    /// Its connections that count.
    open: u32,
    /// The number of the last grant.
    granted: u64,
}

/// See the module.
///
/// Every connection counts from the grant to [`handle_returned`](Self::handle_returned), which is up
/// to the owner: when an attempt has failed, or a socket is closed.
///
/// Pools that want a connection queue up. Each gets one at a time, the one with fewest connections first,
/// of several the one that has not got one for longest. So none waits for all requests of another. While
/// they wait:
///
/// 1. for each, the connection of another pool that has been idle longest is closed;
/// 2. if none is idle, each pool with more connections than one that waits has to give one up: the next
///    that becomes unused without a request that waits for it, or once eight more requests were
///    assigned. The first to do so serves the one that waits, and the others keep theirs.
///
/// Connections that are closing already count as room for those who wait.
#[derive(Debug)]
pub struct SharedLimit {
    most: NonZeroU32,
    /// Connections that count.
    open: u32,
    /// Pools that want a connection.
    waiting: VecDeque<MemberId>,
    members: Slots<MemberId, Member>,
    /// Connections that were granted so far.
    grants: u64,
    /// Pools know that they are waited for.
    presses: bool,
}

impl SharedLimit {
    /// A limit without pools.
    pub fn new(most: NonZeroU32) -> Self {
        Self {
            most,
            open: 0,
            waiting: VecDeque::new(),
            members: Slots::new(),
            grants: 0,
            presses: false,
        }
    }

    /// Adds a pool, on which [`OriginPool::share_limit`] was called.
    pub fn handle_joined(&mut self) -> MemberId {
        self.members.insert(Member::default())
    }

    /// A pool is gone. Connections that it has left still count.
    pub fn handle_left(&mut self, member: MemberId) {
        self.members.remove(member);
        self.waiting.retain(|other| *other != member);
    }

    /// A connection does not count any more. Call [`balance`](Self::balance) next.
    pub fn handle_returned(&mut self, member: MemberId) {
        self.open -= 1;
        if let Some(member) = self.members.get_mut(member) {
            member.open -= 1;
        }
    }

    /// Connections that count.
    pub fn open(&self) -> u32 {
        self.open
    }

    /// Whether a pool waits for a connection.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Grants what is free, and makes room for those who wait; `changed` is the pool that
    /// [is concerned](OriginPool::concerns_limit). Then carry out the actions of all pools that have
    /// some.
    pub fn balance(&mut self, changed: Option<MemberId>, members: &mut impl Members, now: Instant) {
        if let Some(member) = changed {
            self.note(member, members);
        }
        while self.open < self.most.get()
            && let Some(member) = self.next()
        {
            if members.with(member, |pool| pool.handle_granted(now)) == Some(true) {
                self.open += 1;
                self.grants += 1;
                if let Some(member) = self.members.get_mut(member) {
                    member.open += 1;
                    member.granted = self.grants;
                }
            }
            self.note(member, members);
        }
        if self.presses || self.is_waited_for() {
            self.make_room(members, now);
        }
    }

    /// Gives a pool the place in the queue that it wants.
    fn note(&mut self, member: MemberId, members: &mut impl Members) {
        match members.with(member, OriginPool::note_wish).flatten() {
            Some(true) => self.waiting.push_back(member),
            Some(false) => self.waiting.retain(|other| *other != member),
            None => {}
        }
    }

    /// Takes the pool whose turn it is from the queue.
    fn next(&mut self) -> Option<MemberId> {
        let waiting = self.waiting.iter().enumerate();
        let (at, _) = waiting.min_by_key(|(_, member)| self.turn(**member))?;
        self.waiting.remove(at)
    }

    /// Connections of this pool that count.
    fn held(&self, member: MemberId) -> u32 {
        self.members.get(member).map_or(0, |member| member.open)
    }

    /// The order of pools that wait: fewest connections, then the longest time since the last one.
    fn turn(&self, member: MemberId) -> (u32, u64) {
        let member = self.members.get(member);
        member.map_or((0, 0), |member| (member.open, member.granted))
    }

    fn make_room(&mut self, members: &mut impl Members, now: Instant) {
        let mut holders = self.holders(members);
        let closing: u32 = holders.iter().map(|holder| holder.standing.closing).sum();
        let mut waiting: Vec<_> = self.waiting.iter().copied().collect();
        waiting.sort_by_key(|member| self.turn(*member));
        let mut left = Vec::new();
        for waiter in waiting.into_iter().skip(closing as usize) {
            let Some(holder) = longest_idle(waiter, &mut holders, members) else {
                left.push(waiter);
                continue;
            };
            let after = members.with(holder.member, |pool| {
                pool.handle_make_room(now);
                pool.standing()
            });
            holder.standing = after.unwrap_or_default();
        }
        self.presses = !left.is_empty();
        for holder in holders {
            let poorer = |waiter: &&MemberId| self.held(**waiter) < self.held(holder.member);
            let count = left.iter().filter(poorer).count() as u32;
            let count = count.min(holder.standing.open);
            members.with(holder.member, |pool| pool.handle_pressed(count));
        }
    }

    /// The pools that have connections.
    fn holders(&self, members: &mut impl Members) -> Vec<Holder> {
        (0..self.members.slots())
            .filter_map(|slot| self.members.id_at(slot))
            .filter(|member| self.held(*member) > 0)
            .filter_map(|member| {
                let standing = members.with(member, |pool| pool.standing())?;
                Some(Holder { member, standing })
            })
            .collect()
    }
}

/// A pool that has connections.
struct Holder {
    member: MemberId,
    standing: Standing,
}

/// The pool whose idle connection makes room for `waiter`: one that is near, if possible.
fn longest_idle<'a>(
    waiter: MemberId,
    holders: &'a mut [Holder],
    members: &mut impl Members,
) -> Option<&'a mut Holder> {
    let others = holders
        .iter_mut()
        .filter(|holder| holder.member != waiter && holder.standing.idle_since.is_some());
    others.min_by_key(|holder| {
        let is_far = !members.are_near(waiter, holder.member);
        (is_far, holder.standing.idle_since)
    })
}
