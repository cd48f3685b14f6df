//! The scripted QUIC peer: how it listens, greets and ends.
//!
//! It runs one script per connection, once its handshake is done. A script that panics fails the
//! test: at [`QuicPeer::finish`], or when the peer is dropped.

use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, ServerConfig,
    TokioRuntime, TransportConfig,
};
use tokio::task::JoinHandle;

use super::code;
use super::conn::H3Peer;
use super::log::{End, QuicConnectionLog, QuicLog};
use super::shared::{Shared, var};
use crate::certs::ServerTls;
use crate::message::checksum;
use crate::scripted::guarded;
use crate::watched::{Signal, Watched};

/// The peer. Dropping it ends all scripts and connections.
#[derive(Debug)]
pub struct QuicPeer {
    address: SocketAddr,
    endpoint: Endpoint,
    log: Watched<QuicLog>,
    stop: Signal,
    accept: JoinHandle<()>,
}

/// How an attempt to connect is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// With a handshake.
    Accept,
    /// With Retry (RFC 9000, section 8.1.2).
    Retry,
    /// With CONNECTION_REFUSED.
    Refuse,
    /// Not at all.
    Ignore,
}

/// How a [`QuicPeer`] listens; made by [`QuicPeer::listen`].
pub struct Builder {
    socket: UdpSocket,
    tls: ServerTls,
    endpoint: EndpointConfig,
    transport: TransportConfig,
    greet: Box<dyn Fn(usize) -> Greeting + Send>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Where it will listen.
    ///
    /// # Panics
    /// If the socket has no address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// Changes limits, windows and timers.
    #[must_use]
    pub fn transport(mut self, change: impl FnOnce(&mut TransportConfig)) -> Self {
        change(&mut self.transport);
        self
    }

    /// Answers attempts, which are numbered from 0, in other ways than with a handshake.
    #[must_use]
    pub fn greet(mut self, greet: impl Fn(usize) -> Greeting + Send + 'static) -> Self {
        self.greet = Box::new(greet);
        self
    }

    /// Speaks these versions of QUIC alone; answers others with Version Negotiation.
    #[must_use]
    pub fn versions(mut self, versions: &[u32]) -> Self {
        self.endpoint.supported_versions(versions.to_vec());
        self
    }

    /// Starts; runs `script` once for each connection. When a script returns, its connection stays
    /// as it is until the client closes it or the peer ends.
    ///
    /// # Panics
    /// If the TLS configuration is not one for QUIC.
    pub fn run<F, Fut>(mut self, script: F) -> QuicPeer
    where
        F: Fn(H3Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = self.address();
        self.endpoint
            .reset_key(Arc::new(ResetKey))
            .cid_generator(|| Box::new(ConnectionIds));
        let endpoint = Endpoint::new(
            self.endpoint,
            Some(server_config(&self.tls, self.transport)),
            self.socket,
            Arc::new(TokioRuntime),
        )
        .expect("an endpoint on a bound socket");
        let log = Watched::<QuicLog>::default();
        let stop = Signal::new();
        let worker = Worker {
            log: log.clone(),
            stop: stop.clone(),
        };
        let accepting = endpoint.clone();
        let greet = self.greet;
        let accept = tokio::spawn(async move {
            let script = Arc::new(script);
            while let Some(incoming) = accepting.accept().await {
                let attempt = worker.log.update(|log| {
                    log.attempts += 1;
                    log.attempts - 1
                });
                match greet(attempt) {
                    Greeting::Accept => {}
                    Greeting::Retry => {
                        incoming.retry().expect("an address that is not validated");
                        continue;
                    }
                    Greeting::Refuse => {
                        incoming.refuse();
                        continue;
                    }
                    Greeting::Ignore => {
                        incoming.ignore();
                        continue;
                    }
                }
                let index = worker.log.update(|log| {
                    log.connections.push(QuicConnectionLog::default());
                    log.running += 1;
                    log.connections.len() - 1
                });
                let (worker, script) = (worker.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    let stopped = worker.stop.clone();
                    let served = guarded(worker.serve(index, incoming, script.as_ref()));
                    let failure = tokio::select! {
                        outcome = served => outcome.err(),
                        () = stopped.raised() => None,
                    };
                    worker.log.update(|log| {
                        log.running -= 1;
                        log.failures
                            .extend(failure.map(|text| format!("connection {index}: {text}")));
                    });
                });
            }
        });
        QuicPeer {
            address,
            endpoint,
            log,
            stop,
            accept,
        }
    }

    /// Answers every request with a 200 and this body, whatever its path.
    pub fn always(self, body: &'static str) -> QuicPeer {
        self.run(move |mut peer| async move {
            peer.begin(&[]).await;
            while let Some((mut stream, _)) = peer.next_request().await {
                stream.respond(200, &[], body).await;
            }
        })
    }
}

