//! The TCP leg: from a list of addresses to one connected socket, racing them as in RFC 8305. QUIC
//! races them in the same way.
//!
//! Called by the connector. Must not know names, TLS or deadlines: dropping the future closes every
//! attempt that is still open.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dodici_pool::{ConnectConfig, Error, ErrorKind, Family, Phase, Replay};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::allow;
use super::deadline::timeout_error;
use super::errors::socket_error;
use super::hooks::ConnectHooks;
use crate::clock::{before, or_look};

/// One TCP leg. `run` is called once; after a timeout, `tried` still returns what was tried.
pub(super) struct Dialer<'a> {
    config: &'a ConnectConfig,
    hooks: Option<&'a ConnectHooks>,
    candidates: Vec<SocketAddr>,
    started: usize,
}

type Attempt<'a, T> = Pin<Box<dyn Future<Output = (usize, Result<T, Error>)> + Send + 'a>>;

impl<'a> Dialer<'a> {
    /// `addresses` must not be empty. Their ports are used unchanged.
    pub(super) fn new(config: &'a ConnectConfig, addresses: &[SocketAddr]) -> Self {
        Self {
            config,
            hooks: None,
            candidates: order(addresses, config),
            started: 0,
        }
    }

    /// Asks the caller's rule about each address, and prepares each socket with the caller's hook.
    pub(super) fn hooked(mut self, hooks: &'a ConnectHooks) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Connects. On failure: the error, or for several addresses an error with all attempts in the
    /// order in which they were started.
    pub(super) async fn run(&mut self, host: &'a str, port: u16) -> Result<TcpStream, Error> {
        let (config, hooks) = (self.config, self.hooks);
        let dial = |address| dial(address, host, config, hooks);
        self.run_with(host, port, dial).await
    }

    /// The same with another way to connect to an address.
    pub(super) async fn run_with<T: 'a, F>(
        &mut self,
        host: &'a str,
        port: u16,
        dial: impl Fn(SocketAddr) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'a,
    {
        if let [only] = self.candidates[..] {
            self.started = 1;
            return dial(only).await;
        }
        let config = self.config;
        let mut pending: Vec<Attempt<'a, T>> = Vec::new();
        let mut failures: Vec<(usize, Error)> = Vec::new();
        loop {
            if let Some(&address) = self.candidates.get(self.started) {
                let index = self.started;
                self.started += 1;
                let dialled = dial(address);
                pending.push(Box::pin(async move { (index, dialled.await) }));
            } else if pending.is_empty() {
                failures.sort_by_key(|(index, _)| *index);
                let attempts = failures.into_iter().map(|(_, error)| error).collect();
                return Err(self.aggregate(attempts, host, port));
            }
            let more = self.started < self.candidates.len();
            let settled = if more && config.race {
                let settled = poll_fn(|cx| poll_attempts(&mut pending, cx));
                match Instant::now().checked_add(config.attempt_delay) {
                    Some(next) => before(next, settled).await.ok(),
                    None => Some(settled.await),
                }
            } else {
                Some(poll_fn(|cx| poll_attempts(&mut pending, cx)).await)
            };
            match settled {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((index, Err(error))) => failures.push((index, error)),
                None => {}
            }
        }
    }

    #[cfg(test)]
    pub(super) fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Addresses tried so far, `address:port`, if this leg had more than one.
    pub(super) fn tried(&self) -> Vec<String> {
        if self.candidates.len() < 2 {
            return Vec::new();
        }
        let tried = self.candidates.iter().take(self.started);
        tried
            .map(|at| format!("{}:{}", at.ip(), at.port()))
            .collect()
    }

    /// Node's `AggregateError`: the code of the first attempt, with all attempts inside. If one of
    /// them timed out in the system, undici reports a connect timeout (`core/connect.js`).
    fn aggregate(&self, attempts: Vec<Error>, host: &str, port: u16) -> Error {
        let timed_out = |error: &Error| error.system().is_some_and(|s| s.code == "ETIMEDOUT");
        if attempts.iter().any(timed_out) {
            let timeout = self.config.timeout.unwrap_or_default();
            return timeout_error(timeout, Phase::Connect, host, port, &self.tried())
                .with_attempts(attempts);
        }
        let messages: Vec<&str> = attempts.iter().map(Error::message).collect();
        let first = attempts.first().and_then(Error::system);
        let mut detail = first.cloned().unwrap_or_default();
        detail.address = None;
        detail.port = None;
        let refused = |error: &Error| error.kind() == ErrorKind::AddressNotAllowed;
        let kind = if attempts.iter().all(refused) {
            ErrorKind::AddressNotAllowed
        } else {
            ErrorKind::Connect
        };
        Error::new(kind, Phase::Connect, messages.join("; "))
            .with_replay(Replay::Unsent)
            .with_system(detail)
            .with_attempts(attempts)
    }
}

/// Polls all attempts; the first that settles is taken out of the list.
fn poll_attempts<T>(
    pending: &mut Vec<Attempt<'_, T>>,
    cx: &mut Context<'_>,
) -> Poll<(usize, Result<T, Error>)> {
    for position in 0..pending.len() {
        if let Poll::Ready(settled) = pending[position].as_mut().poll(cx) {
            drop(pending.remove(position));
            return Poll::Ready(settled);
        }
    }
    Poll::Pending
}

/// Candidates in the order they are tried: families alternate, beginning with that of the first
/// address (RFC 8305, section 4). Addresses that `localAddress` can never reach are skipped unless
/// there are no others, in which case the system's error is reported.
fn order(addresses: &[SocketAddr], config: &ConnectConfig) -> Vec<SocketAddr> {
    let mut usable = addresses.to_vec();
    if config.family != Family::Any && usable.len() > 1 {
        let wanted_v4 = config.family == Family::V4;
        retain_or_keep_all(&mut usable, |address| address.is_ipv4() == wanted_v4);
    }
    if let Some(local) = config.local_address {
        retain_or_keep_all(&mut usable, |address| address.is_ipv4() == local.is_ipv4());
    }
    let first_is_v4 = usable.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = usable
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(addresses.len());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return ordered;
        }
        ordered.extend(one);
        ordered.extend(other);
    }
}

