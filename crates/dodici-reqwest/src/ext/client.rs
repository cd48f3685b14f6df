//! Extensions of the clients.

use dodici::{Origin, PoolStats};

use crate::Client;

/// Statistics that reqwest's client does not have.
pub trait ClientExt {
    /// Counters of each current pool: one per origin and proxy used to reach it.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientExt};
    ///
    /// for (origin, stats) in Client::new().pool_stats() {
    ///     println!("{origin}: {} connections", stats.connected);
    /// }
    /// ```
    fn pool_stats(&self) -> Vec<(Origin, PoolStats)>;
}

impl ClientExt for Client {
    fn pool_stats(&self) -> Vec<(Origin, PoolStats)> {
        let pools = self.inner.attempts.transport().pools.all().into_iter();
        pools.map(|(origin, pool)| (origin, pool.stats())).collect()
    }
}

#[cfg(feature = "blocking")]
impl ClientExt for crate::blocking::Client {
    fn pool_stats(&self) -> Vec<(Origin, PoolStats)> {
        self.asynchronous().pool_stats()
    }
}