impl QuicPeer {
    /// Listens on a free UDP port of 127.0.0.1; with the configuration of [`ServerTls::http3`].
    ///
    /// # Panics
    /// If there is no port left.
    pub fn listen(tls: ServerTls) -> Builder {
        Self::listen_at(tls, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Listens on this UDP address.
    ///
    /// # Panics
    /// If it is taken.
    pub fn listen_at(tls: ServerTls, address: SocketAddr) -> Builder {
        Builder {
            socket: UdpSocket::bind(address).expect("a free port"),
            tls,
            endpoint: EndpointConfig::default(),
            transport: TransportConfig::default(),
            greet: Box::new(|_| Greeting::Accept),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// UDP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A copy of the log as it is now.
    pub fn log(&self) -> QuicLog {
        self.log.read(QuicLog::clone)
    }

    /// Resolves with the first `Some` that `look` finds in the log. Panics if a script panics,
    /// rather than wait for what cannot happen any more.
    pub async fn wait<R>(&self, mut look: impl FnMut(&QuicLog) -> Option<R>) -> R {
        let found = self
            .log
            .wait(|log| match look(log) {
                Some(found) => Some(Ok(found)),
                None => (!log.failures.is_empty()).then(|| Err(log.failures.join("; "))),
            })
            .await;
        found.unwrap_or_else(|failures| panic!("a script failed: {failures}"))
    }

    /// Resolves once `count` handshakes are done.
    pub async fn established(&self, count: usize) {
        self.wait(|log| {
            let all = log.connections.iter();
            (all.filter(|one| one.established).count() >= count).then_some(())
        })
        .await;
    }

    /// Resolves with how connection `index` ended.
    pub async fn end(&self, index: usize) -> End {
        self.wait(|log| log.connections.get(index)?.end.clone())
            .await
    }

    /// Closes what is left with H3_NO_ERROR, and cancels the scripts that are still running.
    ///
    /// # Panics
    /// If any script panicked.
    pub async fn finish(mut self) -> QuicLog {
        self.stop_all();
        match (&mut self.accept).await {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        self.log.wait(|log| (log.running == 0).then_some(())).await;
        let log = self.log.update(|log| {
            let copy = log.clone();
            log.failures.clear();
            copy
        });
        assert!(
            log.failures.is_empty(),
            "a script failed: {}",
            log.failures.join("; ")
        );
        log
    }

    fn stop_all(&self) {
        self.accept.abort();
        self.endpoint.close(var(code::NO_ERROR), b"");
        self.stop.raise();
    }
}

impl Drop for QuicPeer {
    fn drop(&mut self) {
        self.stop_all();
        if !std::thread::panicking() {
            let failures = self.log.read(|log| log.failures.join("; "));
            assert!(failures.is_empty(), "a script failed: {failures}");
        }
    }
}

/// What the task of each connection needs.
#[derive(Clone)]
struct Worker {
    log: Watched<QuicLog>,
    stop: Signal,
}

impl Worker {
    async fn serve<F, Fut>(&self, index: usize, incoming: Incoming, script: &F)
    where
        F: Fn(H3Peer) -> Fut,
        Fut: Future<Output = ()>,
    {
        let note = |change: &mut dyn FnMut(&mut QuicConnectionLog)| {
            self.log.update(|log| change(&mut log.connections[index]));
        };
        let connection = match incoming.await {
            Ok(connection) => connection,
            Err(error) => {
                let end = End::from(error);
                return note(&mut |log| log.end = Some(end.clone()));
            }
        };
        let data = connection.handshake_data();
        let server_name = data
            .and_then(|data| data.downcast::<HandshakeData>().ok())
            .and_then(|data| data.server_name);
        note(&mut |log| {
            log.server_name.clone_from(&server_name);
            log.established = true;
        });
        let shared = Shared::new(index, self.log.clone(), connection.clone());
        let ended = async {
            let end = End::from(connection.closed().await);
            note(&mut |log| log.end = Some(end.clone()));
        };
        let script = script(H3Peer::new(shared.clone()));
        tokio::join!(script, shared.read_unidirectional(), ended);
    }
}

pub(super) fn server_config(tls: &ServerTls, transport: TransportConfig) -> ServerConfig {
    let crypto = QuicServerConfig::try_from(tls.config()).expect("TLS 1.3");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    config
}

/// The key of stateless resets (RFC 9000, section 10.3.2). It is the same for all peers, so that
/// any of them resets the connections of another whose datagrams reach it.
struct ResetKey;

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        for (at, byte) in signature.iter_mut().enumerate() {
            *byte = checksum(&[data, &[at as u8]].concat()) as u8;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut expected = vec![0; signature.len()];
        self.sign(data, &mut expected);
        (expected == signature).then_some(()).ok_or(CryptoError)
    }
}

/// Connection ids that no two peers of a process share.
struct ConnectionIds;

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ConnectionId::new(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
