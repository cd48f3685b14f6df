//! A raw HTTP/1 peer that follows a test's script byte for byte.
//!
//! It listens on loopback TCP or a unix socket, with TLS or without, and runs one async script
//! per connection. It logs what every connection received, how its handshake went and how the
//! other side ended it. A script that panics fails the test: at [`ScriptedPeer::finish`], or when
//! the peer is dropped.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::HandshakeKind;
use tokio::task::JoinHandle;

use crate::certs::ServerTls;
use crate::conn::Conn;
use crate::peer_log::{ConnectionLog, PeerLog, TlsFacts};
use crate::stream::{Address, Listener, PeerClose, Socket, Stream};
use crate::watched::{Signal, Watched};

/// A small response that leaves its connection reusable.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The peer. Dropping it ends all scripts; see the module on failures.
#[derive(Debug)]
pub struct ScriptedPeer {
    address: Address,
    log: Watched<PeerLog>,
    stop: Signal,
    accept: JoinHandle<()>,
}

/// How a [`ScriptedPeer`] listens; made by [`ScriptedPeer::tcp`] and [`ScriptedPeer::unix`].
#[derive(Debug)]
pub struct Builder {
    listener: Listener,
    tls: Option<ServerTls>,
}

impl Builder {
    /// Speaks TLS. A handshake that fails is logged, and its script does not run.
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Starts accepting; runs `script` once for each connection. When a script returns, its
    /// connection is closed cleanly: FIN, then the other side's bytes are drained until it
    /// closes too.
    pub fn run<F, Fut>(self, script: F) -> ScriptedPeer
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Self { listener, tls } = self;
        let address = listener.address();
        let log = Watched::<PeerLog>::default();
        let stop = Signal::new();
        let worker = Worker {
            log: log.clone(),
            stop: stop.clone(),
        };
        let accept = tokio::spawn(async move {
            let script = Arc::new(script);
            loop {
                let socket = listener.accept().await.expect("accept on loopback");
                let index = worker.log.update(|log| {
                    log.connections.push(ConnectionLog::default());
                    log.running += 1;
                    log.connections.len() - 1
                });
                let (worker, script, tls) = (worker.clone(), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    let stopped = worker.stop.clone();
                    let served = guarded(worker.serve(index, socket, tls, script.as_ref()));
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
        ScriptedPeer {
            address,
            log,
            stop,
            accept,
        }
    }

    /// Runs `first` on the first connection and answers every request on later ones with [`OK`];
    /// notes the targets of those.
    pub fn first_then_ok<F, Fut>(self, first: F) -> (ScriptedPeer, Watched<Vec<String>>)
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let later = Watched::<Vec<String>>::default();
        let (first, targets) = (Arc::new(first), later.clone());
        let peer = self.run(move |mut conn| {
            let (first, targets) = (Arc::clone(&first), targets.clone());
            async move {
                if conn.index() == 0 {
                    return first(conn).await;
                }
                conn.answer_all(OK, |head| {
                    targets.update(|targets| targets.push(head.target.clone()));
                })
                .await;
            }
        });
        (peer, later)
    }

    /// Answers every request with `reply`.
    pub fn always(self, reply: impl AsRef<[u8]> + Send + Sync + 'static) -> ScriptedPeer {
        let reply = Arc::new(reply);
        self.run(move |mut conn| {
            let reply = Arc::clone(&reply);
            async move { conn.answer_all(reply.as_ref().as_ref(), |_| ()).await }
        })
    }

    /// Answers the n-th request head of each connection with the n-th of `replies`, then keeps
    /// reading until the other side closes. Request bodies are read and dropped.
    pub fn replies<R: AsRef<[u8]> + Send + Sync + 'static>(self, replies: Vec<R>) -> ScriptedPeer {
        let replies = Arc::new(replies);
        self.run(move |mut conn| {
            let replies = Arc::clone(&replies);
            async move {
                for reply in replies.iter() {
                    let Some(head) = conn.next_head().await else {
                        return;
                    };
                    conn.read_body(&head).await;
                    conn.send(reply.as_ref()).await;
                }
                conn.closed().await;
            }
        })
    }
}

impl ScriptedPeer {
    /// Listens on a free TCP port of 127.0.0.1.
    pub async fn tcp() -> Builder {
        Builder {
            listener: Listener::tcp().await,
            tls: None,
        }
    }

