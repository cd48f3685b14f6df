//! Pool options: the payload of `PoolCreate` and of the native function `checkOptions`.
//!
//! - [`table`]: every option; [`row`]: the structure of its rows.
//! - `value`: readers for values.
//!
//! Converts the list of [`OptionKey`] values to the configuration structs; what is not in the list
//! has the default of [`OriginConfig::undici`]. The connector validates certificates and keys.

mod connect;
pub mod foreign;
pub mod row;
pub mod table;
mod value;

use std::num::NonZeroU32;
use std::time::Duration;

use dodici_pool::{
    Error, ErrorKind, HeaderBlock, Identity, Origin, OriginConfig, Phase, Proxy, ProxyCredentials,
    ProxyProtocol, RootSource, Scheme, SocksResolve, TlsConfig,
};

use crate::cursor::Malformed;
use crate::schema::WINDOW;
use crate::tagged::TaggedReader;
use row::Scope;
pub use table::OptionKey;
use value::{Value, Wrong};

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The origin of its requests.
    pub origin: Origin,
    /// Limits, and how connections are opened.
    pub config: OriginConfig,
    /// Whether JavaScript resolves names.
    pub lookup: bool,
    /// Which addresses may be connected to; `None`: all.
    pub allow: Option<Allow>,
    /// Which addresses a proxy may be asked to connect to.
    pub allow_proxied: Option<Allow>,
    /// A limit that it shares with the environment's other pools that name it: its number, and the
    /// number of connections.
    pub limit: Option<(u32, NonZeroU32)>,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Public ones.
    Public,
    /// Those that JavaScript allows.
    Asked,
}

/// Whether a connection is reused at this depth of pipelining: undici has no option for it but the
/// depth 0.
pub fn keeps_alive(pipelining: u32) -> bool {
    pipelining > 0
}

/// Why options are rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The payload is not a list of tagged values.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An unknown key.
    #[error("unknown pool option {0}")]
    UnknownKey(u16),
    /// A required key is missing.
    #[error("pool option {0:?} is missing")]
    Missing(OptionKey),
    /// An invalid value for a key.
    #[error("invalid {key:?}: expected {expected}")]
    Invalid {
        /// The key.
        key: OptionKey,
        /// What would be valid.
        expected: &'static str,
    },
    /// A key that is not allowed in a list of TLS options.
    #[error("pool option {0:?} is not for TLS")]
    Misplaced(OptionKey),
    /// Two mutually exclusive keys.
    #[error("{0:?} and {1:?} are mutually exclusive")]
    Conflict(OptionKey, OptionKey),
}

impl From<OptionsError> for Error {
    fn from(error: OptionsError) -> Self {
        Error::new(ErrorKind::InvalidRequest, Phase::Queued, error.to_string())
    }
}

/// What has been read, in the places named by the table.
struct Parts {
    scheme: Option<Scheme>,
    host: Option<String>,
    port: Option<u16>,
    config: OriginConfig,
    lookup: bool,
    allow: Option<Allow>,
    allow_proxied: Option<Allow>,
    limit: Option<NonZeroU32>,
    limit_id: Option<u32>,
    tls: TlsParts,
    proxy: ProxyParts,
}

impl Parts {
    /// Nothing.
    fn new() -> Self {
        let mut config = OriginConfig::undici();
        config.exchange.window = WINDOW;
        Self {
            scheme: None,
            host: None,
            port: None,
            config,
            lookup: false,
            allow: None,
            allow_proxied: None,
            limit: None,
            limit_id: None,
            tls: TlsParts::default(),
            proxy: ProxyParts::default(),
        }
    }

    /// Reads a list of options. If a key is given twice, the last one counts, unless it may repeat.
    fn read(&mut self, payload: &[u8], takes: impl Fn(Scope) -> bool) -> Result<(), OptionsError> {
        for tagged in TaggedReader::new(payload) {
            let (tag, bytes) = tagged?;
            let key = OptionKey::from_wire(tag).ok_or(OptionsError::UnknownKey(tag))?;
            if !takes(key.scope()) {
                return Err(OptionsError::Misplaced(key));
            }
            table::read(key, &Value(bytes), self).map_err(|wrong| match wrong {
                Wrong::Expected(expected) => OptionsError::Invalid { key, expected },
                Wrong::Inside(error) => error,
            })?;
        }
        Ok(())
    }
}

/// A loaded peer takes its time.
const LEAST_PING_TIMEOUT: Duration = Duration::from_secs(1);

