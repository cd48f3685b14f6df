//! Completions: the engine's events of requests and connections become records in the environment's
//! batch.
//!
//! Called by the engine on the I/O thread. Records for a request that has ended from JavaScript's
//! point of view are dropped here.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use bytes::Bytes;
use dodici::{EventSink, ExchangeInfo, Sink};
use dodici_pool::{
    ConnId, Error, ErrorKind, Event, HeaderBlock, Phase, RequestTimings, ResponseHead,
};
use dodici_wire::Target;
use dodici_wire::completion::{
    HeadKind, Over, put_assigned, put_concurrency, put_connect_failed, put_connect_given_up,
    put_connected, put_data, put_disconnected, put_end, put_end_decoded, put_failure, put_head,
    put_large_data, put_pong, put_pool_closed, put_pull, put_timings,
};
use dodici_wire::schema::{Counter, LARGE_CHUNK};

use crate::local::{LocalEnv, put_let_go, with_env};
use crate::{deliver, gather};

/// The Rust side of one request's handler.
pub(crate) struct RequestSink {
    env: u32,
    target: Target,
    /// The request's pool, if JavaScript wants to know the connection.
    reports_to: Option<u32>,
}

impl RequestSink {
    pub(crate) fn new(env: u32, target: Target, reports_to: Option<u32>) -> Self {
        Self {
            env,
            target,
            reports_to,
        }
    }

    fn put(&self, write: impl FnOnce(&mut LocalEnv, Target)) {
        put(self.env, |env| {
            if env.is_wanted(self.target) {
                record(env, self.target, write);
            } else {
                env.shared.counters.add(Counter::StaleCompletions, 1);
            }
        });
    }
}

impl RequestSink {
    /// The request's last record; for a cancelled one, that it was released.
    fn put_last(&self, write: impl FnOnce(&mut LocalEnv, Target)) {
        put(self.env, |env| {
            if env.is_wanted(self.target) {
                record(env, self.target, write);
            } else if env.is_cancelled(self.target) {
                env.batch.put(|out| put_let_go(out, self.target));
            } else {
                env.shared.counters.add(Counter::StaleCompletions, 1);
            }
            env.settle(self.target);
        });
    }
}

fn over(info: &ExchangeInfo) -> Over {
    Over {
        reused: info.reused,
        stream: info.stream,
        decoded: info.decoded,
        last: info.last,
    }
}

impl Sink for RequestSink {
    fn assigned(&mut self, conn: ConnId) {
        let Some(pool) = self.reports_to else {
            return;
        };
        self.put(|env, to| {
            let entry = env.pools.get(&pool);
            if let Some(serial) = entry.and_then(|entry| entry.serial_of(conn)) {
                env.batch.put(|out| put_assigned(out, to, serial));
            }
        });
    }

    fn informational(&mut self, head: &ResponseHead) {
        self.put(|env, to| {
            env.batch
                .put(|out| put_head(out, HeadKind::Informational, to, head, Over::default()));
        });
    }

    fn head(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        self.put(|env, to| {
            env.batch
                .put(|out| put_head(out, HeadKind::Final, to, head, over(info)));
        });
    }

    fn data(&mut self, chunk: Bytes) {
        self.put(|env, to| {
            if chunk.len() < LARGE_CHUNK {
                env.batch.put(|out| put_data(out, to, &chunk));
            } else {
                let external = env.shared.external_buffers;
                let place = env.batch.put_chunk(to, chunk, external);
                env.batch.put(|out| put_large_data(out, to, place));
            }
        });
    }

    fn reads_in_place(&self) -> bool {
        with_env(self.env, |env| env.shared.external_buffers).unwrap_or(false)
    }

