//! The deadlines of connections at rest, earliest first.
//!
//! An indexed binary heap: setting, removing and replacing the deadline of one connection cost
//! O(log n), and reading the earliest is free. In the common order (the connection that came to
//! rest last has the latest deadline and is the first to leave) both are O(1), because they touch
//! the end of the heap only. Used by the pool; knows nothing of what a deadline means.

use std::time::Instant;

use crate::model::id::ConnId;

/// Position of a connection without a deadline.
const ABSENT: u32 = u32::MAX;

/// Earliest-first set of (connection, instant), one instant for each connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, ConnId)>,
    /// Where in `heap` the connection of each slot stands.
    positions: Vec<u32>,
}

impl Deadlines {
    /// The earliest deadline and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, ConnId)> {
        self.heap.first().copied()
    }

    /// Gives `conn` the deadline `at`, in place of any that its slot had.
    pub(crate) fn set(&mut self, conn: ConnId, at: Instant) {
        self.remove(conn);
        let slot = conn.slot as usize;
        if self.positions.len() <= slot {
            self.positions.resize(slot + 1, ABSENT);
        }
        self.heap.push((at, conn));
        self.sift_up(self.heap.len() - 1);
    }

    /// Takes the deadline of `conn` away, if it has one.
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
            // What came from the end may belong above or below its new place.
            let at = self.sift_up(at);
            self.sift_down(at);
        }
    }

    /// Moves the element at `at` towards the root and notes all positions; returns its new place.
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

    /// Moves the element at `at` towards the leaves and notes all positions.
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
