//! A TCP proxy that breaks a connection at an exact byte from the server to the client.
//!
//! It forwards bytes without parsing them, so it works in front of TLS, too. After exactly
//! [`Fault::after`] bytes towards the client it resets, ends or stalls the connection; before
//! that it may dribble or split the bytes. The other direction is never changed.
//! Nothing here depends on time.

use std::net::SocketAddr;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::stream::PeerClose;
use crate::watched::{Signal, Watched};

/// What happens to the bytes of one connection from the server to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes towards the client before the action. The offset counts from the start of the
    /// connection, not of a response. At 0 the action waits for the server's first byte, so that
    /// the request is known to have been sent.
    pub after: u64,
    /// What then happens.
    pub action: FaultAction,
    /// How the bytes before it are written.
    pub pacing: Pacing,
}

impl Fault {
    /// Forwards everything.
    pub const NONE: Self = Self {
        after: u64::MAX,
        action: FaultAction::Stall,
        pacing: Pacing::Whole,
    };

    /// This action after this many bytes.
    pub const fn at(after: u64, action: FaultAction) -> Self {
        Self {
            after,
            action,
            pacing: Pacing::Whole,
        }
    }

    /// Forwards everything, written like this.
    pub const fn paced(pacing: Pacing) -> Self {
        Self {
            pacing,
            ..Self::NONE
        }
    }
}

/// What a fault does to the connection with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultAction {
    /// RST. Bytes that did not fit into the client's receive window yet are lost with it.
    Reset,
    /// FIN; what the client sends is still forwarded.
    Fin,
    /// Silence; what the client sends is still forwarded.
    Stall,
}

/// How bytes towards the client are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// As they arrive.
    Whole,
    /// One byte per write.
    Dribble,
    /// No write crosses this offset.
    Split(u64),
}

impl Pacing {
    /// How many of the next `len` bytes may go into one write at offset `sent`.
    fn step(self, sent: u64, len: usize) -> usize {
        match self {
            Self::Dribble => 1,
            Self::Split(at) if sent < at => len.min(usize::try_from(at - sent).unwrap_or(len)),
            Self::Whole | Self::Split(_) => len,
        }
    }
}

/// What a proxy did with one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxiedLog {
    /// Bytes written towards the client.
    pub to_client: u64,
    /// Bytes forwarded to the server.
    pub to_server: u64,
    /// Whether the fault's action was carried out.
    pub fault_done: bool,
    /// How the client ended the connection, once it did.
    pub client_close: Option<PeerClose>,
    /// Both directions have ended.
    pub done: bool,
}

/// The proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    log: Watched<Vec<ProxiedLog>>,
    stop: Signal,
    accept: JoinHandle<()>,
}

impl FaultProxy {
    /// Applies `fault` to every connection.
    pub async fn start(upstream: SocketAddr, fault: Fault) -> Self {
        Self::start_with(upstream, move |_| fault).await
    }

    /// Applies `plan(index)` to each connection; the index counts from 0 in the order of
    /// acceptance.
    pub async fn start_with(
        upstream: SocketAddr,
        plan: impl Fn(usize) -> Fault + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be bound");
        let address = listener.local_addr().expect("it is bound");
        let log = Watched::<Vec<ProxiedLog>>::default();
        let stop = Signal::new();
        let (shared, stopped) = (log.clone(), stop.clone());
        let accept = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("accept on loopback");
                let index = shared.update(|log| {
                    log.push(ProxiedLog::default());
                    log.len() - 1
                });
                let link = Link {
                    index,
                    fault: plan(index),
                    log: shared.clone(),
                };
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = link.serve(client, upstream) => {}
                        () = stopped.raised() => {}
                    }
                });
            }
        });
        Self {
            address,
            log,
            stop,
            accept,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Reports of all connections so far.
    pub fn log(&self) -> Vec<ProxiedLog> {
        self.log.read(Vec::clone)
    }

    /// Resolves with the first `Some` that `look` finds in the reports.
    pub async fn wait<R>(&self, mut look: impl FnMut(&[ProxiedLog]) -> Option<R>) -> R {
        self.log.wait(|log| look(log)).await
    }

    /// Resolves once the fault of connection `index` has happened.
    pub async fn fault_done(&self, index: usize) {
        self.wait(|log| log.get(index)?.fault_done.then_some(()))
            .await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.stop.raise();
    }
}

/// One proxied connection.
struct Link {
    index: usize,
    fault: Fault,
    log: Watched<Vec<ProxiedLog>>,
}