fn retain_or_keep_all(addresses: &mut Vec<SocketAddr>, keep: impl Fn(&SocketAddr) -> bool) {
    if addresses.iter().any(&keep) {
        addresses.retain(keep);
    }
}

/// One attempt. Cancelling it closes its socket.
async fn dial(
    address: SocketAddr,
    host: &str,
    config: &ConnectConfig,
    hooks: Option<&ConnectHooks>,
) -> Result<TcpStream, Error> {
    if let Some(hooks) = hooks {
        allow::check(&hooks.allow, address.ip(), host).await?;
    }
    let connect_error = |error| socket_error(error, "connect", address);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(connect_error)?;
    socket.set_nonblocking(true).map_err(connect_error)?;
    if let Some(hook) = hooks.and_then(|hooks| hooks.socket.as_ref()) {
        hook.prepare(SockRef::from(&socket))
            .map_err(connect_error)?;
    }
    if let Some(service) = config.type_of_service {
        set_type_of_service(&socket, address, service).map_err(connect_error)?;
    }
    if config.local_address.is_some() || config.local_port != 0 {
        let any = match address {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let local = SocketAddr::new(config.local_address.unwrap_or(any), config.local_port);
        bind(&socket, local).map_err(|error| socket_error(error, "bind", local))?;
    }
    let stream = connect(socket, address).await.map_err(connect_error)?;
    // If the peer has already reset the connection, these fail; the first read will report it.
    let _ = tune(&stream, config);
    Ok(stream)
}

/// As libuv: a port whose last connection is still in TIME_WAIT may be bound to.
fn bind(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())
}

fn set_type_of_service(socket: &Socket, address: SocketAddr, service: u8) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(u32::from(service)),
        #[cfg(unix)]
        SocketAddr::V6(_) => socket.set_tclass_v6(u32::from(service)),
        #[cfg(not(unix))]
        SocketAddr::V6(_) => Ok(()),
    }
}

/// Like tokio's, except that it checks the socket itself when a deadline has passed.
async fn connect(socket: Socket, address: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let stream = TcpStream::from_std(socket.into())?;
    poll_fn(|cx| {
        or_look(
            stream.poll_write_ready(cx),
            |()| 0,
            || match (stream.take_error()?, stream.peer_addr()) {
                (Some(error), _) => Err(error),
                (None, Ok(_)) => Ok(()),
                (None, Err(_)) => Err(io::ErrorKind::WouldBlock.into()),
            },
        )
    })
    .await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

fn tune(stream: &TcpStream, config: &ConnectConfig) -> io::Result<()> {
    if config.no_delay {
        stream.set_nodelay(true)?;
    }
    if let Some(idle) = config.keep_alive_probe {
        // libuv's values (uv__tcp_keepalive): one probe per second, dead after ten unanswered.
        let probes = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(Duration::from_secs(1))
            .with_retries(10);
        SockRef::from(stream).set_tcp_keepalive(&probes)?;
    }
    Ok(())
}
