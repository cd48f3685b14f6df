//! QUIC instead of TCP and TLS: the addresses are raced as for TCP, each with a handshake.
//!
//! Called by the connector. Must not know HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;

use dodici_pool::{
    Congestion, ConnectConfig, ConnectInfo, Error, ErrorKind, Http3Config, Http3Mode, Phase,
    Protocol, Replay, TlsInfo,
};
use quinn_proto::congestion::{BbrConfig, CubicConfig, NewRenoConfig};
use quinn_proto::{
    ClientConfig, ConnectionError, Endpoint, EndpointConfig, Event, RandomConnectionIdGenerator,
    TokenMemoryCache, TransportConfig, VarInt,
};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::time::Instant;

use super::deadline::Deadline;
use super::errors::{bad_option, socket_error};
use super::hooks::{ConnectHooks, SocketHook};
use super::quic::{Early, EarlyAddress, Progress, Quic, Udp};
use super::tcp::Dialer;
use super::tls::TlsLeg;
use super::tls::quic::{QuicTls, Seen, quic_error};
use super::{Connector, allow};

/// Unidirectional streams that the peer may have open: control, and two of QPACK (RFC 9114, section
/// 6.2), and some of types that we do not know.
const PEER_STREAMS: u32 = 8;

/// Bytes of request bodies that a connection holds by default: a window of 4 MiB sends 40 MB/s at
/// 100 ms.
const SEND_WINDOW: u32 = 4 * 1024 * 1024;

/// Retry and NEW_TOKEN tokens that are kept: of the last two connections to the origin.
const TOKENS: usize = 2;

/// QUIC handshakes for one pool key, including its sessions.
pub(super) struct QuicLeg {
    tls: QuicTls,
    endpoint: Arc<EndpointConfig>,
    transport: Arc<TransportConfig>,
    tokens: Arc<TokenMemoryCache>,
    /// `None` if no early data is wanted.
    early: Option<EarlyAddress>,
}

impl fmt::Debug for QuicLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicLeg").finish_non_exhaustive()
    }
}

/// Adds QUIC to a connector.
///
/// # Errors
/// `InvalidRequest` if the origin or its options exclude it.
pub(super) fn add(mut connector: Connector, config: &Http3Config) -> Result<Connector, Error> {
    let always = config.mode == Http3Mode::PriorKnowledge;
    let Some(tls) = &connector.tls else {
        return match always {
            true => Err(bad_option("http3", "it needs an https origin")),
            false => Ok(connector),
        };
    };
    if connector.proxy.is_some() || connector.config.socket_path.is_some() {
        return match always {
            true => Err(bad_option("http3", "it needs a direct connection")),
            false => Ok(connector),
        };
    }
    let sessions = connector.config.tls.max_cached_sessions;
    connector.quic = Some(QuicLeg::new(tls, sessions, config)?);
    Ok(connector)
}

impl QuicLeg {
    fn new(tls: &TlsLeg, sessions: u32, config: &Http3Config) -> Result<Self, Error> {
        let mut endpoint = EndpointConfig::default();
        // Each connection has a socket of its own, whose port tells whose packets arrive.
        endpoint.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
        Ok(Self {
            tls: tls.over_quic(config.early_data, sessions)?,
            endpoint: Arc::new(endpoint),
            transport: Arc::new(transport(config)?),
            tokens: Arc::new(TokenMemoryCache::new(1, TOKENS)),
            // A server's identity that the caller judges is not known before.
            early: (config.early_data && !tls.is_judged()).then(EarlyAddress::default),
        })
    }

    /// One attempt. Cancelling it closes its socket. `early`: when the handshake must be complete, if
    /// the attempt may succeed before.
    async fn dial(
        &self,
        tls: &TlsLeg,
        peer: SocketAddr,
        host: &str,
        config: &ConnectConfig,
        hooks: &ConnectHooks,
        early: Option<Deadline>,
    ) -> Result<(Box<Quic>, TlsInfo), Error> {
        allow::check(&hooks.allow, peer.ip(), host).await?;
        let opening = Opening::new(peer, config, hooks);
        let socket = opening.open()?;
        let mut seen = Seen::default();
        let mut client = ClientConfig::new(self.tls.crypto());
        client
            .transport_config(Arc::clone(&self.transport))
            .token_store(Arc::<TokenMemoryCache>::clone(&self.tokens));
        let mut endpoint = Endpoint::new(
            Arc::clone(&self.endpoint),
            None,
            !socket.may_fragment(),
            None,
        );
        let now = Instant::now().into_std();
        let (handle, conn) = endpoint
            .connect(now, client, peer, self.tls.name())
            .map_err(|error| {
                Error::new(ErrorKind::Connect, Phase::Connect, format!("QUIC: {error}"))
                    .with_replay(Replay::Unsent)
            })?;
        let mut quic = Box::new(Quic::new(endpoint, handle, conn, socket, peer));
        quic.reopen_with(move || opening.open().ok());
        if let (Some(address), Some(deadline)) = (&self.early, early)
            && quic.conn.has_0rtt()
            && address.take(peer)
        {
            quic.begin_early(Early {
                address: address.clone(),
                until: deadline.at(),
            });
            let info = tls.finish_quic(&quic.conn, &self.tls, &seen).await?;
            return Ok((quic, info));
        }
        std::future::poll_fn(|cx| {
            loop {
                match seen.during(|| quic.poll(cx)) {
                    Progress::Event(Event::Connected) => return Poll::Ready(Ok(())),
                    Progress::Event(Event::ConnectionLost { reason }) => {
                        return Poll::Ready(Err(match reason {
                            ConnectionError::TimedOut => {
                                socket_error(std::io::ErrorKind::TimedOut.into(), "connect", peer)
                            }
                            reason => quic_error(&reason, &mut seen),
                        }));
                    }
                    Progress::Event(_) => {}
                    Progress::Failed(error) => {
                        return Poll::Ready(Err(socket_error(error, "connect", peer)));
                    }
                    Progress::Nothing => return Poll::Pending,
                }
            }
        })
        .await?;
        if let Some(early) = &self.early {
            early.learn(peer);
        }
        let info = tls.finish_quic(&quic.conn, &self.tls, &seen).await?;
        Ok((quic, info))
    }
}

