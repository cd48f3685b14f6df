//! Connecting to an origin through a proxy.
//!
//! Part of [`ConnectConfig`](super::config::ConnectConfig) and so of the pool key: a connection is
//! never shared between two proxies, nor between two users of one proxy. Read by the connector.
//! Which origins use which proxy (`NO_PROXY` and the like) is decided by the Node and reqwest APIs.

use std::fmt;
use std::time::Duration;

use super::headers::HeaderBlock;
use super::tls::{TlsConfig, TlsInfo};

/// A proxy, its protocol and credentials.
///
/// `Debug` prints neither credentials nor header values.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Proxy {
    /// The protocol it speaks.
    pub protocol: ProxyProtocol,
    /// Its host name or address, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS to the proxy itself; `None` for plain text. TLS to the origin, inside the tunnel, is
    /// [`ConnectConfig::tls`](super::config::ConnectConfig::tls), as without a proxy.
    pub tls: Option<TlsConfig>,
    /// User name and password for SOCKS (RFC 1929; SOCKS4 uses only the name). For an HTTP proxy
    /// they are in a header: see [`ProxyProtocol::HttpTunnel`].
    pub credentials: Option<ProxyCredentials>,
    /// Timeout for reaching the proxy, including TLS to it, in addition to the connect timeout.
    /// Default `None`: only the connect timeout.
    pub timeout: Option<Duration>,
    /// Any 2xx opens a tunnel (RFC 9110, section 9.3.6). Default false: only 200, as in undici.
    pub any_success: bool,
}

impl Proxy {
    /// A plaintext proxy without credentials.
    pub fn new(protocol: ProxyProtocol, host: impl Into<String>, port: u16) -> Self {
        Self {
            protocol,
            host: host.into(),
            port,
            tls: None,
            credentials: None,
            timeout: None,
            any_success: false,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("protocol", &self.protocol)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Protocol of a proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// HTTP without a tunnel: the proxy forwards the requests (RFC 9112, section 3.2.2). The
    /// connector only connects to the proxy; the author of the request head must give it the absolute
    /// URL and the proxy's headers. For `http` origins only.
    HttpForward,
    /// An HTTP `CONNECT` tunnel (RFC 9110, section 9.3.6), for `http` and `https` origins.
    HttpTunnel {
        /// Fields of the `CONNECT` request, in this order: `proxy-authorization`, `user-agent`, ….
        /// If there is no `host` among them, the origin's host and port come first.
        headers: HeaderBlock,
    },
    /// SOCKS version 5 (RFC 1928).
    Socks5 {
        /// Which side resolves the origin's name.
        resolve: SocksResolve,
    },
    /// SOCKS version 4, or 4a if the proxy resolves names. Supports IPv4 only.
    Socks4 {
        /// Which side resolves the origin's name.
        resolve: SocksResolve,
    },
}

impl fmt::Debug for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HttpForward => f.write_str("HttpForward"),
            Self::HttpTunnel { .. } => f.write_str("HttpTunnel"),
            Self::Socks5 { resolve } => write!(f, "Socks5({resolve:?})"),
            Self::Socks4 { resolve } => write!(f, "Socks4({resolve:?})"),
        }
    }
}

/// Which side resolves the origin's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocksResolve {
    /// The proxy (`socks5h`, `socks4a`): no DNS query for the name leaves this machine.
    Proxy,
    /// This machine (`socks5`, `socks4` in curl and reqwest): the proxy gets the first address of
    /// an allowed family.
    Local,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyCredentials {
    /// At most 255 bytes in SOCKS5.
    pub username: Vec<u8>,
    /// At most 255 bytes in SOCKS5; unused in SOCKS4.
    pub password: Vec<u8>,
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCredentials { .. }")
    }
}

/// A proxy's response when a connection was opened through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyInfo {
    /// Head of the response to `CONNECT`; `None` for other protocols.
    pub answer: Option<ProxyAnswer>,
    /// TLS to the proxy; `None` in plain text.
    pub tls: Option<TlsInfo>,
    /// How long negotiating with it took, including TLS to it.
    pub time: Duration,
}

/// The head of a response to `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyAnswer {
    /// 200, or any 2xx if [`Proxy::any_success`] allows it: everything else is an error.
    pub status: u16,
    /// Its fields as received.
    pub headers: HeaderBlock,
}

impl ProxyAnswer {
    /// A response with these fields.
    pub const fn new(status: u16, headers: HeaderBlock) -> Self {
        Self { status, headers }
    }
}

impl fmt::Debug for ProxyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn s21_debug_shows_no_credentials_and_no_header_values() {
        let mut headers = HeaderBlock::new();
        headers.push(b"proxy-authorization", b"Basic c2VjcmV0");
        let mut proxy = Proxy::new(ProxyProtocol::HttpTunnel { headers }, "proxy.test", 3128);
        proxy.credentials = Some(ProxyCredentials {
            username: b"ann".to_vec(),
            password: b"secret".to_vec(),
        });
        let shown = format!("{proxy:?} {:?}", proxy.credentials);
        assert!(shown.contains("proxy.test") && shown.contains("HttpTunnel"));
        for secret in ["c2VjcmV0", "ann", "secret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn s09_proxies_that_differ_in_anything_are_different_keys() {
        let socks = |resolve| Proxy::new(ProxyProtocol::Socks5 { resolve }, "p", 1);
        let base = socks(SocksResolve::Proxy);
        let mut user = base.clone();
        user.credentials = Some(ProxyCredentials {
            username: b"a".to_vec(),
            password: b"b".to_vec(),
        });
        let mut tls = base.clone();
        tls.tls = Some(TlsConfig::default());
        let others = [
            socks(SocksResolve::Local),
            Proxy::new(base.protocol.clone(), "q", 1),
            Proxy::new(base.protocol.clone(), "p", 2),
            Proxy::new(ProxyProtocol::HttpForward, "p", 1),
            user,
            tls,
        ];
        for other in &others {
            assert_ne!(&base, other);
        }
    }
}
