//! A limit on the total number of a client's connections.
//!
//! Each connection holds a permit as long as its socket lives. If none is available, an idle
//! connection of any origin is closed, and the attempt waits.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use dodici::{AroundHook, Connected, HookFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often a waiter checks for a connection that has become idle. Pools do not report this, and
/// 10 ms is short compared with whatever keeps all connections busy.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The pools that share the limit.
pub(crate) trait Pools: Send + Sync {
    /// Closes an idle connection, if there is one.
    fn close_one_idle(&self);
}

/// See the module.
pub(crate) struct TotalLimit {
    permits: Arc<Semaphore>,
    /// The pools with idle connections; set once the client exists.
    pools: OnceLock<Weak<dyn Pools>>,
    /// The layers of the client, if it has any.
    layers: Option<Arc<dyn AroundHook>>,
}

impl TotalLimit {
    pub(crate) fn new(most: u32, layers: Option<Arc<dyn AroundHook>>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(most as usize)),
            pools: OnceLock::new(),
            layers,
        })
    }

    pub(crate) fn watch(&self, pools: Weak<dyn Pools>) {
        // Set once, by the client of this limit.
        let _ = self.pools.set(pools);
    }

    fn make_room(&self) {
        if let Some(pools) = self.pools.get().and_then(Weak::upgrade) {
            pools.close_one_idle();
        }
    }
}

/// Waits for a permit; cancelling the future gives up the place in the queue.
async fn permit(
    permits: Arc<Semaphore>,
    make_room: impl Fn(),
) -> Result<OwnedSemaphorePermit, dodici::Error> {
    let mut waiting = std::pin::pin!(permits.acquire_owned());
    loop {
        let granted = tokio::select! {
            biased;
            granted = &mut waiting => granted,
            () = async {
                make_room();
                tokio::time::sleep(LOOK_AGAIN).await;
            } => continue,
        };
        return granted.map_err(|_| {
            dodici::Error::new(
                dodici::ErrorKind::Internal,
                dodici::Phase::Queued,
                "the limit on connections is gone",
            )
        });
    }
}

/// The hook shared by a client's pools.
pub(crate) struct Limited(pub(crate) Arc<TotalLimit>);

impl AroundHook for Limited {
    fn around(
        &self,
        connect: HookFuture<Result<Connected, dodici::Error>>,
    ) -> HookFuture<Result<Connected, dodici::Error>> {
        let connect = match &self.0.layers {
            Some(layers) => layers.around(connect),
            None => connect,
        };
        let limit = Arc::clone(&self.0);
        Box::pin(async move {
            let permits = Arc::clone(&limit.permits);
            let permit = permit(permits, || limit.make_room()).await?;
            connect.await.map(|connected| connected.holding(permit))
        })
    }
}
