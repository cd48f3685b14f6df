//! The task of one connection: connect, then serve requests until it ends, as `pipeline` or
//! `multiplex`.
//!
//! Order of notifications, as in undici: a request that fails with its connection first, then
//! `disconnect`, then the queue continues. Cancelling the task (the runtime is shut down) settles
//! its request and emits the disconnect through the guards' drops.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

#[cfg(feature = "http3")]
use dodici_pool::Http3Mode;
use dodici_pool::{CloseReason, ConnId, ConnectInfo, Error, Event, Protocol};

#[cfg(feature = "http3")]
use super::discovery;
use super::lease::Lease;
use super::{Mailbox, Permit, PoolInner, contain, multiplex, now, pipeline};
use crate::connect::{Connected, Connector, Link};
use crate::trace::Attempt;

/// Serves requests until the connection ends.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens connection `id` and serves requests on it.
///
/// The task is spawned with room for the larger of the two futures, so both are boxed: a connection
/// holds only what serving needs.
pub(super) fn run(
    pool: Arc<PoolInner>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    permit: Option<Permit>,
) -> impl Future<Output = ()> + Send {
    // Created here, because a runtime that has ended drops the future without polling it.
    let mut connecting = Connecting {
        pool: Arc::clone(&pool),
        id,
        progress: Progress::Spawned,
    };
    async move {
        connecting.progress = Progress::Begun;
        let attempt = Attempt::new(&pool.origin, id);
        let establishing = establish(connecting, mailbox, permit);
        if let Some(serving) = Box::pin(attempt.around(establishing)).await {
            serving.await;
        }
    }
}

/// Opens the connection. `None` if that failed, which has then been reported.
async fn establish(
    connecting: Connecting,
    mailbox: Arc<Mailbox>,
    permit: Option<Permit>,
) -> Option<Serving> {
    let (pool, id) = (Arc::clone(&connecting.pool), connecting.id);
    let connected = tokio::select! {
        biased;
        reason = closed(&mailbox) => {
            drop(permit);
            connecting.abandon(reason);
            return None;
        }
        result = connect(&pool) => result,
    };
    let (mut link, mut info) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            // It makes room before the pool hears of it.
            drop(permit);
            connecting.fail(error);
            return None;
        }
    };
    if let Some(permit) = permit {
        link.count(permit);
    }
    #[cfg_attr(
        not(feature = "http3"),
        expect(
            clippy::infallible_destructuring_match,
            reason = "there is one without HTTP/3"
        )
    )]
    let transport = match link {
        Link::Stream(transport) => transport,
        #[cfg(feature = "http3")]
        Link::Quic(quic) => {
            let conn = multiplex::connect_quic(&pool, quic);
            let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
            let most = pool.config.http3.max_concurrent_streams;
            connecting.succeed(Slots::Streams(most));
            return Some(Box::pin(multiplex::serve(pool, id, mailbox, conn, lease)));
        }
    };
    let http2 = &pool.config.http2;
    if http2.prior_knowledge || info.protocol == Protocol::Http2 {
        info.protocol = Protocol::Http2;
        return match multiplex::connect(&pool, transport).await {
            Ok(conn) => {
                let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
                connecting.succeed(Slots::Streams(http2.max_concurrent_streams));
                Some(Box::pin(multiplex::serve(pool, id, mailbox, conn, lease)))
            }
            Err(error) => {
                connecting.fail(error);
                None
            }
        };
    }
    info.protocol = Protocol::Http1;
    let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
    connecting.succeed(Slots::Pipeline);
    Some(Box::pin(pipeline::serve(
        pool, id, mailbox, transport, lease,
    )))
}

