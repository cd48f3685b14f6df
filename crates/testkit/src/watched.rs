//! Shared state that tests can wait on, a one-way signal, and the guard against hanging tests.
//!
//! Every recorder of the kit keeps its log in a [`Watched`], so a test waits for what it expects
//! and never sleeps. Knows nothing of HTTP.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// A value that tasks change and tests wait on. Clones share the value.
#[derive(Debug)]
pub struct Watched<T>(Arc<watch::Sender<T>>);

impl<T> Watched<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(value)))
    }

    /// Changes the value and wakes all waiters. May be called from any thread, also
    /// outside a runtime; `change` must not touch this object.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut change = Some(change);
        let mut result = None;
        self.0.send_modify(|value| {
            if let Some(change) = change.take() {
                result = Some(change(value));
            }
        });
        result.expect("send_modify runs its closure")
    }

    /// Reads the value; `look` must not touch this object.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Resolves with the first `Some` that `look` returns; it is called immediately and after each
    /// change (several changes may be seen as one). Cancelling it loses nothing.
    pub async fn wait<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(found) = look(&receiver.borrow_and_update()) {
                return found;
            }
            if receiver.changed().await.is_err() {
                // The sender lives in `self`, so this cannot happen.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Watched<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// A latch between a test and a script. Clones are the same latch.
#[derive(Clone, Debug, Default)]
pub struct Signal(Watched<bool>);

impl Signal {
    /// A signal that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it and wakes all waiters. Raising it again has no effect.
    pub fn raise(&self) {
        self.0.update(|raised| *raised = true);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.read(|raised| *raised)
    }

    /// Resolves once it is raised, or immediately if it already is.
    pub async fn raised(&self) {
        self.0.wait(|raised| raised.then_some(())).await;
    }
}

/// Time after which [`within`] considers a test hung. Far above what any step needs on a loaded
/// two-core machine, so that it only ever fires on a real hang.
const HANG: Duration = Duration::from_secs(60);

/// Awaits `future`, and panics with `what` if it hangs. Not a measurement: the bound is a minute.
/// Not for paused time, which jumps straight to the bound.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(HANG, future).await {
        Ok(output) => output,
        Err(_) => panic!("hung for {HANG:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_sees_a_change_made_before_and_after_it_began() {
        let watched = Watched::new(1);
        assert_eq!(
            watched.wait(|value| (*value == 1).then_some("old")).await,
            "old"
        );
        let other = watched.clone();
        let waiter = tokio::spawn(async move { other.wait(|v| (*v > 5).then_some(*v)).await });
        tokio::task::yield_now().await;
        watched.update(|value| *value = 3);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        watched.update(|value| *value = 7);
        assert_eq!(within("waiter", waiter).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_signal_stays_raised() {
        let signal = Signal::new();
        let other = signal.clone();
        assert!(!signal.is_raised());
        other.raise();
        other.raise();
        signal.raised().await;
        assert!(signal.is_raised());
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "hung for 60s: the impossible")]
    async fn within_names_what_hung() {
        within("the impossible", std::future::pending::<()>()).await;
    }
}