    /// Listens on this TCP address, for instance `[::1]:0`.
    pub async fn tcp_at(address: &str) -> Builder {
        Builder {
            listener: Listener::tcp_at(address).await,
            tls: None,
        }
    }

    /// Listens on a fresh unix socket.
    pub fn unix() -> Builder {
        Builder {
            listener: Listener::unix(),
            tls: None,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// TCP port.
    ///
    /// # Panics
    /// On a unix socket.
    pub fn port(&self) -> u16 {
        self.address.tcp().port()
    }

    /// A copy of the log as it is now.
    pub fn log(&self) -> PeerLog {
        self.log.read(PeerLog::clone)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.log.read(|log| log.connections.len())
    }

    /// Resolves with the first `Some` that `look` finds in the log. Panics if a script panics,
    /// rather than wait for what cannot happen any more.
    pub async fn wait<R>(&self, mut look: impl FnMut(&PeerLog) -> Option<R>) -> R {
        let found = self
            .log
            .wait(|log| match look(log) {
                Some(found) => Some(Ok(found)),
                None => (!log.failures.is_empty()).then(|| Err(log.failures.join("; "))),
            })
            .await;
        found.unwrap_or_else(|failures| panic!("a script failed: {failures}"))
    }

    /// Resolves once `count` connections were accepted.
    pub async fn connections(&self, count: usize) {
        self.wait(|log| (log.connections.len() >= count).then_some(()))
            .await;
    }

    /// Resolves with how the other side ended connection `index`. The script must be reading.
    pub async fn peer_close(&self, index: usize) -> PeerClose {
        self.wait(|log| log.connections.get(index)?.peer_close)
            .await
    }

    /// Stops listening and cancels the scripts that are still running.
    ///
    /// # Panics
    /// If any script panicked.
    pub async fn finish(mut self) -> PeerLog {
        self.stop.raise();
        self.end().await
    }

    /// Stops listening and waits until every script has returned.
    ///
    /// # Panics
    /// If any script panicked.
    pub async fn join(mut self) -> PeerLog {
        self.end().await
    }

    async fn end(&mut self) -> PeerLog {
        self.accept.abort();
        // Once the task has ended, no connection can be accepted, so `running` only falls.
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
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        self.accept.abort();
        self.stop.raise();
        if !std::thread::panicking() {
            let failures = self.log.read(|log| log.failures.join("; "));
            assert!(failures.is_empty(), "a script failed: {failures}");
        }
    }
}

/// What the task of each connection needs.
#[derive(Clone)]
struct Worker {
    log: Watched<PeerLog>,
    stop: Signal,
}

impl Worker {
    async fn serve<F, Fut>(&self, index: usize, socket: Socket, tls: Option<ServerTls>, script: &F)
    where
        F: Fn(Conn) -> Fut,
        Fut: Future<Output = ()>,
    {
        let stream = match Stream::accept(socket, tls.as_ref()).await {
            Ok(stream) => stream,
            Err(error) => {
                self.log.update(|log| {
                    log.connections[index].handshake_error = Some(error.to_string());
                });
                return;
            }
        };
        let facts = tls_facts(&stream);
        self.log.update(|log| log.connections[index].tls = facts);
        let (conn, returned) = Conn::new(index, self.log.clone(), stream);
        script(conn).await;
        if let Ok(mut io) = returned.await {
            io.linger().await;
        }
    }
}

fn tls_facts(stream: &Stream) -> Option<TlsFacts> {
    let Stream::Tls(stream) = stream else {
        return None;
    };
    let session = stream.get_ref().1;
    Some(TlsFacts {
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        tls12: session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2),
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
        server_name: session.server_name().map(str::to_owned),
        client_cert: session.peer_certificates().is_some(),
    })
}

/// Runs a future and turns a panic in it into its message.
pub(crate) async fn guarded<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(panic_message(payload.as_ref()))),
        },
    )
    .await
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        })
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
#[path = "scripted_tests.rs"]
mod tests;