/// Opens the connection, with the caller's hooks if there are any.
async fn connect(pool: &Arc<PoolInner>) -> Result<(Link, ConnectInfo), Error> {
    let connector = pool.connector()?;
    let Some(hook) = connector.around() else {
        return open(pool, &connector).await;
    };
    let (pool, inner) = (Arc::clone(pool), Arc::clone(&connector));
    let made = hook.around(Box::pin(async move {
        let (link, info) = open(&pool, &inner).await?;
        Ok(Connected { link, info })
    }));
    made.await.map(|made| (made.link, made.info))
}

async fn open(
    pool: &Arc<PoolInner>,
    connector: &Arc<Connector>,
) -> Result<(Link, ConnectInfo), Error> {
    // Boxed, so that other connections do not carry the size.
    #[cfg(feature = "http3")]
    if pool.config.http3.mode == Http3Mode::PriorKnowledge {
        let (quic, info) = Box::pin(connector.connect_quic(None)).await?;
        return Ok((Link::Quic(quic), info));
    }
    #[cfg(feature = "http3")]
    if let Some(discovery) = &pool.discovery {
        return Box::pin(discovery::open(pool, discovery, connector)).await;
    }
    // Without the feature, there are no pools with another mode.
    #[cfg(not(feature = "http3"))]
    let _ = pool;
    let (transport, info) = connector.connect().await?;
    Ok((Link::Stream(transport), info))
}

/// How a connection carries its requests.
enum Slots {
    /// In order, up to the pool's current depth.
    Pipeline,
    /// As concurrent streams.
    Streams(u32),
}

/// Balances the pool's accounts if the attempt does not succeed.
struct Connecting {
    pool: Arc<PoolInner>,
    id: ConnId,
    progress: Progress,
}

/// How far an attempt has come.
#[derive(PartialEq, Eq)]
enum Progress {
    /// It waits for its runtime.
    Spawned,
    Begun,
    /// The pool knows how it ended.
    Done,
}

impl Connecting {
    fn succeed(mut self, slots: Slots) {
        self.progress = Progress::Done;
        {
            let machine = &mut self.pool.state.lock().machine;
            match slots {
                Slots::Pipeline => {
                    let depth = machine.config().pipelining;
                    machine.handle_connected(self.id, now(), depth);
                }
                Slots::Streams(most) => machine.handle_connected_multiplexed(self.id, now(), most),
            }
        }
        self.pool.run_actions();
    }

    /// Fails waiting requests first, then emits the event.
    fn fail(mut self, error: Error) {
        self.progress = Progress::Done;
        self.give_up(Some(&error));
        let conn = self.id;
        self.pool.events.event(Event::ConnectFailed { conn, error });
    }

    /// The pool does not want it any more. Its own end is not reported.
    fn abandon(mut self, reason: CloseReason) {
        self.progress = Progress::Done;
        self.give_up(None);
        if reason == CloseReason::Aborted {
            let conn = self.id;
            self.pool.events.event(Event::ConnectGivenUp { conn });
        }
    }

    fn give_up(&self, error: Option<&Error>) {
        {
            let mut state = self.pool.state.lock();
            state.connect_error = error.cloned();
            if !state.preconnects.is_empty() {
                state.preconnect_error = error.cloned();
            }
            state.forget_conn(self.id);
            state.machine.handle_connect_failed(self.id, now());
        }
        self.pool.run_actions();
    }
}

impl Drop for Connecting {
    /// The runtime has ended, or a hook has panicked.
    fn drop(&mut self) {
        if self.progress == Progress::Done {
            return;
        }
        if self.progress == Progress::Spawned {
            // There is no runtime, and will not be: every other attempt would end here as well.
            self.pool.state.lock().machine.handle_destroy(now());
        }
        self.give_up(None);
        let conn = self.id;
        contain(|| self.pool.events.event(Event::ConnectGivenUp { conn }));
    }
}

/// The pool wants the connection closed.
async fn closed(mailbox: &Mailbox) -> CloseReason {
    std::future::poll_fn(|cx| {
        let mut inner = mailbox.inner.lock();
        if let Some(reason) = inner.close {
            return Poll::Ready(reason);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}
