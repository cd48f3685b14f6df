//! The loop of an HTTP/2 or HTTP/3 connection's task: many concurrent exchanges over one connection.
//!
//! One poll function ([`Multiplex::poll`]). Everything that can wake the task has a number
//! ([`Ready`]): the connection's driver, the mailbox, the timer, and each exchange. A round serves what is
//! marked ready, then the driver writes the results; so a wake-up costs nothing for streams that it
//! does not concern.
//!
//! Order of notifications, as for HTTP/1.1: requests that fail with the connection first, then
//! `disconnect`, then the queue continues.

mod slots;
mod time;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use dodici_pool::{CloseReason, ConnId, Error, ErrorKind, Event, Phase, RequestId, RequestKind};
use tokio::time::Instant;

use self::time::Ping;
use super::lease::Lease;
use super::{After, Mailbox, PoolInner, contain, destroyed, now};
use crate::clock::Timer;
use crate::conn::h2::{H2Conn, Target};
#[cfg(feature = "http3")]
use crate::conn::h3::H3Conn;
use crate::conn::{Driven, Multiplexed, NotOpened, Ready, SlotWaker, StreamLimits};
#[cfg(feature = "http3")]
use crate::connect::Quic;
use crate::connect::Transport;
use crate::exchange::{Job, StreamExchange, StreamFinish};
use crate::sink::ExchangeInfo;

/// Numbers that are not exchanges, which count from 0.
const DRIVER: u32 = u32::MAX;
const INBOX: u32 = u32::MAX - 1;
const CLOCK: u32 = u32::MAX - 2;
const PONG: u32 = u32::MAX - 3;

/// Rounds before other tasks of the thread get their turn. A request takes at most three from its
/// arrival to its frames.
const ROUNDS: usize = 16;

/// Starts HTTP/2 on a transport.
///
/// # Errors
/// If the transport fails meanwhile.
pub(super) async fn connect(pool: &PoolInner, transport: Transport) -> Result<H2Conn, Error> {
    H2Conn::new(transport, &pool.config.http2, target(pool)).await
}

/// Starts HTTP/3 on a QUIC connection.
#[cfg(feature = "http3")]
pub(super) fn connect_quic(pool: &PoolInner, quic: Box<Quic>) -> H3Conn {
    H3Conn::new(quic, &pool.config.http3, target(pool))
}

fn target(pool: &PoolInner) -> Target {
    Target::new(pool.origin.scheme, pool.origin.authority().to_string())
}

/// Serves requests on the connection until it ends.
pub(super) async fn serve<C: Multiplexed>(
    pool: Arc<PoolInner>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    conn: C,
    lease: Lease,
) {
    let mut multiplex = Multiplex::new(pool, id, mailbox, conn, lease);
    let (reason, error) = std::future::poll_fn(|cx| multiplex.poll(cx)).await;
    let Multiplex {
        mut lease,
        mut conn,
        ..
    } = multiplex;
    lease.set_traffic(conn.traffic());
    if conn.lingers() {
        lease.end(reason, error);
        return conn.linger().await;
    }
    // The socket is closed before the pool hears of it.
    drop(conn);
    lease.end(reason, error);
}

/// A slot for an exchange. Its waker is reused by successive exchanges.
struct Slot<C: Multiplexed> {
    waker: SlotWaker,
    exchange: Option<StreamExchange<C>>,
}

/// See the module. Fields drop in this order: exchanges settle before the lease reports the end.
struct Multiplex<C: Multiplexed> {
    slots: Vec<Slot<C>>,
    free: Vec<u32>,
    /// Exchanges waiting for a stream, oldest first.
    unopened: VecDeque<u32>,
    /// Exchanges in slots.
    active: usize,
    /// Those of them that have a stream.
    opened: usize,
    /// Those of them that are byte streams, whose requests the pool has released.
    upgraded: usize,
    conn: C,
    limits: StreamLimits,
    ready: Ready,
    driver: SlotWaker,
    inbox: SlotWaker,
    clock: SlotWaker,
    pong: SlotWaker,
    timer: Timer,
    /// No deadline of the connection or an exchange is before this instant.
    earliest: Option<Instant>,
    rest_until: Option<Instant>,
    ping: Ping,
    /// The peer's limit last reported to the pool.
    limit: usize,
    /// The pool knows that the connection accepts no more requests.
    leaving: bool,
    /// How it ended, once it has; exchanges with a complete response may still deliver it.
    lost: Option<(CloseReason, Error)>,
    /// The pool has actions to carry out.
    stirred: bool,
    listed: Vec<u32>,
    mailbox: Arc<Mailbox>,
    id: ConnId,
    pool: Arc<PoolInner>,
    lease: Lease,
}

type End = (CloseReason, Option<Error>);

