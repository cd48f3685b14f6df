//! The exchanges of an HTTP/2 or HTTP/3 connection: each is polled in its slot, and ends without the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;

use dodici_pool::{Error, ErrorKind, HeaderBlock, Outcome};

use super::Multiplex;
use crate::clock::past_the_reactor;
use crate::conn::Multiplexed;
use crate::exchange::{Loss, StreamExchange, StreamFinish, StreamStep};
use crate::origin::{contain, now};

impl<C: Multiplexed> Multiplex<C> {
    pub(super) fn poll_slot(&mut self, index: u32, expired: bool) {
        let slot = &mut self.slots[index as usize];
        slot.waker.reset();
        let Some(exchange) = &mut slot.exchange else {
            return;
        };
        let config = &self.pool.config.exchange;
        let lost = self.lost.as_ref().map(|(_, error)| error);
        let conn = &mut self.conn;
        let mut cx = Context::from_waker(slot.waker.waker());
        // A sink that panics ends its own request only.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            exchange.poll(&mut cx, conn, config, expired, lost)
        }));
        match polled {
            Ok(StreamStep::Wait) => {
                let deadline = exchange.deadline();
                if self.arm(deadline) {
                    self.clock.wake();
                }
            }
            Ok(StreamStep::Upgrade) => self.upgrade(index),
            Ok(StreamStep::Look) => {
                past_the_reactor(|| self.drive());
                self.poll_slot(index, expired);
                if let Some(exchange) = &self.slots[index as usize].exchange {
                    exchange.job.command.looked();
                }
            }
            Ok(StreamStep::Finished(finish)) => self.finish(index, finish),
            Err(_panic) => self.panicked(index),
        }
    }

    /// The sink of an exchange has panicked: only this exchange ends.
    pub(super) fn panicked(&mut self, index: u32) {
        if let Some(exchange) = self.vacate(index) {
            self.release(&exchange);
            // Its drop reports to the sink that there is no response.
            contain(|| drop(exchange));
        }
    }

    fn upgrade(&mut self, index: u32) {
        let Some(exchange) = &mut self.slots[index as usize].exchange else {
            return;
        };
        // As in undici, the pool is done with the request before the caller has the stream.
        let request = exchange.request;
        self.pool
            .state
            .lock()
            .machine
            .handle_pinned(self.id, request, now());
        self.stirred = true;
        self.upgraded += 1;
        self.lease.count_request();
        let head = self.conn.head();
        contain(|| exchange.upgrade(head));
        self.slots[index as usize].waker.wake();
    }

    /// Takes an exchange out of its slot.
    pub(super) fn vacate(&mut self, index: u32) -> Option<StreamExchange<C>> {
        let exchange = self.slots[index as usize].exchange.take()?;
        self.free.push(index);
        self.active -= 1;
        if exchange.is_open() {
            self.opened -= 1;
            self.conn.forget(exchange.info.stream);
            // A slot is free for another one.
            if !self.unopened.is_empty() {
                self.inbox.wake();
            }
        }
        Some(exchange)
    }

    /// Reports to the pool that an exchange is over. Its queue continues at the end of the round.
    pub(super) fn release(&mut self, exchange: &StreamExchange<C>) {
        let machine = &mut self.pool.state.lock().machine;
        if exchange.is_upgraded() {
            self.upgraded -= 1;
            machine.handle_unpinned(self.id, now());
        } else {
            let outcome = Outcome::Reusable { hint: None };
            machine.handle_released(self.id, exchange.request, outcome, now());
        }
        self.stirred = true;
    }

    pub(super) fn finish(&mut self, index: u32, finish: StreamFinish) {
        let given_up = matches!(finish, StreamFinish::Failed(_))
            && self.slots[index as usize]
                .exchange
                .as_ref()
                .is_some_and(StreamExchange::is_upgraded);
        if given_up {
            // The connection would drop what the caller handed over before it cancelled the stream.
            self.drive();
        }
        let Some(mut exchange) = self.vacate(index) else {
            return;
        };
        match finish {
            StreamFinish::Replay(error) => {
                let loss = if exchange.is_open() {
                    let most = self.limits.replays;
                    Loss::Unprocessed { most }
                } else {
                    let reused = self.lost.is_none() || self.lease.requests() > 0;
                    Loss::Unsent { reused }
                };
                if exchange.job.goes_again(&loss) {
                    self.give_back(exchange);
                } else {
                    self.fail(exchange, error);
                }
            }
            StreamFinish::Failed(error) => self.fail(exchange, error),
            StreamFinish::Done(trailers) => {
                self.lease.count_request();
                self.release(&exchange);
                self.end(exchange, &trailers);
            }
            StreamFinish::StreamEnded => {
                self.release(&exchange);
                drop(exchange);
            }
        }
    }

    #[expect(clippy::unused_self, reason = "reads like the other ends")]
    fn end(&self, mut exchange: StreamExchange<C>, trailers: &HeaderBlock) {
        // Reported only now that its slot is free, so that a request dispatched in response finds
        // it.
        contain(|| exchange.job.settle.end(trailers));
    }

    fn fail(&mut self, mut exchange: StreamExchange<C>, error: Error) {
        let timed_out = matches!(
            error.kind(),
            ErrorKind::HeadersTimeout
                | ErrorKind::BodyTimeout
                | ErrorKind::BodyTooSlow
                | ErrorKind::TotalTimeout
        );
        if timed_out && self.lost.is_none() {
            self.probe(exchange.current_timeout());
        }
        self.release(&exchange);
        contain(|| exchange.job.settle.error(error));
    }
}