impl Connector {
    /// Opens a QUIC connection to the origin, at its own address or `at` the one of an alternative
    /// service (RFC 7838), whose certificate must be the origin's; all legs together take at most
    /// the configured timeout.
    ///
    /// Dropping the future closes whatever is open.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub(crate) async fn connect_quic(
        &self,
        at: Option<(&str, u16)>,
    ) -> Result<(Box<Quic>, ConnectInfo), Error> {
        let (Some(leg), Some(tls)) = (&self.quic, &self.tls) else {
            return Err(bad_option("http3", "it is off"));
        };
        let started = Instant::now();
        let mut deadlines = self.deadlines(started);
        let (host, port) = at.unwrap_or_else(|| self.first_hop());
        let addresses = self.lookup(host, port, &mut deadlines).await?;
        let begun = Instant::now();
        let deadline = deadlines.all;
        let mut dialer = Dialer::new(&self.config, &addresses.found);
        // An alternative must answer first, or it would hide that it cannot.
        let early = at.is_none().then_some(deadline);
        let dial = |peer| leg.dial(tls, peer, host, &self.config, &self.hooks, early);
        let dialled = deadline.run(dialer.run_with(host, port, dial)).await;
        let (quic, tls) =
            dialled.map_err(|_| deadline.error(Phase::Connect, host, port, &dialer.tried()))??;
        let mut info = ConnectInfo::new(Protocol::Http3);
        let (local, remote) = quic.addresses();
        (info.local, info.remote) = (local, Some(remote));
        info.tls = Some(tls);
        info.timings.started = Some(started.into_std());
        info.timings.dns = addresses.dns;
        info.timings.tls = Some(begun.elapsed());
        info.timings.total = started.elapsed();
        Ok((quic, info))
    }
}

fn transport(config: &Http3Config) -> Result<TransportConfig, Error> {
    let mut made = TransportConfig::default();
    let streams = config.max_concurrent_streams.max(1);
    let window = config.stream_window.max(1);
    let all = config
        .connection_window
        .unwrap_or_else(|| window.saturating_mul(streams));
    let idle = match config.idle_timeout {
        None => None,
        Some(timeout) => Some(timeout.try_into().map_err(|_| {
            let why = "the idle timeout is too long";
            bad_option("http3", why)
        })?),
    };
    made.max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PEER_STREAMS))
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u32(all))
        .send_window(u64::from(config.send_window.unwrap_or(SEND_WINDOW)))
        .max_idle_timeout(idle)
        .datagram_receive_buffer_size(None);
    match config.congestion {
        Congestion::Cubic => {
            made.congestion_controller_factory(Arc::new(CubicConfig::default()));
        }
        Congestion::NewReno => {
            made.congestion_controller_factory(Arc::new(NewRenoConfig::default()));
        }
        Congestion::Bbr => {
            made.congestion_controller_factory(Arc::new(BbrConfig::default()));
        }
    }
    Ok(made)
}

/// What a UDP socket is opened with: as those of TCP.
#[derive(Clone)]
struct Opening {
    peer: SocketAddr,
    local: SocketAddr,
    hook: Option<Arc<dyn SocketHook>>,
}

impl Opening {
    fn new(peer: SocketAddr, config: &ConnectConfig, hooks: &ConnectHooks) -> Self {
        let any = match peer {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        Self {
            peer,
            local: SocketAddr::new(config.local_address.unwrap_or(any), config.local_port),
            hook: hooks.socket.clone(),
        }
    }

    fn open(&self) -> Result<Udp, Error> {
        let failed = |error| socket_error(error, "connect", self.peer);
        let domain = Domain::for_address(self.peer);
        let protocol = Some(socket2::Protocol::UDP);
        let socket = Socket::new(domain, Type::DGRAM, protocol).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        if let Some(hook) = &self.hook {
            hook.prepare(SockRef::from(&socket)).map_err(failed)?;
        }
        socket
            .bind(&self.local.into())
            .map_err(|error| socket_error(error, "bind", self.local))?;
        Udp::new(socket, self.peer).map_err(failed)
    }
}