impl PoolOptions {
    /// Reads a list of options. If a key is given twice, the last one counts, unless it may repeat.
    pub fn decode(payload: &[u8]) -> Result<Self, OptionsError> {
        let mut parts = Parts::new();
        parts.read(payload, |_| true)?;
        let mut config = parts.config;
        config.connect.tls = parts.tls.finish()?;
        config.connect.proxy = parts.proxy.finish()?.map(Box::new);
        // As in undici, a PING must be acknowledged before the next one is due.
        if let Some(interval) = config.http2.ping_interval {
            let due = interval.max(LEAST_PING_TIMEOUT);
            config.http2.ping_timeout = config.http2.ping_timeout.min(due);
        }
        let missing = OptionsError::Missing;
        let scheme = parts.scheme.ok_or(missing(OptionKey::Scheme))?;
        let host = parts.host.ok_or(missing(OptionKey::Host))?;
        let port = parts.port.unwrap_or(scheme.default_port());
        Ok(Self {
            origin: Origin::new(scheme, &host, port),
            config,
            lookup: parts.lookup,
            allow: parts.allow,
            allow_proxied: parts.allow_proxied,
            limit: parts.limit_id.zip(parts.limit),
        })
    }
}

/// Reads a list of TLS options only.
fn tls_alone(payload: &[u8]) -> Result<TlsConfig, OptionsError> {
    let mut parts = Parts::new();
    parts.read(payload, |scope| scope == Scope::Tls)?;
    parts.tls.finish()
}

/// TLS to the origin, or to the proxy.
#[derive(Default)]
struct TlsParts {
    config: TlsConfig,
    ca: Vec<Vec<u8>>,
    platform: bool,
    certs: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    alpn: Vec<Vec<u8>>,
}

impl TlsParts {
    fn finish(self) -> Result<TlsConfig, OptionsError> {
        let mut tls = self.config;
        if tls.min_version > tls.max_version {
            return Err(OptionsError::Conflict(
                OptionKey::MinVersion,
                OptionKey::MaxVersion,
            ));
        }
        if !self.ca.is_empty() {
            if self.platform {
                return Err(OptionsError::Conflict(
                    OptionKey::Ca,
                    OptionKey::PlatformVerifier,
                ));
            }
            // An empty item stands for an empty list.
            let mut given = self.ca;
            given.retain(|item| !item.is_empty());
            tls.roots = RootSource::Custom(given);
        } else if self.platform {
            tls.roots = RootSource::Platform;
        }
        // As in Node, one PEM text may contain both; a key alone is not an identity.
        let mut keys = self.keys.into_iter();
        let identify = |cert: Vec<u8>| {
            let key = keys.next().unwrap_or_else(|| cert.clone());
            Identity::new(cert, key)
        };
        tls.identities = self.certs.into_iter().map(identify).collect();
        if !self.alpn.is_empty() {
            tls.alpn = self.alpn;
        }
        Ok(tls)
    }
}

/// A proxy, as it is read key by key.
#[derive(Default)]
struct ProxyParts {
    protocol: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    username: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    headers: HeaderBlock,
    tls: Option<TlsConfig>,
    timeout: Option<Duration>,
}

impl ProxyParts {
    fn finish(self) -> Result<Option<Proxy>, OptionsError> {
        let Some(name) = self.protocol else {
            return Ok(None);
        };
        let headers = self.headers;
        let protocol = match &*name {
            "http" => ProxyProtocol::HttpForward,
            "http-tunnel" => ProxyProtocol::HttpTunnel { headers },
            "socks5" => ProxyProtocol::Socks5 {
                resolve: SocksResolve::Local,
            },
            "socks5h" => ProxyProtocol::Socks5 {
                resolve: SocksResolve::Proxy,
            },
            "socks4" => ProxyProtocol::Socks4 {
                resolve: SocksResolve::Local,
            },
            "socks4a" => ProxyProtocol::Socks4 {
                resolve: SocksResolve::Proxy,
            },
            _ => {
                return Err(OptionsError::Invalid {
                    key: OptionKey::ProxyProtocol,
                    expected: "http, http-tunnel, socks5, socks5h, socks4 or socks4a",
                });
            }
        };
        let host = self
            .host
            .ok_or(OptionsError::Missing(OptionKey::ProxyHost))?;
        let port = self
            .port
            .ok_or(OptionsError::Missing(OptionKey::ProxyPort))?;
        let mut proxy = Proxy::new(protocol, host, port);
        proxy.tls = self.tls;
        proxy.timeout = self.timeout;
        if self.username.is_some() || self.password.is_some() {
            proxy.credentials = Some(ProxyCredentials {
                username: self.username.unwrap_or_default(),
                password: self.password.unwrap_or_default(),
            });
        }
        Ok(Some(proxy))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
