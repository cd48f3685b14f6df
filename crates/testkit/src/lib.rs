//! Support code of dodici's tests: peers that do exactly what a test says, and recorders that
//! see exactly what the engine did.
//!
//! - [`scripted`]: raw HTTP/1 peer on TCP, TLS or a unix socket; one async script per connection,
//!   written with the operations of [`conn`].
//! - [`h2`]: raw HTTP/2 on such a connection, frames written by hand.
//! - [`h3`]: raw HTTP/3 on QUIC, a small real HTTP/3 server, a relay of datagrams with faults.
//! - [`origin`]: small real HTTP/1.1 server that logs the id of every request it executed.
//! - [`fault_proxy`]: TCP proxy that resets, ends or stalls a response at an exact byte.
//! - [`shapes`]: response shapes as exact bytes, with what a correct client makes of them.
//! - [`certs`]: certificate authority, good and bad server certificates, client identities.
//! - [`recording`]: recorders of one request's callbacks and of a pool's events.
//! - [`client`]: a pool whose events and results are recorded; [`config`]: its configurations.
//! - [`name_server`]: a name server that knows a few names, on UDP.
//! - `process`: a client that a test can stop and continue, on unix.
//! - [`timings`]: requests that are timed, and the order of their times.
//! - [`traces`]: a recorder of spans and events of the `tracing` crate.
//! - [`figures`]: measurements of long runs, for tables.
//! - [`wire`]: JavaScript's half of the boundary's codec.
//! - [`watched`], [`stream`], [`message`]: the building blocks of these.
//!
//! A failure inside the kit (a panicking script, a second terminal call) is never swallowed: it
//! fails the test at `finish()`, or at the latest when the object is dropped.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "a broken fixture must fail the test that uses it, at the line that broke"
)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

pub mod certs;
pub mod client;
pub mod config;
pub mod conn;
pub mod fault_proxy;
pub mod figures;
pub mod h2;
pub mod h3;
pub mod message;
pub mod name_server;
pub mod origin;
pub mod peer_log;
#[cfg(unix)]
pub mod process;
pub mod recording;
pub mod scripted;
pub mod shapes;
pub mod stream;
pub mod timings;
pub mod traces;
pub mod watched;
pub mod wire;

pub use certs::{Authority, Leaf, ServerTls};
pub use client::{Call, Client};
pub use config::with;
pub use conn::Conn;
pub use fault_proxy::{Fault, FaultAction, FaultProxy, Pacing};
pub use h2::H2Peer;
pub use h3::conn::H3Peer;
pub use h3::origin::H3Origin;
pub use h3::quic::QuicPeer;
pub use h3::relay::UdpRelay;
pub use message::{RequestBody, RequestHead};
pub use origin::TestOrigin;
pub use recording::{Recorder, Recording, RecordingSink, Terminal};
pub use scripted::{OK, ScriptedPeer};
pub use shapes::{Expected, Shape, Verdict};
pub use stream::{Address, PeerClose};
pub use watched::{Signal, Watched, within};
