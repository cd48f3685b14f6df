//! The task of one connection: connect, then serve one request after another until it ends.
//!
//! Order of what it tells, as in undici: a request that fails with its connection hears of it
//! first, then comes `disconnect`, then the queue goes on. Cancelling the task (the runtime is
//! shut down) settles its request and emits the disconnect through the guards' drops.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dodici_pool::{CloseReason, ConnId, ConnectInfo, Error, Event, Outcome, Protocol, RequestId};
use tokio::time::Instant;

use super::lease::Lease;
use super::{Mailbox, PoolInner, aborted, contain, multiplex, now, pipeline};
use crate::clock::Timer;
use crate::conn::H1Conn;
use crate::connect::{Connected, Transport};
use crate::exchange::{self, Finish, Job};
use crate::sink::ExchangeInfo;

/// Makes connection `id` and serves requests on it.
pub(super) async fn run(pool: Arc<PoolInner>, id: ConnId, mailbox: Arc<Mailbox>) {
    let connecting = Connecting {
        pool: Arc::clone(&pool),
        id,
        done: false,
    };
    let connected = tokio::select! {
        biased;
        () = closed(&mailbox) => {
            connecting.fail(None);
            return;
        }
        result = connect(&pool) => result,
    };
    let (transport, mut info) = match connected {
        Ok(connected) => connected,
        Err(error) => return connecting.fail(Some(error)),
    };
    let http2 = &pool.config.http2;
    if http2.prior_knowledge || info.protocol == Protocol::Http2 {
        info.protocol = Protocol::Http2;
        // Boxed: a connection of HTTP/1.1, of which there are many more, pays for neither.
        match Box::pin(multiplex::connect(&pool, transport)).await {
            Ok(conn) => {
                let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
                connecting.succeed(Slots::Streams(http2.max_concurrent_streams));
                Box::pin(multiplex::serve(pool, id, mailbox, conn, lease)).await;
            }
            Err(error) => connecting.fail(Some(error)),
        }
        return;
    }
    let depth = pool.config.pool.pipelining;
    if depth > 1 || pool.config.exchange.own_codec {
        info.protocol = Protocol::Http1;
        let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
        connecting.succeed(Slots::Pipeline(depth.max(1)));
        return Box::pin(pipeline::serve(pool, id, mailbox, transport, lease)).await;
    }
    match H1Conn::new(transport, &pool.config.exchange).await {
        Ok(conn) => {
            info.protocol = Protocol::Http1;
            let lease = Lease::new(Arc::clone(&pool), id, Arc::clone(&mailbox), info);
            connecting.succeed(Slots::Pipeline(1));
            serve(&pool, id, &mailbox, conn, lease).await;
        }
        Err(error) => connecting.fail(Some(error)),
    }
}

/// Makes the connection, through the caller's code if there is some.
async fn connect(pool: &Arc<PoolInner>) -> Result<(Transport, ConnectInfo), Error> {
    let Some(hook) = pool.connector.around() else {
        return pool.connector.connect().await;
    };
    let inner = Arc::clone(pool);
    let made = hook.around(Box::pin(async move {
        let (transport, info) = inner.connector.connect().await?;
        Ok(Connected { transport, info })
    }));
    made.await.map(|made| (made.transport, made.info))
}

/// How many requests a connection carries at once.
enum Slots {
    /// One behind the other.
    Pipeline(u32),
    /// As streams of their own.
    Streams(u32),
}

/// Balances the pool's books if the attempt ends in any way but success.
struct Connecting {
    pool: Arc<PoolInner>,
    id: ConnId,
    done: bool,
}

impl Connecting {
    fn succeed(mut self, slots: Slots) {
        self.done = true;
        {
            let machine = &mut self.pool.state.lock().machine;
            match slots {
                Slots::Pipeline(depth) => machine.handle_connected(self.id, now(), depth),
                Slots::Streams(most) => machine.handle_connected_multiplexed(self.id, now(), most),
            }
        }
        self.pool.run_actions();
    }

