//! Extensions of the clients.

use std::pin::Pin;
use std::sync::Arc;

use dodici::{ConnectionStatus, Origin, PoolStats};

use crate::{Client, IntoUrl};

/// What reqwest's client does not tell, nor do.
pub trait ClientExt {
    /// A result: of the async client, a future with it.
    type Answer<T: Send + 'static>;

    /// Opens connections for requests to this URL until `count` are ready to take one, and returns how
    /// many are: fewer, if [`max_connections_per_origin`], [`pool_max_idle_per_host`] or failed attempts
    /// prevent more; one, if it speaks HTTP/2. Zero counts as one. Through a proxy that forwards
    /// requests they lead to the proxy, otherwise to the origin; under [`max_connections`] they wait for
    /// their turn. Connections that are not used are closed like other idle ones.
    ///
    /// A single attempt may take [`connect_timeout`](crate::ClientBuilder::connect_timeout); the blocking
    /// client waits for its timeout. Who no longer waits does not cancel the attempts.
    ///
    /// ```no_run
    /// use dodici_reqwest::{Client, ext::ClientExt};
    ///
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let client = Client::new();
    /// let ready = client.preconnect("https://api.example/", 4).await?;
    /// println!("{ready} connections are ready");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Like those of a request: that of an attempt, if none is ready; a builder error for a URL to which
    /// this client sends nothing.
    ///
    /// [`max_connections`]: super::ClientBuilderExt::max_connections
    /// [`max_connections_per_origin`]: super::ClientBuilderExt::max_connections_per_origin
    /// [`pool_max_idle_per_host`]: crate::ClientBuilder::pool_max_idle_per_host
    fn preconnect<U: IntoUrl>(&self, url: U, count: u32) -> Self::Answer<crate::Result<u32>>;

    /// What each connection is doing now, its age, bytes and requests, with its pool's origin: that of
    /// the proxy, if it forwards requests. The runtimes of all connections are asked, and have to run.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::{Activity, ClientExt}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dodici_reqwest::Error> {
    /// # let server = dodici_testkit::TestOrigin::start().await;
    /// # let url = format!("http://127.0.0.1:{}/bytes/5", server.port());
    /// let client = Client::builder().no_proxy().build()?;
    /// client.get(url).send().await?.bytes().await?;
    ///
    /// for (origin, connection) in client.connections().await {
    ///     println!("{origin}: {}, {:?} old", connection.activity, connection.age);
    ///     assert_eq!(connection.activity, Activity::Idle);
    ///     assert_eq!(connection.requests, 1);
    /// }
    /// # assert_eq!(client.connections().await.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    fn connections(&self) -> Self::Answer<Vec<(Origin, ConnectionStatus)>>;

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
    type Answer<T: Send + 'static> = Pin<Box<dyn Future<Output = T> + Send>>;

    fn preconnect<U: IntoUrl>(&self, url: U, count: u32) -> Self::Answer<crate::Result<u32>> {
        let url = url.into_url();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let url = url?;
            let uri = inner.target(&url)?;
            let ready = inner.attempts.transport().preconnect(&uri, count).await;
            ready.map_err(|error| error.with_url(url))
        })
    }

    fn connections(&self) -> Self::Answer<Vec<(Origin, ConnectionStatus)>> {
        let pools = self.inner.attempts.transport().pools.all();
        Box::pin(async move {
            let mut found = Vec::new();
            for (origin, pool) in pools {
                let connections = pool.connections().await.into_iter();
                found.extend(connections.map(|status| (origin.clone(), status)));
            }
            found
        })
    }

    fn pool_stats(&self) -> Vec<(Origin, PoolStats)> {
        let pools = self.inner.attempts.transport().pools.all().into_iter();
        pools.map(|(origin, pool)| (origin, pool.stats())).collect()
    }
}

#[cfg(feature = "blocking")]
impl ClientExt for crate::blocking::Client {
    type Answer<T: Send + 'static> = T;

    fn preconnect<U: IntoUrl>(&self, url: U, count: u32) -> crate::Result<u32> {
        self.wait(self.asynchronous().preconnect(url, count))?
    }

    /// None, if the client's thread has not answered within its timeout.
    fn connections(&self) -> Vec<(Origin, ConnectionStatus)> {
        let found = self.wait(self.asynchronous().connections());
        found.unwrap_or_default()
    }

    fn pool_stats(&self) -> Vec<(Origin, PoolStats)> {
        self.asynchronous().pool_stats()
    }
}