    fn read_in_place(
        &mut self,
        most: usize,
        read: &mut dyn FnMut(&mut Vec<u8>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut result = Poll::Pending;
        put(self.env, |env| {
            result = env
                .batch
                .read_chunk(self.target, most, read)
                .map_ok(|place| {
                    place.map_or(0, |place| {
                        if env.is_wanted(self.target) {
                            env.batch.put(|out| put_large_data(out, self.target, place));
                        } else {
                            env.shared.counters.add(Counter::StaleCompletions, 1);
                        }
                        place.length as usize
                    })
                });
        });
        result
    }

    fn end(&mut self, trailers: &HeaderBlock) {
        self.put_last(|env, to| env.batch.put(|out| put_end(out, to, trailers)));
    }

    fn end_decoded(&mut self, trailers: &HeaderBlock, received: u64) {
        self.put_last(|env, to| {
            env.batch
                .put(|out| put_end_decoded(out, to, trailers, received));
        });
    }

    fn error(&mut self, error: Error) {
        self.put_last(|env, to| env.batch.put(|out| put_failure(out, to, &error)));
    }

    fn upgrade(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        self.put(|env, to| {
            env.batch
                .put(|out| put_head(out, HeadKind::Upgrade, to, head, over(info)));
            env.upgrade(to);
        });
    }

    fn pull(&mut self, bytes: u32) {
        self.put(|env, to| env.batch.put(|out| put_pull(out, to, bytes)));
    }

    fn timings(&mut self, timings: &RequestTimings) {
        put(self.env, |env| {
            if env.is_wanted(self.target) || env.is_cancelled(self.target) {
                let serial = timings
                    .conn
                    .and_then(|conn| env.serial_of(self.target, conn));
                let (epoch, to) = (env.shared.epoch, self.target);
                let serial = serial.unwrap_or(0);
                env.batch
                    .put(|out| put_timings(out, to, epoch, serial, timings));
            }
        });
    }
}

/// Fails a request that was not passed to the engine.
pub(crate) fn fail(env: u32, target: Target, error: &Error) {
    put(env, |env| {
        env.settle(target);
        env.batch.put(|out| put_failure(out, target, error));
    });
}

/// The Rust side of one pool's event listeners.
pub(crate) struct PoolEvents {
    env: u32,
    pool: u32,
}

impl PoolEvents {
    pub(crate) fn new(env: u32, pool: u32) -> Self {
        Self { env, pool }
    }
}

impl EventSink for PoolEvents {
    fn event(&self, event: Event) {
        put(self.env, |env| {
            let Some(entry) = env.pools.get_mut(&self.pool) else {
                return;
            };
            let target = |serial| Target {
                slot: self.pool,
                generation: serial,
            };
            let (batch, epoch) = (&mut env.batch, env.shared.epoch);
            match event {
                Event::Connected { conn, info } => {
                    let target = target(entry.connected(conn));
                    batch.put(|out| put_connected(out, target, conn, epoch, &info));
                }
                Event::Disconnected { conn, info } => {
                    if let Some(serial) = entry.disconnected(conn) {
                        batch.put(|out| put_disconnected(out, target(serial), &info));
                    }
                }
                Event::ConnectFailed { error, .. } => {
                    let target = target(entry.next_serial());
                    batch.put(|out| put_connect_failed(out, target, &error));
                }
                Event::ConnectGivenUp { .. } => {
                    let target = target(entry.next_serial());
                    batch.put(|out| put_connect_given_up(out, target));
                }
                Event::Concurrency { conn, streams } => {
                    if let Some(serial) = entry.serial_of(conn) {
                        batch.put(|out| put_concurrency(out, target(serial), streams));
                    }
                }
                Event::Pong { conn, round_trip } => {
                    if let Some(serial) = entry.serial_of(conn) {
                        batch.put(|out| put_pong(out, target(serial), round_trip));
                    }
                }
                Event::Closed => {
                    env.pools.remove(&self.pool);
                    batch.put(|out| put_pool_closed(out, self.pool));
                }
                // `Drain`: JavaScript counts its own requests and knows when there is capacity again.
                // The test below fails for an event that is missing here.
                _ => {}
            }
        });
    }
}

/// Writes to an environment's batch, if it still exists, and hands over the batches if this one has
/// become large, including those of other environments, whose records would otherwise wait as long
/// as this one keeps the thread from parking.
pub(crate) fn put(env: u32, write: impl FnOnce(&mut LocalEnv)) {
    let large = with_env(env, |env| {
        write(env);
        env.batch.is_large()
    });
    gather::noticed();
    if large == Some(true) {
        deliver::hand_over_all();
    }
}

/// Writes one record. If that panics, the request fails instead of waiting for what was lost.
fn record(env: &mut LocalEnv, target: Target, write: impl FnOnce(&mut LocalEnv, Target)) {
    let written = catch_unwind(AssertUnwindSafe(|| write(env, target)));
    if written.is_err() {
        env.settle(target);
        let error = Error::new(
            ErrorKind::Internal,
            Phase::Body,
            "a completion could not be written",
        );
        env.batch.put(|out| put_failure(out, target, &error));
    }
}

#[cfg(test)]
mod tests {
    use dodici_pool::Event;

    /// A new event gets an arm in [`super::PoolEvents`], and then its name here.
    #[test]
    fn every_event_is_handled() {
        let handled = [
            "Connected",
            "Disconnected",
            "ConnectFailed",
            "ConnectGivenUp",
            "Concurrency",
            "Pong",
            "Drain",
            "Closed",
        ];
        assert_eq!(Event::NAMES, handled);
    }
}
