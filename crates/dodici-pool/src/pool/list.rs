//! A doubly linked list threaded through the values of a [`Slots`] table.
//!
//! Every operation is O(1) and does not allocate. The pool uses it for its queue, for idle and for
//! shareable connections, and for the requests on each connection. A value is in one list at a
//! time; the list trusts its user to remove only what is in it.

use super::slot::{SlotId, Slots};

/// Neighbours of a value in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<I> {
    prev: Option<I>,
    next: Option<I>,
}

impl<I> Default for Links<I> {
    fn default() -> Self {
        Self {
            prev: None,
            next: None,
        }
    }
}

/// A value that can be in a [`List`].
pub(super) trait Linked<I> {
    /// Its neighbours.
    fn links(&self) -> &Links<I>;
    /// Its neighbours.
    fn links_mut(&mut self) -> &mut Links<I>;
}

/// First and last of a list, and its length.
#[derive(Debug)]
pub(super) struct List<I> {
    head: Option<I>,
    tail: Option<I>,
    len: usize,
}

impl<I: SlotId> List<I> {
    /// An empty list.
    pub(super) const fn new() -> Self {
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// Number of values in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no value.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The first value.
    pub(super) fn front(&self) -> Option<I> {
        self.head
    }

    /// The last value.
    pub(super) fn back(&self) -> Option<I> {
        self.tail
    }

    /// The value before `id`.
    pub(super) fn before<T: Linked<I>>(&self, slots: &Slots<I, T>, id: I) -> Option<I> {
        slots.get(id)?.links().prev
    }

    /// The value after `id`.
    pub(super) fn after<T: Linked<I>>(&self, slots: &Slots<I, T>, id: I) -> Option<I> {
        slots.get(id)?.links().next
    }

    /// Appends `id`.
    pub(super) fn push_back<T: Linked<I>>(&mut self, slots: &mut Slots<I, T>, id: I) {
        self.insert_before(slots, None, id);
    }

    /// Prepends `id`.
    pub(super) fn push_front<T: Linked<I>>(&mut self, slots: &mut Slots<I, T>, id: I) {
        self.insert_before(slots, self.head, id);
    }

    /// Inserts `id` before `at`, or last if `at` is `None`.
    pub(super) fn insert_before<T: Linked<I>>(
        &mut self,
        slots: &mut Slots<I, T>,
        at: Option<I>,
        id: I,
    ) {
        let prev = match at {
            Some(at) => slots.get(at).and_then(|value| value.links().prev),
            None => self.tail,
        };
        let Some(value) = slots.get_mut(id) else {
            return;
        };
        *value.links_mut() = Links { prev, next: at };
        self.join(slots, prev, Some(id));
        self.join(slots, Some(id), at);
        self.len += 1;
    }

    /// Removes `id`, which must be in this list.
    pub(super) fn remove<T: Linked<I>>(&mut self, slots: &mut Slots<I, T>, id: I) {
        let Some(value) = slots.get_mut(id) else {
            return;
        };
        let Links { prev, next } = std::mem::take(value.links_mut());
        self.join(slots, prev, next);
        self.len -= 1;
    }

    /// Makes two values neighbours; `None` stands for the end of the list.
    fn join<T: Linked<I>>(&mut self, slots: &mut Slots<I, T>, left: Option<I>, right: Option<I>) {
        match left.and_then(|id| slots.get_mut(id)) {
            Some(value) => value.links_mut().next = right,
            None => self.head = right,
        }
        match right.and_then(|id| slots.get_mut(id)) {
            Some(value) => value.links_mut().prev = left,
            None => self.tail = left,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::id::RequestId;

    #[derive(Default)]
    struct Node(Links<RequestId>);

    impl Linked<RequestId> for Node {
        fn links(&self) -> &Links<RequestId> {
            &self.0
        }

        fn links_mut(&mut self) -> &mut Links<RequestId> {
            &mut self.0
        }
    }

    fn walk(list: &List<RequestId>, slots: &Slots<RequestId, Node>) -> Vec<RequestId> {
        std::iter::successors(list.front(), |id| list.after(slots, *id)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_list_behaves_like_a_vector(
            steps in prop::collection::vec((0u8..4, any::<prop::sample::Index>()), 1..60),
        ) {
            let mut slots = Slots::new();
            let mut list = List::new();
            let mut model = Vec::new();
            for (step, index) in steps {
                match step {
                    0 => {
                        let id = slots.insert(Node::default());
                        list.push_back(&mut slots, id);
                        model.push(id);
                    }
                    1 => {
                        let id = slots.insert(Node::default());
                        list.push_front(&mut slots, id);
                        model.insert(0, id);
                    }
                    2 if !model.is_empty() => {
                        let at = index.index(model.len());
                        let id = slots.insert(Node::default());
                        list.insert_before(&mut slots, Some(model[at]), id);
                        model.insert(at, id);
                    }
                    3 if !model.is_empty() => {
                        let id = model.remove(index.index(model.len()));
                        list.remove(&mut slots, id);
                        slots.remove(id);
                    }
                    _ => {}
                }
                prop_assert_eq!(&walk(&list, &slots), &model);
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
