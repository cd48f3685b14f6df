//! The proxy leg, between TCP and TLS to the origin: TLS to the proxy, then `CONNECT` or SOCKS.
//!
//! - `http_tunnel`: `CONNECT` and its response head. `socks`: SOCKS 4, 4a and 5.
//!
//! Called by the connector. Must not know the proxy's addresses or what runs through the tunnel.
//! Not one byte after the proxy's last reply is consumed: whatever it sends then stays in the
//! stream, where TLS or the connection's checkout rejects it.
//!
//! Dropping the future closes the connection to the proxy.

mod http_tunnel;
mod socks;

use std::sync::Arc;

use dodici_pool::{
    ConnectConfig, Error, ErrorKind, Origin, Phase, Proxy, ProxyInfo, ProxyProtocol, Replay,
    Scheme, SocksResolve, SystemDetail,
};
use tokio::time::Instant;

use self::http_tunnel::HttpTunnel;
use self::socks::Socks;
use super::deadline::Deadline;
use super::errors::bad_option;
use super::hooks::ConnectHooks;
use super::socket::Socket;
use super::tls::TlsLeg;

/// The route through one proxy to one origin. Everything sent to the proxy is checked and encoded
/// here, once.
pub(super) struct ProxyLeg {
    host: String,
    port: u16,
    tls: Option<TlsLeg>,
    request: Request,
}

/// How the proxy is used.
enum Request {
    /// Without a tunnel: it forwards the HTTP requests.
    Nothing,
    HttpTunnel(HttpTunnel),
    Socks(Socks),
}

impl ProxyLeg {
    /// The caller's hooks apply to TLS to the proxy, and to lookups for SOCKS.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is wrong, never containing a credential.
    pub(super) fn new(
        proxy: &Proxy,
        target: &Origin,
        config: &ConnectConfig,
        hooks: &ConnectHooks,
    ) -> Result<Self, Error> {
        let itself = Origin::new(Scheme::Https, &proxy.host, proxy.port);
        let tls = match (&proxy.tls, &hooks.tls) {
            (None, _) => None,
            (Some(tls), None) => Some(TlsLeg::new(
                &itself,
                tls,
                &hooks.roots,
                hooks.identity.as_ref(),
                true,
            )?),
            (Some(tls), Some(client)) => {
                // A proxy is spoken to in HTTP/1.1, whatever is offered to the origin.
                let mut client = rustls::ClientConfig::clone(client);
                client.alpn_protocols.clone_from(&tls.alpn);
                Some(TlsLeg::preconfigured(&itself, tls, Arc::new(client))?)
            }
        };
        let mut request = match &proxy.protocol {
            ProxyProtocol::HttpForward if target.scheme == Scheme::Https => {
                return Err(bad_option("proxy", "https origins need a tunnel"));
            }
            ProxyProtocol::HttpForward => Request::Nothing,
            ProxyProtocol::HttpTunnel { headers } => {
                Request::HttpTunnel(HttpTunnel::new(target, headers, proxy.any_success)?)
            }
            ProxyProtocol::Socks5 { resolve } => {
                Request::Socks(Socks::v5(target, *resolve, proxy.credentials.as_ref())?)
            }
            ProxyProtocol::Socks4 { resolve } => {
                Request::Socks(Socks::v4(target, *resolve, proxy.credentials.as_ref())?)
            }
        };
        if let Request::Socks(socks) = &mut request {
            socks.names.clone_from(&hooks.resolve);
            socks.allow.clone_from(&hooks.allow_proxied);
            socks.cache.clone_from(&config.dns_cache);
        }
        Ok(Self {
            host: proxy.host.clone(),
            port: proxy.port,
            tls,
            request,
        })
    }

    /// From a connected socket to an open tunnel. `reach` limits the TLS handshake with the proxy,
    /// `deadline` everything.
    pub(super) async fn open(
        &self,
        socket: Socket,
        reach: Deadline,
        deadline: Deadline,
    ) -> Result<(Socket, ProxyInfo), Error> {
        let timed_out = |at: Deadline| move |_| at.error(Phase::Proxy, &self.host, self.port, &[]);
        let begun = Instant::now();
        let mut info = ProxyInfo::default();
        let mut socket = match &self.tls {
            None => socket,
            Some(leg) => {
                let shaken = reach.run(leg.handshake(socket)).await;
                let failed = |error| self.tls_failed(error);
                let (stream, tls) = shaken.map_err(timed_out(reach))?.map_err(failed)?;
                info.tls = Some(tls);
                Socket::Tunnel(stream)
            }
        };
        match &self.request {
            Request::Nothing => {}
            Request::HttpTunnel(tunnel) => {
                let asked = deadline.run(tunnel.ask(&mut socket)).await;
                info.answer = Some(asked.map_err(timed_out(deadline))??);
            }
            Request::Socks(socks) => {
                let asked = deadline.run(socks.ask(&mut socket)).await;
                asked.map_err(timed_out(deadline))??;
            }
        }
        info.time = begun.elapsed();
        Ok((socket, info))
    }

    /// undici has a specific error for an HTTP proxy whose certificate has other names
    /// (`lib/dispatcher/proxy-agent.js`); all other failures of that handshake are unchanged.
    fn tls_failed(&self, error: Error) -> Error {
        // Callers may know other TLS than rustls.
        if error.phase() == Phase::TlsHello {
            return error;
        }
        let error = error.with_phase(Phase::Proxy);
        let code = error.system().map(|system| &*system.code);
        let is_socks = matches!(self.request, Request::Socks(_));
        if is_socks || code != Some("ERR_TLS_CERT_ALTNAME_INVALID") {
            return error;
        }
        Error::new(
            ErrorKind::ProxyTls,
            Phase::Proxy,
            "Secure Proxy Connection failed",
        )
        .with_replay(Replay::Unsent)
        .with_attempts(vec![error])
    }
}

impl std::fmt::Debug for ProxyLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyLeg")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Reading from or writing to the proxy failed.
fn broken(error: &std::io::Error, syscall: &'static str) -> Error {
    let (message, detail) = super::describe_io_error(error, syscall);
    Error::new(ErrorKind::Socket, Phase::Proxy, message)
        .with_replay(Replay::Unsent)
        .with_system(detail)
}

/// A proxy error with undici's code.
fn refused(kind: ErrorKind, code: String, message: String) -> Error {
    Error::new(kind, Phase::Proxy, message)
        .with_replay(Replay::Unsent)
        .with_system(SystemDetail::new(code))
}

/// A host that is unambiguous in a `CONNECT` line or a SOCKS request.
fn check_host(host: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte > b' ' && byte != 0x7f && !b"/\\@?#".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(bad_option("proxy", "the origin's host is not valid"));
    }
    Ok(())
}
