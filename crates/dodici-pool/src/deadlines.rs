//! Deadlines of idle connections, earliest first.
//!
//! An indexed binary heap: setting, removing and replacing a connection's deadline is O(log n),
//! reading the earliest is O(1). In the common case (the connection that became idle last has the
//! latest deadline and is used first) both are O(1), because they only touch the end of the heap.
//! Used by the pool; must not know what a deadline means.

use std::time::Instant;

use crate::model::id::ConnId;

/// Position of a connection without a deadline.
const ABSENT: u32 = u32::MAX;

/// Earliest-first set of (connection, instant), one instant per connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, ConnId)>,
    /// Position in `heap` of each slot's connection.
    positions: Vec<u32>,
}

impl Deadlines {
    /// The earliest deadline and its connection.
    pub(crate) fn first(&self) -> Option<(Instant, ConnId)> {
        self.heap.first().copied()
    }

    /// Sets the deadline of `conn` to `at`, replacing any its slot had.
    pub(crate) fn set(&mut self, conn: ConnId, at: Instant) {
        self.remove(conn);
        let slot = conn.slot as usize;
        if self.positions.len() <= slot {
            self.positions.resize(slot + 1, ABSENT);
        }
        self.heap.push((at, conn));
        self.sift_up(self.heap.len() - 1);
    }

    /// Removes the deadline of `conn`, if it has one.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        let Some(position) = self.positions.get_mut(conn.slot as usize) else {
            return;
        };
        let at = std::mem::replace(position, ABSENT);
        if at == ABSENT {
            return;
        }
        let at = at as usize;
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            // The element moved from the end may belong above or below its new position.
            let at = self.sift_up(at);
            self.sift_down(at);
        }
    }

    /// Moves the element at `at` towards the root, updating positions; returns its new position.
    fn sift_up(&mut self, mut at: usize) -> usize {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].0 <= self.heap[at].0 {
                break;
            }
            self.heap.swap(parent, at);
            self.note(at);
            at = parent;
        }
        self.note(at);
        at
    }

    /// Moves the element at `at` towards the leaves, updating positions.
    fn sift_down(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.heap[right].0 < self.heap[left].0 {
                right
            } else {
                left
            };
            if self.heap[at].0 <= self.heap[child].0 {
                break;
            }
            self.heap.swap(at, child);
            self.note(at);
            at = child;
        }
        self.note(at);
    }

    fn note(&mut self, at: usize) {
        let slot = self.heap[at].1.slot as usize;
        self.positions[slot] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_first_deadline_is_always_the_earliest_of_those_set(
            steps in prop::collection::vec((0u32..12, prop::option::of(0u64..1000)), 1..80),
        ) {
            let start = Instant::now();
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            for (slot, at) in steps {
                let conn = ConnId { slot, generation: 0 };
                match at {
                    Some(ms) => {
                        let at = start + Duration::from_millis(ms);
                        deadlines.set(conn, at);
                        model.insert(slot, at);
                    }
                    None => {
                        deadlines.remove(conn);
                        model.remove(&slot);
                    }
                }
                prop_assert_eq!(
                    deadlines.first().map(|(at, _)| at),
                    model.values().min().copied()
                );
                if let Some((at, conn)) = deadlines.first() {
                    prop_assert_eq!(model.get(&conn.slot), Some(&at));
                }
            }
        }
    }
}