impl Link {
    async fn serve(self, client: TcpStream, upstream: SocketAddr) {
        // If the server refuses, the client sees its connection end at byte 0, as behind any
        // other TCP proxy.
        if let Ok(server) = TcpStream::connect(upstream).await {
            // Nagle's algorithm would merge what pacing keeps apart.
            client.set_nodelay(true).expect("TCP_NODELAY can be set");
            server.set_nodelay(true).expect("TCP_NODELAY can be set");
            self.forward_both(client, server).await;
        }
        self.update(|log| log.done = true);
    }

    async fn forward_both(&self, client: TcpStream, server: TcpStream) {
        let (from_server, to_server) = server.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        {
            let mut upward = pin!(self.to_server(&mut from_client, to_server));
            let mut downward = pin!(self.to_client(&mut to_client, from_server));
            let mut upward_over = false;
            let ended = loop {
                tokio::select! {
                    () = &mut upward, if !upward_over => upward_over = true,
                    ended = &mut downward => break ended,
                }
                if self.log.read(|log| log[self.index].client_close) == Some(PeerClose::Reset) {
                    break Ended::ClientGone;
                }
            };
            match ended {
                Ended::Open if !upward_over => return upward.await,
                Ended::Open | Ended::ClientGone => return,
                Ended::Reset => {}
            }
        }
        to_client
            .as_ref()
            .set_zero_linger()
            .expect("SO_LINGER can be set");
        // Dropping the write half would send a FIN before the RST that the read half then sends.
        to_client.forget();
    }

