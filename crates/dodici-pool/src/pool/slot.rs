//! A table whose keys are a slot and a generation, so that a stale key finds nothing.
//!
//! The pool keeps its requests and its connections in one each. Slots are reused, most recently
//! freed first; freeing a slot raises its generation. Must not know what it stores.

use std::marker::PhantomData;

use crate::model::id::{ConnId, RequestId};

/// A key made of a slot and a generation.
pub(super) trait SlotId: Copy + Eq {
    /// Makes a key.
    fn from_parts(slot: u32, generation: u32) -> Self;
    /// Slot and generation.
    fn parts(self) -> (u32, u32);
}

macro_rules! slot_id {
    ($name:ident) => {
        impl SlotId for $name {
            fn from_parts(slot: u32, generation: u32) -> Self {
                Self { slot, generation }
            }

            fn parts(self) -> (u32, u32) {
                (self.slot, self.generation)
            }
        }
    };
}

slot_id!(RequestId);
slot_id!(ConnId);

/// Values of type `T` under keys of type `I`.
#[derive(Debug)]
pub(super) struct Slots<I, T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    ids: PhantomData<I>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<I: SlotId, T> Slots<I, T> {
    /// An empty table; does not allocate.
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            ids: PhantomData,
        }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Number of slots, including free ones: the bound for [`Slots::id_at`].
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Key of the value in this slot, if there is one.
    pub(super) fn id_at(&self, slot: usize) -> Option<I> {
        let entry = self.entries.get(slot)?;
        entry
            .value
            .as_ref()
            .map(|_| I::from_parts(slot as u32, entry.generation))
    }

    /// Stores a value. Allocates only when all slots are taken.
    pub(super) fn insert(&mut self, value: T) -> I {
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.entries[slot as usize];
            entry.value = Some(value);
            return I::from_parts(slot, entry.generation);
        }
        let slot = self.entries.len() as u32;
        self.entries.push(Entry {
            generation: 0,
            value: Some(value),
        });
        I::from_parts(slot, 0)
    }

    /// The value under `id`.
    pub(super) fn get(&self, id: I) -> Option<&T> {
        let (slot, generation) = id.parts();
        let entry = self.entries.get(slot as usize)?;
        entry
            .value
            .as_ref()
            .filter(|_| entry.generation == generation)
    }

    /// The value under `id`.
    pub(super) fn get_mut(&mut self, id: I) -> Option<&mut T> {
        let (slot, generation) = id.parts();
        let entry = self.entries.get_mut(slot as usize)?;
        if entry.generation != generation {
            return None;
        }
        entry.value.as_mut()
    }

    /// Removes the value under `id`; `id` is stale from now on.
    pub(super) fn remove(&mut self, id: I) -> Option<T> {
        let (slot, generation) = id.parts();
        let entry = self.entries.get_mut(slot as usize)?;
        if entry.generation != generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_is_reused_under_a_new_generation() {
        let mut slots = Slots::<ConnId, &str>::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!((second.slot, second.generation), (first.slot, 1));
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_key_that_was_never_handed_out_finds_nothing() {
        let mut slots = Slots::<RequestId, u8>::new();
        let foreign = RequestId {
            slot: 7,
            generation: 0,
        };
        assert_eq!(slots.get(foreign), None);
        assert_eq!(slots.remove(foreign), None);
    }

    #[test]
    fn only_taken_slots_have_an_id() {
        let mut slots = Slots::<RequestId, u8>::new();
        let first = slots.insert(1);
        let second = slots.insert(2);
        slots.remove(first);
        assert_eq!(slots.slots(), 2);
        assert_eq!(slots.id_at(0), None);
        assert_eq!(slots.id_at(1), Some(second));
        assert_eq!(slots.id_at(2), None);
    }
}
