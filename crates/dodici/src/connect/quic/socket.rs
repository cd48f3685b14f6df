//! A UDP socket with the offloads that the system has: several datagrams per call, of one size
//! (GSO, GRO).
//!
//! Owned by one connection, polled by its task. Must not know QUIC.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::Socket;
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;

use crate::clock::or_look;

/// Buffers filled by one call. 8: with GRO, each holds up to 64 datagrams.
const BATCH: usize = 8;

/// Size of a buffer: the largest UDP datagram, or as many of one size as GRO puts into one.
const BUFFER: usize = 64 * 1024;

/// Requested size of the kernel's buffers. 2 MiB: what a peer sends in the 16 ms in which a thread
/// may be busy, at 1 Gbit/s. The system may allow less.
const KERNEL_BUFFER: usize = 2 * 1024 * 1024;

thread_local! {
    /// Shared by the connections of a thread: what was received is copied from it.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// See the module.
pub(in crate::connect) struct Udp {
    io: Arc<UdpSocket>,
    state: UdpSocketState,
    local: Option<SocketAddr>,
    /// Waits for an error, while somebody does.
    error: Option<Pin<Box<dyn Future<Output = io::Result<Ready>> + Send>>>,
}

impl Udp {
    /// Takes over a bound socket that does not block.
    ///
    /// # Errors
    /// Those of the system.
    pub(in crate::connect) fn new(socket: Socket, peer: SocketAddr) -> io::Result<Self> {
        // The system limits both.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
        // Elsewhere, a connected socket does not accept datagrams with an address, which the
        // offloads need.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.connect(&peer.into())?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = peer;
        let io = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&io).into())?;
        Ok(Self {
            local: io.local_addr().ok(),
            io: Arc::new(io),
            state,
            error: None,
        })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Datagrams that one [`Udp::poll_send`] can send.
    pub(super) fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Whether the system may split datagrams, so that their size says nothing about the path.
    pub(in crate::connect) fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    /// Waits for an error that the network reports, such as that nobody listens at the peer's
    /// address. It makes the socket neither readable nor writable, so the runtime wakes no reader.
    pub(super) fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let waiting = self.error.get_or_insert_with(|| {
                let io = Arc::clone(&self.io);
                Box::pin(async move { io.ready(Interest::ERROR).await })
            });
            let ready = ready!(waiting.as_mut().poll(cx));
            self.error = None;
            if let Err(error) = ready {
                return Poll::Ready(error);
            }
            // Taken inside, so that one that comes afterwards is not overlooked.
            let taken = self
                .io
                .try_io(Interest::ERROR, || match self.io.take_error()? {
                    Some(error) => Ok(error),
                    None => Err(io::ErrorKind::WouldBlock.into()),
                });
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(error) | Err(error) => return Poll::Ready(error),
            }
        }
    }

    /// Nobody waits for an error any more.
    pub(super) fn ignore_errors(&mut self) {
        self.error = None;
    }

    /// Receives what there is, with one system call, and passes each buffer to `take`. Returns the
    /// number of bytes.
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&RecvMeta, &[u8]),
    ) -> Poll<io::Result<usize>> {
        RECEIVED.with_borrow_mut(|memory| {
            memory.resize(BATCH * BUFFER, 0);
            let mut metas = [RecvMeta::default(); BATCH];
            let count = {
                let mut rest = memory.chunks_exact_mut(BUFFER);
                let mut buffers: [IoSliceMut<'_>; BATCH] =
                    std::array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
                ready!(self.poll_batch(cx, &mut buffers, &mut metas))?
            };
            let mut bytes = 0;
            for (meta, buffer) in metas[..count].iter().zip(memory.chunks_exact(BUFFER)) {
                bytes += meta.len;
                take(meta, &buffer[..meta.len]);
            }
            Poll::Ready(Ok(bytes))
        })
    }

    fn poll_batch(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.io.poll_recv_ready(cx)?.is_pending() {
                let receive = || self.state.recv((&*self.io).into(), buffers, metas);
                return or_look(Poll::Pending, |count| *count * BUFFER, receive);
            }
            let received = self.io.try_io(Interest::READABLE, || {
                self.state.recv((&*self.io).into(), buffers, metas)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    /// Sends datagrams of one size.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        transmit: &Transmit<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let sent = self.io.try_io(Interest::WRITABLE, || {
                self.state.try_send((&*self.io).into(), transmit)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.io.poll_send_ready(cx))?;
                }
                sent => return Poll::Ready(sent),
            }
        }
    }
}