impl<C: Multiplexed> Multiplex<C> {
    fn new(pool: Arc<PoolInner>, id: ConnId, mailbox: Arc<Mailbox>, conn: C, lease: Lease) -> Self {
        let ready = Ready::default();
        let waker = |number| {
            let waker = ready.waker(number);
            waker.wake();
            waker
        };
        let limits = C::limits(&pool.config);
        let ping = Ping::new(limits.ping_interval);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            unopened: VecDeque::new(),
            active: 0,
            opened: 0,
            upgraded: 0,
            conn,
            limits,
            driver: waker(DRIVER),
            inbox: waker(INBOX),
            clock: waker(CLOCK),
            pong: waker(PONG),
            ready,
            timer: Timer::new(),
            earliest: ping.next(),
            rest_until: None,
            ping,
            limit: 0,
            leaving: false,
            lost: None,
            stirred: true,
            listed: Vec::new(),
            mailbox,
            id,
            pool,
            lease,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.ready.begin(cx.waker());
        for _ in 0..ROUNDS {
            let mut listed = std::mem::take(&mut self.listed);
            self.ready.take(&mut listed);
            if listed.is_empty() {
                self.listed = listed;
                if self.ready.sleep() {
                    return Poll::Pending;
                }
                continue;
            }
            let (mut drive, mut inbox) = (false, false);
            for number in listed.drain(..) {
                match number {
                    DRIVER => drive = true,
                    INBOX => inbox = true,
                    CLOCK => self.tick(),
                    PONG => self.hear_pong(),
                    slot => self.poll_slot(slot, false),
                }
            }
            self.listed = listed;
            if inbox && let Some(end) = self.receive() {
                return Poll::Ready(end);
            }
            if drive {
                self.drive();
            }
            if let Some(end) = self.come_to_rest() {
                return Poll::Ready(end);
            }
        }
        self.ready.pause();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// After a round: the queue continues, the timer is set.
    fn come_to_rest(&mut self) -> Option<End> {
        if self.active == 0
            && let Some((reason, error)) = self.lost.take()
        {
            return Some((reason, Some(error)));
        }
        if std::mem::take(&mut self.stirred) {
            self.pool.run_actions();
            // Sinks and actions may have added requests, and idle time begins or ends.
            self.rest_until = if self.active == self.upgraded {
                let machine = &self.pool.state.lock().machine;
                machine.idle_deadline(self.id).map(Instant::from_std)
            } else {
                None
            };
            if self.arm(self.rest_until) {
                self.clock.wake();
            }
        }
        None
    }

    // --- the pool's side ---

    /// Takes the pool's messages for this connection.
    fn receive(&mut self) -> Option<End> {
        self.inbox.reset();
        self.mailbox
            .answer(self.lease.requests(), || self.conn.traffic());
        let (close, first, more) = {
            let mut inner = self.mailbox.inner.lock();
            inner.waker = Some(self.inbox.waker().clone());
            if let Some(reason) = inner.close {
                // What was assigned meanwhile stays: the lease returns it.
                (Some(reason), None, VecDeque::new())
            } else {
                (None, inner.job.take(), std::mem::take(&mut inner.more))
            }
        };
        if let Some(reason) = close {
            return Some(self.close(reason));
        }
        for (request, job) in first.into_iter().chain(more) {
            self.admit(request, job);
        }
        self.open_streams();
        None
    }

    fn admit(&mut self, request: RequestId, job: Box<Job>) {
        let info = ExchangeInfo::new(self.id, self.lease.requests() > 0);
        let exchange = StreamExchange::new(job, request, info, &self.pool.config.exchange);
        let index = self.free.pop().unwrap_or_else(|| {
            let index = self.slots.len() as u32;
            self.slots.push(Slot {
                waker: self.ready.waker(index),
                exchange: None,
            });
            index
        });
        let slot = &mut self.slots[index as usize];
        exchange.job.command.attach(slot.waker.waker());
        if exchange.job.command.is_cancelled() {
            // The cancel may have happened before the waker was registered.
            slot.waker.wake();
        }
        let deadline = exchange.deadline();
        slot.exchange = Some(exchange);
        self.active += 1;
        self.rest_until = None;
        if self.arm(deadline) {
            self.clock.wake();
        }
        self.unopened.push_back(index);
    }

    /// Opens streams for waiting exchanges, as far as the peer allows.
    fn open_streams(&mut self) {
        if self.ping.is_probing() || self.lost.is_some() {
            return;
        }
        let inbox = self.inbox.waker().clone();
        let mut cx = Context::from_waker(&inbox);
        while let Some(&index) = self.unopened.front() {
            let Some(exchange) = &mut self.slots[index as usize].exchange else {
                self.unopened.pop_front();
                continue;
            };
            if exchange.is_open() {
                // The slot was freed and reused.
                self.unopened.pop_front();
                continue;
            }
            let extended = exchange.job.request.kind == RequestKind::Upgrade;
            if self.opened >= self.conn.limit() || (extended && !self.conn.is_settled()) {
                return;
            }
            if self.opened == 0
                && let Err(ended) = self.conn.check(&mut cx)
            {
                return self.lose(ended);
            }
            match self.conn.poll_ready(&mut cx, &exchange.job.request) {
                // The driver reports why.
                Poll::Pending | Poll::Ready(false) => return,
                Poll::Ready(true) => {}
            }
            self.unopened.pop_front();
            let (conn, config) = (&mut self.conn, &self.pool.config.exchange);
            // It requests the first bytes of its body from a sink.
            let opened = catch_unwind(AssertUnwindSafe(|| exchange.open(conn, config)));
            match opened {
                Ok(Ok(())) => {
                    self.opened += 1;
                    self.slots[index as usize].waker.wake();
                }
                Ok(Err(NotOpened::Refused(error))) => {
                    self.finish(index, StreamFinish::Failed(error));
                }
                Ok(Err(NotOpened::Closed)) => {
                    self.unopened.push_front(index);
                    return;
                }
                Err(_panic) => self.panicked(index),
            }
        }
    }

    /// The pool wants the connection closed.
    fn close(&mut self, reason: CloseReason) -> End {
        let error = match reason {
            CloseReason::PoolDestroyed => destroyed(),
            _ => Error::new(ErrorKind::Socket, Phase::Send, "closed")
                .with_socket(self.conn.socket_info()),
        };
        let is_active = self.active > 0;
        for index in 0..self.slots.len() as u32 {
            if self.slots[index as usize].exchange.is_some() {
                self.finish(index, StreamFinish::Failed(error.clone()));
            }
        }
        self.conn.finish();
        // Streams are reset and GOAWAY is sent, as far as the socket accepts them immediately.
        let driver = self.driver.waker().clone();
        let _said = self.conn.poll_drive(&mut Context::from_waker(&driver));
        (reason, is_active.then_some(error))
    }

    /// Returns requests without a stream to the pool: all, or those beyond this number.
    fn return_unopened(&mut self, keep: usize) {
        while self.active > keep
            && let Some(index) = self.unopened.pop_back()
        {
            let slot = &mut self.slots[index as usize];
            if slot.exchange.as_ref().is_some_and(|e| !e.is_open())
                && let Some(exchange) = self.vacate(index)
            {
                self.give_back(exchange);
            }
        }
    }

    fn give_back(&mut self, exchange: StreamExchange<C>) {
        let StreamExchange { request, job, .. } = exchange;
        self.pool.give_back(self.id, After::GoOn, request, job);
        self.stirred = true;
    }

    // --- the peer's side ---

    /// Reads and writes, and reports changes to the pool.
    fn drive(&mut self) {
        self.driver.reset();
        let driver = self.driver.waker().clone();
        if let Driven::Ended(ended) = self.conn.poll_drive(&mut Context::from_waker(&driver)) {
            return self.lose(ended);
        }
        if let Some(failure) = self.conn.goaway_failure() {
            return self.lose((CloseReason::PeerClosed, failure));
        }
        if !self.leaving
            && let Some(reason) = self.conn.is_leaving()
        {
            self.leave(reason);
        }
        if !self.conn.is_settled() {
            return;
        }
        let limit = self.conn.limit();
        if limit != self.limit {
            self.limit = limit;
            self.refit(limit);
        }
    }

    /// The peer allows this many streams from now on.
    fn refit(&mut self, limit: usize) {
        let most = self.limits.streams as usize;
        // If no stream is allowed at all, requests wait here, each with its headers timeout
        // running.
        let places = if limit == 0 { most } else { limit.min(most) };
        self.pool
            .state
            .lock()
            .machine
            .handle_concurrency(self.id, places as u32, now());
        self.stirred = true;
        let (conn, streams) = (self.id, limit.min(most) as u32);
        let event = Event::Concurrency { conn, streams };
        contain(|| self.pool.events.event(event));
        self.return_unopened(places);
        self.open_streams();
    }

    /// The pool gives the connection no more requests.
    fn drain(&mut self, reason: CloseReason) {
        self.leaving = true;
        let mut state = self.pool.state.lock();
        state.machine.handle_draining(self.id, reason, now());
    }

    /// The connection accepts no more requests; those with a stream continue.
    fn leave(&mut self, reason: CloseReason) {
        self.drain(reason);
        self.stirred = true;
        self.return_unopened(0);
    }

    /// The connection has ended. Complete responses are still delivered; the rest fails, or moves
    /// to another connection.
    fn lose(&mut self, ended: (CloseReason, Error)) {
        if self.lost.is_some() {
            return;
        }
        let reason = ended.0;
        self.lost = Some(ended);
        self.drain(reason);
        for index in 0..self.slots.len() as u32 {
            self.poll_slot(index, false);
        }
        // With nothing left, dropping the lease lets the queue continue, after the disconnect.
        self.stirred |= self.active > 0;
    }
}
