//! Requests that share a connection in flight.

mod bodies;
mod ends;
mod faults;
mod joining;
mod wire;

use std::num::NonZeroU32;

use dodici::OriginConfig;
use dodici_testkit::{Call, Client, within};

/// One connection, this many requests on it.
pub(super) fn depth(pipelining: u32) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.pool.max_connections = NonZeroU32::new(1);
    config.pool.pipelining = pipelining;
    config
}

/// A response whose body is its number.
pub(super) fn numbered(n: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nX-N: {n}\r\nContent-Length: 1\r\n\r\n{n}")
}

/// A connected client with this many requests, dispatched together.
pub(super) fn gets(client: &Client, count: usize) -> Vec<Call> {
    (0..count).map(|n| client.get(&format!("/{n}"))).collect()
}

pub(super) async fn bodies(calls: impl IntoIterator<Item = &Call>) -> Vec<String> {
    let mut bodies = Vec::new();
    for call in calls {
        let seen = within("response", call.ended()).await;
        bodies.push(String::from_utf8(seen.body).unwrap());
    }
    bodies
}