    /// Forwards to the client up to the fault.
    async fn to_client(&self, client: &mut OwnedWriteHalf, mut server: OwnedReadHalf) -> Ended {
        let Fault {
            after,
            action,
            pacing,
        } = self.fault;
        let mut buffer = vec![0; 64 * 1024];
        let mut sent = 0_u64;
        loop {
            if sent == after {
                if sent == 0 {
                    // After an error there are bytes, or their end, too.
                    let _ = server.peek(&mut [0]).await;
                }
                self.update(|log| log.fault_done = true);
                return match action {
                    FaultAction::Reset => Ended::Reset,
                    FaultAction::Fin => fin(client).await,
                    FaultAction::Stall => Ended::Open,
                };
            }
            let room = usize::try_from(after - sent)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let len = match server.read(&mut buffer[..room]).await {
                // A server's RST is passed on as one, so that it stays different from a FIN.
                Err(_) => return Ended::Reset,
                Ok(0) => return fin(client).await,
                Ok(len) => len,
            };
            let mut at = 0;
            while at < len {
                let step = pacing.step(sent, len - at);
                if client.write_all(&buffer[at..at + step]).await.is_err() {
                    return Ended::ClientGone;
                }
                at += step;
                sent += step as u64;
                self.update(|log| log.to_client = sent);
                if pacing != Pacing::Whole {
                    // Lets the reader run between two writes if both share one thread.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Forwards to the server until the client ends.
    async fn to_server(&self, client: &mut OwnedReadHalf, mut server: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let close = match client.read(&mut buffer).await {
                Ok(0) => PeerClose::Fin,
                Err(error) => PeerClose::from_error(&error),
                Ok(len) => {
                    self.update(|log| log.to_server += len as u64);
                    // A server that no longer reads does not end the client's direction.
                    let _ = server.write_all(&buffer[..len]).await;
                    continue;
                }
            };
            self.update(|log| log.client_close = Some(close));
            let _ = server.shutdown().await;
            return;
        }
    }

    fn update(&self, change: impl FnOnce(&mut ProxiedLog)) {
        self.log.update(|log| change(&mut log[self.index]));
    }
}

/// How the direction towards the client ended.
enum Ended {
    /// To be closed with RST.
    Reset,
    /// Nothing more is sent; what the client sends is still forwarded until it closes.
    Open,
    /// The client is gone: the rest is dropped.
    ClientGone,
}

async fn fin(client: &mut OwnedWriteHalf) -> Ended {
    // If this fails, the client is gone, which the other direction notices.
    let _ = client.shutdown().await;
    Ended::Open
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::scripted::ScriptedPeer;
    use crate::watched::within;

    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn upstream() -> ScriptedPeer {
        ScriptedPeer::tcp().await.replies(vec![REPLY])
    }

    async fn send_request(proxy: &FaultProxy) -> TcpStream {
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(GET).await.unwrap();
        client
    }

    #[tokio::test]
    async fn reset_follows_exactly_the_given_bytes() {
        let peer = upstream().await;
        for after in 0..=REPLY.len() {
            let fault = Fault::at(after as u64, FaultAction::Reset);
            let proxy = FaultProxy::start(peer.address().tcp(), fault).await;
            let mut client = send_request(&proxy).await;
            let mut got = Vec::new();
            let error = within("reset", client.read_to_end(&mut got))
                .await
                .unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::ConnectionReset,
                "after {after}"
            );
            assert_eq!(got, &REPLY[..after]);
            within("fault", proxy.fault_done(0)).await;
            assert_eq!(proxy.log()[0].to_client, after as u64);
        }
        peer.finish().await;
    }

    #[tokio::test]
    async fn fin_follows_exactly_the_given_bytes_and_requests_still_pass() {
        let peer = upstream().await;
        for after in 0..=REPLY.len() {
            let fault = Fault::at(after as u64, FaultAction::Fin);
            let proxy = FaultProxy::start(peer.address().tcp(), fault).await;
            let mut client = send_request(&proxy).await;
            let mut got = Vec::new();
            within("fin", client.read_to_end(&mut got)).await.unwrap();
            assert_eq!(got, &REPLY[..after]);
            client.write_all(b"late").await.unwrap();
            let want = (GET.len() + 4) as u64;
            within(
                "late",
                proxy.wait(|log| (log[0].to_server == want).then_some(())),
            )
            .await;
            drop(client);
            within("end", proxy.wait(|log| log[0].done.then_some(()))).await;
        }
        peer.finish().await;
    }

    #[tokio::test]
    async fn stall_holds_the_connection_until_the_client_gives_up() {
        let peer = upstream().await;
        let proxy = FaultProxy::start(peer.address().tcp(), Fault::at(7, FaultAction::Stall)).await;
        let mut client = send_request(&proxy).await;
        let mut got = [0; 7];
        within("bytes", client.read_exact(&mut got)).await.unwrap();
        within("fault", proxy.fault_done(0)).await;
        let mut more = [0; 1];
        let silent = client.try_read(&mut more).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        assert!(!proxy.log()[0].done);
        drop(client);
        within("end", proxy.wait(|log| log[0].done.then_some(()))).await;
        assert_eq!(proxy.log()[0].client_close, Some(PeerClose::Fin));
        peer.finish().await;
    }

    #[tokio::test]
    async fn pacing_changes_no_byte() {
        let peer = upstream().await;
        let mut pacings = vec![Pacing::Whole, Pacing::Dribble];
        pacings.extend((0..=REPLY.len() as u64).map(Pacing::Split));
        for pacing in pacings {
            let proxy = FaultProxy::start(peer.address().tcp(), Fault::paced(pacing)).await;
            let mut client = send_request(&proxy).await;
            let mut got = vec![0; REPLY.len()];
            within("reply", client.read_exact(&mut got)).await.unwrap();
            assert_eq!(got, REPLY);
        }
        peer.finish().await;
    }

    #[test]
    fn no_write_crosses_the_split() {
        assert_eq!(Pacing::Split(5).step(0, 10), 5);
        assert_eq!(Pacing::Split(5).step(3, 10), 2);
        assert_eq!(Pacing::Split(5).step(5, 10), 10);
        assert_eq!(Pacing::Dribble.step(9, 10), 1);
    }

    #[tokio::test]
    async fn a_plan_gives_each_connection_its_own_fault() {
        let peer = upstream().await;
        let proxy = FaultProxy::start_with(peer.address().tcp(), |index| match index {
            0 => Fault::at(3, FaultAction::Fin),
            _ => Fault::NONE,
        })
        .await;
        let mut got = Vec::new();
        let mut client = send_request(&proxy).await;
        within("fin", client.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, b"HTT");
        let mut client = send_request(&proxy).await;
        let mut got = vec![0; REPLY.len()];
        within("reply", client.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, REPLY);
        peer.finish().await;
    }

    #[tokio::test]
    async fn a_reset_by_the_server_is_passed_on_as_one() {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.read_head().await;
            conn.send("x").await;
            conn.reset();
        });
        let proxy = FaultProxy::start(peer.address().tcp(), Fault::NONE).await;
        let mut client = send_request(&proxy).await;
        let mut got = Vec::new();
        let error = within("reset", client.read_to_end(&mut got))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        peer.finish().await;
    }
}
