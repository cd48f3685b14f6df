//! Parties, configurations and requests that several of these files use.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use dodici::{Error, Http3Mode, Origin, OriginConfig, RootSource, Scheme};
use dodici_testkit::h3::quic::Builder;
use dodici_testkit::recording::Seen;
use dodici_testkit::{Authority, Client, Leaf, QuicPeer, ServerTls, Terminal};
use tokio::task::JoinHandle;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("dodici test"));
static LEAF: LazyLock<Leaf> = LazyLock::new(|| AUTHORITY.localhost());

/// A peer that [`config`] trusts.
pub(crate) fn listen() -> Builder {
    QuicPeer::listen(tls())
}

pub(crate) fn tls() -> ServerTls {
    ServerTls::http3(&LEAF)
}

/// HTTP/3 from the first request on.
pub(crate) fn config() -> OriginConfig {
    let mut config = OriginConfig::default();
    config.connect.tls.roots = RootSource::Custom(vec![AUTHORITY.pem().as_bytes().to_vec()]);
    config.http3.mode = Http3Mode::PriorKnowledge;
    config
}

/// The same on one connection.
pub(crate) fn single() -> OriginConfig {
    let mut config = config();
    config.pool.max_connections = NonZeroU32::new(1);
    config
}

/// A client of this port of 127.0.0.1.
pub(crate) fn client(port: u16, config: OriginConfig) -> Client {
    Client::to(Origin::new(Scheme::Https, "127.0.0.1", port), config)
}

/// How a request has settled: its body, or its error.
pub(crate) fn outcome(seen: &Seen) -> Result<&[u8], &Error> {
    match &seen.terminal.as_ref().unwrap().1 {
        Terminal::End(_) => Ok(&seen.body),
        Terminal::Error(error) => Err(error),
    }
}

/// While it exists, the runtime's clock stands still, and no timer of the engine fires.
pub(crate) struct Standstill {
    end: Sender<()>,
    held: JoinHandle<()>,
}

impl Standstill {
    /// In a test with one thread.
    pub(crate) fn begin() -> Self {
        tokio::time::pause();
        let (end, ended) = channel();
        // A paused clock jumps to the next timer when all tasks wait, but not while such a thread runs.
        let held = tokio::task::spawn_blocking(move || {
            // After so long something hangs, and the timers may say so.
            let _end = ended.recv_timeout(Duration::from_secs(60));
        });
        Self { end, held }
    }

    pub(crate) async fn end(self) {
        drop(self.end);
        self.held.await.unwrap();
    }
}
