//! The way to an origin through a proxy, for both faces.
//!
//! Part of [`ConnectConfig`](super::config::ConnectConfig) and so of the pool key: a connection is
//! never shared between two proxies, nor between two users of one proxy. Read by the connector.
//! Which origins go through which proxy is for the faces to say (`NO_PROXY` and the like).

use std::fmt;
use std::time::Duration;

use super::config::TlsConfig;
use super::headers::HeaderBlock;

/// A proxy and what is said to it.
///
/// `Debug` shows neither credentials nor header values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// What is spoken to it.
    pub protocol: ProxyProtocol,
    /// Its host name or address, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS to the proxy itself; `None` for plain text. TLS to the origin, inside the tunnel, is
    /// [`ConnectConfig::tls`](super::config::ConnectConfig::tls), as without a proxy.
    pub tls: Option<TlsConfig>,
    /// User name and password of SOCKS (RFC 1929; SOCKS4 takes the name alone). An HTTP proxy has
    /// its credentials in a header: see [`ProxyProtocol::HttpTunnel`].
    pub credentials: Option<ProxyCredentials>,
    /// Longest time until the proxy is reached, its TLS included; the timeout of the whole
    /// connection still holds. Default `None`: that one alone.
    pub timeout: Option<Duration>,
    /// Any 2xx opens a tunnel (RFC 9110, section 9.3.6). Default false: 200 alone, as in undici.
    pub any_success: bool,
}

impl Proxy {
    /// A proxy in plain text, without credentials.
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

/// What is spoken to a proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// HTTP without a tunnel: the proxy reads the requests (RFC 9112, section 3.2.2). The connector
    /// only connects to the proxy; whoever writes the request head gives it the absolute URL and
    /// the proxy's headers. For `http` origins only.
    HttpForward,
    /// HTTP with a tunnel by `CONNECT` (RFC 9110, section 9.3.6), for `http` and `https` origins.
    HttpTunnel {
        /// Fields of the `CONNECT` request in this order: `proxy-authorization`, `user-agent`, ….
        /// Without a `host` among them, the origin's host and port go first.
        headers: HeaderBlock,
    },
    /// SOCKS version 5 (RFC 1928).
    Socks5 {
        /// Who resolves the origin's name.
        resolve: SocksResolve,
    },
    /// SOCKS version 4, or 4a where the proxy resolves. It knows IPv4 only.
    Socks4 {
        /// Who resolves the origin's name.
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

/// Who resolves the origin's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocksResolve {
    /// The proxy (`socks5h`, `socks4a`): no look-up of the name ever leaves this machine.
    Proxy,
    /// This machine (`socks5`, `socks4` in curl's and reqwest's reading): the proxy gets the first
    /// address of the allowed families.
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

/// What a proxy answered when a connection was made through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyInfo {
    /// Status and fields of the answer to `CONNECT`; `None` for other protocols.
    pub answer: Option<ProxyAnswer>,
    /// TLS to the proxy; `None` in plain text.
    pub tls: Option<super::event::TlsInfo>,
    /// How long asking it took, TLS to it included.
    pub time: Duration,
}

/// The head of an answer to `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAnswer {
    /// 200, or any 2xx where [`Proxy::any_success`] allows it: every other answer is an error.
    pub status: u16,
    /// Its fields as they stood on the wire.
    pub headers: HeaderBlock,
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
