//! Names that JavaScript is resolving for one pool, with the user's `lookup` function.
//!
//! Kept by `local`; asked by `resolver`, answered by `submit`.

use std::collections::HashMap;

use dodici_wire::submission::FoundAddress;
use tokio::sync::oneshot;

/// Addresses, or the number under which JavaScript stores its error.
pub(crate) type Answer = Result<Vec<FoundAddress>, u32>;

/// Lookups of one pool that wait for JavaScript.
#[derive(Default)]
pub(crate) struct Lookups {
    waiting: HashMap<u32, oneshot::Sender<Answer>>,
    last: u32,
}

impl Lookups {
    /// A lookup: its number, and the receiver of its answer.
    pub(crate) fn ask(&mut self) -> (u32, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        self.last = self.last.wrapping_add(1);
        self.waiting.insert(self.last, answer);
        (self.last, receiver)
    }

    /// There is no answer: the attempt fails.
    pub(crate) fn forget(&mut self, number: u32) {
        self.waiting.remove(&number);
    }

    /// Delivers the answer. The attempt may have ended in the meantime.
    pub(crate) fn answer(&mut self, number: u32, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&number) {
            let _ = waiting.send(answer);
        }
    }
}