    /// Waiting requests hear of it first, then the event; without an error (the pool was closed)
    /// nobody hears of it.
    fn fail(mut self, error: Option<Error>) {
        self.done = true;
        self.give_up(error.as_ref());
        if let Some(error) = error {
            self.pool.events.event(Event::ConnectFailed {
                conn: self.id,
                error,
            });
        }
    }

    fn give_up(&self, error: Option<&Error>) {
        {
            let mut state = self.pool.state.lock();
            state.connect_error = error.cloned();
            state.forget_conn(self.id);
            state.machine.handle_connect_failed(self.id, now());
        }
        self.pool.run_actions();
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if !self.done {
            self.give_up(None);
        }
    }
}

/// The pool wants the connection closed.
async fn closed(mailbox: &Mailbox) {
    std::future::poll_fn(|cx| {
        let mut inner = mailbox.inner.lock();
        if inner.close.is_some() {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

/// What ends the rest of a connection.
enum Rest {
    Job(RequestId, Box<Job>),
    Close(CloseReason),
    Ended(CloseReason, Option<Error>),
}

async fn serve(
    pool: &Arc<PoolInner>,
    id: ConnId,
    mailbox: &Mailbox,
    mut conn: H1Conn,
    mut lease: Lease,
) {
    let mut timer = Timer::new();
    let mut watched = false;
    // The request that the connection was made for is there already. Later, and at rest, what comes
    // before a request is no answer to it: a server may end a rest with a 408.
    // Behind a proxy it is nobody's answer: bytes after an answer to CONNECT may be the proxy's own.
    let mut fresh = pool.config.connect.proxy.is_none() && mailbox.inner.lock().job.is_some();
    loop {
        let next = rest(pool, id, mailbox, &mut conn, &mut timer, watched).await;
        let (request, mut job) = match next {
            Rest::Job(request, job) => (request, job),
            Rest::Close(reason) => {
                lease.set_traffic(conn.traffic());
                return lease.end(reason, None);
            }
            Rest::Ended(reason, error) => {
                lease.set_traffic(conn.traffic());
                return lease.end(reason, error);
            }
        };
        std::future::poll_fn(|cx| {
            job.command.attach(cx.waker());
            mailbox.inner.lock().waker = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        let first = std::mem::take(&mut fresh);
        let checked = std::future::poll_fn(|cx| conn.poll_check(cx, first)).await;
        let finish = match checked {
            Err((reason, error)) => Finish::Unsent(reason, error),
            Ok(()) => {
                let info = ExchangeInfo {
                    conn: id,
                    reused: lease.requests() > 0,
                };
                let config = &pool.config.exchange;
                exchange::run(&mut conn, &mut job, config, info, &mut timer, mailbox).await
            }
        };
        let traffic = conn.traffic();
        let received = traffic.0 - lease.bytes_read();
        lease.set_traffic(traffic);
        match finish {
            Finish::Reusable(hint) => {
                watched = true;
                lease.count_request();
                release(pool, id, request, hint);
                // Told only now that the connection is free, so that a request which follows from
                // this one's end finds it; the queue goes on after it.
                conn.with_trailers(|trailers| job.settle.end(trailers));
                drop(job);
                pool.run_actions();
            }
            Finish::Done(reason) => {
                lease.count_request();
                conn.with_trailers(|trailers| job.settle.end(trailers));
                drop(job);
                forget(pool, id, request, reason);
                return lease.end(reason, None);
            }
            Finish::Failed(reason, error)
                if job.may_be_replayed(&error, lease.requests() > 0, received) =>
            {
                job.replays += 1;
                give_back(pool, id, request, job);
                return lease.end(reason, Some(error));
            }
            Finish::Failed(reason, error) => {
                job.settle.error(error.clone());
                drop(job);
                forget(pool, id, request, reason);
                return lease.end(reason, Some(error));
            }
            Finish::Unsent(reason, error) if lease.requests() == 0 && job.fresh_failures >= 3 => {
                // A peer that accepts and closes, again and again, is not a stale connection.
                job.settle.error(error.clone());
                drop(job);
                forget(pool, id, request, reason);
                return lease.end(reason, Some(error));
            }
            Finish::Unsent(reason, error) => {
                if lease.requests() == 0 {
                    job.fresh_failures += 1;
                }
                give_back(pool, id, request, job);
                return lease.end(reason, Some(error));
            }
            Finish::Upgraded => {
                lease.count_request();
                forget(pool, id, request, CloseReason::Upgraded);
                let info = ExchangeInfo {
                    conn: id,
                    reused: lease.requests() > 1,
                };
                // As in undici, the pool is done with the connection before the caller has it.
                lease.end(CloseReason::Upgraded, None);
                conn.with_head(|head| {
                    if let Some(sink) = job.settle.sink() {
                        sink.upgrade(head, &info);
                    }
                });
                if let Some(stream) = conn.into_stream() {
                    exchange::run_stream(stream, &mut job).await;
                }
                return;
            }
        }
    }
}

/// Waits for a request, keeping an eye on the connection. `watched`: an exchange has just left the
/// connection at rest, with a wake-up registered for whatever comes.
async fn rest(
    pool: &Arc<PoolInner>,
    id: ConnId,
    mailbox: &Mailbox,
    conn: &mut H1Conn,
    timer: &mut Timer,
    watched: bool,
) -> Rest {
    let mut deadline = None;
    let mut first = true;
    std::future::poll_fn(|cx| {
        {
            let mut inner = mailbox.inner.lock();
            // First, because the pool assigns to a connection that its user destroys; the lease
            // gives that request back.
            if let Some(reason) = inner.close {
                return Poll::Ready(Rest::Close(reason));
            }
            if let Some((request, job)) = inner.job.take() {
                return Poll::Ready(Rest::Job(request, job));
            }
            inner.waker = Some(cx.waker().clone());
        }
        if !(first && watched)
            && let Poll::Ready((reason, error)) = conn.poll_rest(cx)
        {
            return Poll::Ready(Rest::Ended(reason, Some(error)));
        }
        if first {
            first = false;
            deadline = pool
                .state
                .lock()
                .machine
                .idle_deadline(id)
                .map(Instant::from_std);
        }
        while timer.poll_expired(cx, deadline) {
            pool.state.lock().machine.handle_deadline(now());
            pool.run_actions();
            if mailbox.close_reason().is_some() || mailbox.inner.lock().job.is_some() {
                // This very poll's waker was consumed by the pool: look again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            deadline = pool
                .state
                .lock()
                .machine
                .idle_deadline(id)
                .map(Instant::from_std);
        }
        Poll::Pending
    })
    .await
}

/// Takes a request off a connection that goes on. The caller has to run the pool's actions.
fn release(pool: &Arc<PoolInner>, id: ConnId, request: RequestId, hint: Option<Duration>) {
    pool.state
        .lock()
        .machine
        .handle_released(id, request, Outcome::Reusable { hint }, now());
}

/// Takes a settled request off a connection that is about to end. The queue does not go on yet:
/// the lease's end makes it.
fn forget(pool: &Arc<PoolInner>, id: ConnId, request: RequestId, reason: CloseReason) {
    pool.state
        .lock()
        .machine
        .handle_released(id, request, Outcome::Finished(reason), now());
}

/// Returns an unsent request to the front of the queue, unless its caller has given up.
fn give_back(pool: &Arc<PoolInner>, id: ConnId, request: RequestId, job: Box<Job>) {
    let cancelled = pool.state.lock().take_back(id, request, job);
    if let Some(mut job) = cancelled {
        contain(|| job.settle.error(aborted()));
    }
}
