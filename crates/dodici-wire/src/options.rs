//! Pool options: the payload of `PoolCreate` and of the native function `checkOptions`.
//!
//! Turns the flat list of [`OptionKey`] values into the structs of the layers that read them.
//! What is not in the list is as [`OriginConfig::undici`] has it. Whether certificates and keys make
//! sense is for the connector to say.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use dodici_pool::{
    AddressOrder, ConnectConfig, ConnectFailure, Error, ErrorKind, Family, HeaderBlock, Identity,
    Origin, OriginConfig, Phase, Proxy, ProxyCredentials, ProxyProtocol, RootSource, Scheme,
    SocksResolve, TlsConfig, TlsVersion,
};

use crate::cursor::{Malformed, Reader};
use crate::schema::{OptionKey, WINDOW};
use crate::tagged::{TaggedReader, put_bytes};

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Where requests go.
    pub origin: Origin,
    /// Limits, and how connections are made.
    pub config: OriginConfig,
    /// Whether JavaScript resolves names.
    pub lookup: bool,
}

/// Longest finite time, for "never" where a layer wants a duration: ten years, which no process
/// lives to see and which can be added to any clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Whether a connection serves more than one request at this depth of pipelining: undici has no
/// option for it, but the depth 0.
pub fn keeps_alive(pipelining: u32) -> bool {
    pipelining > 0
}

/// Why options are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The payload is not a list of tagged values.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A key that this side does not know.
    #[error("unknown pool option {0}")]
    UnknownKey(u16),
    /// A key without which there is no pool.
    #[error("pool option {0:?} is missing")]
    Missing(OptionKey),
    /// A value that the key does not allow.
    #[error("invalid {key:?}: expected {expected}")]
    Invalid {
        /// Which.
        key: OptionKey,
        /// What would be right.
        expected: &'static str,
    },
    /// A key that means nothing in a list of TLS options.
    #[error("pool option {0:?} is not for TLS")]
    Misplaced(OptionKey),
    /// Two keys that exclude each other.
    #[error("{0:?} and {1:?} exclude each other")]
    Conflict(OptionKey, OptionKey),
}

impl From<OptionsError> for Error {
    fn from(error: OptionsError) -> Self {
        Error::new(ErrorKind::InvalidRequest, Phase::Queued, error.to_string())
    }
}

/// Values that need a second look when all have been read.
#[derive(Default)]
struct Parts {
    scheme: Option<Scheme>,
    host: Option<String>,
    port: Option<u16>,
    tls: TlsParts,
    proxy: ProxyParts,
}

impl PoolOptions {
    /// Reads a list of options. A key that does not repeat counts as given last.
    pub fn decode(payload: &[u8]) -> Result<Self, OptionsError> {
        let mut parts = Parts::default();
        let mut lookup = false;
        let OriginConfig {
            mut pool,
            mut exchange,
            mut connect,
            mut http2,
        } = OriginConfig::undici();
        exchange.window = WINDOW;
        for tagged in TaggedReader::new(payload) {
            let (tag, bytes) = tagged?;
            let key = OptionKey::from_wire(tag).ok_or(OptionsError::UnknownKey(tag))?;
            let value = Value { key, bytes };
            match key {
                OptionKey::Scheme => parts.scheme = Some(value.scheme()?),
                OptionKey::Host => parts.host = Some(value.text()?.to_owned()),
                OptionKey::Port => parts.port = Some(value.port()?),
                OptionKey::Connections => pool.connections = value.limit()?,
                OptionKey::Pipelining => {
                    pool.pipelining = value.count()?;
                    pool.keep_alive = keeps_alive(pool.pipelining);
                }
                OptionKey::Eager => pool.eager = value.flag()?,
                OptionKey::KeepAliveTimeout => pool.keep_alive_timeout = value.rest()?,
                OptionKey::KeepAliveMaxTimeout => pool.keep_alive_max_timeout = value.rest()?,
                OptionKey::KeepAliveTimeoutThreshold => {
                    pool.keep_alive_timeout_threshold = value.duration()?;
                }
                OptionKey::ClientTtl => pool.max_connection_age = value.timeout()?,
                OptionKey::MaxRequestsPerClient => {
                    pool.max_requests_per_connection = value.limit()?
                }
                OptionKey::FailQueue => {
                    pool.connect_failure = if value.flag()? {
                        ConnectFailure::FailQueue
                    } else {
                        ConnectFailure::FailOldest
                    };
                }
                OptionKey::HeadersTimeout => exchange.headers_timeout = value.timeout()?,
                OptionKey::BodyTimeout => exchange.body_timeout = value.timeout()?,
                OptionKey::MaxHeaderSize => exchange.max_header_size = value.count()? as usize,
                OptionKey::MaxResponseSize => exchange.max_response_size = value.size()?,
                OptionKey::ConnectTimeout => connect.timeout = value.timeout()?,
                OptionKey::LocalAddress => connect.local_address = Some(value.address()?),
                OptionKey::SocketPath => connect.socket_path = Some(PathBuf::from(value.text()?)),
                OptionKey::NoDelay => connect.no_delay = value.flag()?,
                OptionKey::KeepAliveProbe => connect.keep_alive_probe = value.probe()?,
                OptionKey::Family => connect.family = value.family()?,
                OptionKey::AutoSelectFamily => connect.race = value.flag()?,
                OptionKey::AutoSelectFamilyAttemptTimeout => {
                    connect.attempt_delay = value.duration()?;
                }
                OptionKey::ResultOrder => connect.order = value.order()?,
                OptionKey::Lookup => lookup = value.flag()?,
                OptionKey::Http2 => http2.prior_knowledge = value.flag()?,
                OptionKey::MaxConcurrentStreams => http2.max_concurrent_streams = value.count()?,
                OptionKey::StreamWindow => {
                    http2.stream_window = value.count()?;
                    http2.max_stream_window = http2.stream_window;
                }
                OptionKey::ConnectionWindow => http2.connection_window = Some(value.count()?),
                OptionKey::PingInterval => http2.ping_interval = value.timeout()?,
                OptionKey::ProxyProtocol => parts.proxy.protocol = Some(value.text()?.to_owned()),
                OptionKey::ProxyHost => parts.proxy.host = Some(value.text()?.to_owned()),
                OptionKey::ProxyPort => parts.proxy.port = Some(value.port()?),
                OptionKey::ProxyUsername => parts.proxy.username = Some(bytes.to_vec()),
                OptionKey::ProxyPassword => parts.proxy.password = Some(bytes.to_vec()),
                OptionKey::ProxyHeader => value.push_field(&mut parts.proxy.headers)?,
                OptionKey::ProxyTls => parts.proxy.tls = Some(TlsParts::decode(bytes)?.finish()?),
                OptionKey::ProxyTimeout => parts.proxy.timeout = value.timeout()?,
                _ => parts.tls.read(&value)?,
            }
        }
        let origin = parts.finish(&mut connect)?;
        Ok(Self {
            origin,
            config: OriginConfig {
                pool,
                exchange,
                connect,
                http2,
            },
            lookup,
        })
    }
}

impl Parts {
    fn finish(self, connect: &mut ConnectConfig) -> Result<Origin, OptionsError> {
        connect.tls = self.tls.finish()?;
        connect.proxy = self.proxy.finish()?.map(Box::new);
        let scheme = self
            .scheme
            .ok_or(OptionsError::Missing(OptionKey::Scheme))?;
        let host = self.host.ok_or(OptionsError::Missing(OptionKey::Host))?;
        let port = self.port.unwrap_or(scheme.default_port());
        Ok(Origin::new(scheme, &host, port))
    }
}

/// TLS with the origin, or with the proxy.
#[derive(Default)]
struct TlsParts {
    config: TlsConfig,
    ca: Vec<Vec<u8>>,
    platform: bool,
    cert: Vec<u8>,
    key: Option<Vec<u8>>,
    passphrase: Option<String>,
    alpn: Vec<Vec<u8>>,
}

impl TlsParts {
    /// A list of its own.
    fn decode(payload: &[u8]) -> Result<Self, OptionsError> {
        let mut parts = Self::default();
        for tagged in TaggedReader::new(payload) {
            let (tag, bytes) = tagged?;
            let key = OptionKey::from_wire(tag).ok_or(OptionsError::UnknownKey(tag))?;
            parts.read(&Value { key, bytes })?;
        }
        Ok(parts)
    }

    /// Takes a key for TLS; any other is not for this list.
    fn read(&mut self, value: &Value<'_>) -> Result<(), OptionsError> {
        let config = &mut self.config;
        match value.key {
            OptionKey::ServerName => config.server_name = Some(value.text()?.to_owned()),
            OptionKey::RejectUnauthorized => config.verify = value.flag()?,
            OptionKey::Ca => self.ca.push(value.bytes.to_vec()),
            OptionKey::Cert => {
                // Chains are PEM, and PEM blocks may follow each other.
                if !self.cert.is_empty() {
                    self.cert.push(b'\n');
                }
                self.cert.extend_from_slice(value.bytes);
            }
            OptionKey::Key => self.key = Some(value.bytes.to_vec()),
            OptionKey::Passphrase => self.passphrase = Some(value.text()?.to_owned()),
            OptionKey::Alpn => self.alpn.push(value.bytes.to_vec()),
            OptionKey::MinVersion => config.min_version = value.tls_version()?,
            OptionKey::MaxVersion => config.max_version = value.tls_version()?,
            OptionKey::MaxCachedSessions => config.max_cached_sessions = value.count()?,
            OptionKey::PlatformVerifier => self.platform = value.flag()?,
            key => return Err(OptionsError::Misplaced(key)),
        }
        Ok(())
    }

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
            tls.roots = RootSource::Custom(self.ca);
        } else if self.platform {
            tls.roots = RootSource::Platform;
        }
        if !self.cert.is_empty() {
            // As in Node, one PEM text may hold both; a key alone identifies nobody.
            let key = self.key.unwrap_or_else(|| self.cert.clone());
            tls.identity = Some(Identity {
                cert: self.cert,
                key,
                passphrase: self.passphrase,
            });
        }
        if !self.alpn.is_empty() {
            tls.alpn = self.alpn;
        }
        Ok(tls)
    }
}

/// A proxy, key by key.
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

/// One value and the key it is for, which the error names.
struct Value<'a> {
    key: OptionKey,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    fn invalid(&self, expected: &'static str) -> OptionsError {
        OptionsError::Invalid {
            key: self.key,
            expected,
        }
    }

    /// `name LF value`.
    fn push_field(&self, headers: &mut HeaderBlock) -> Result<(), OptionsError> {
        let split = self.bytes.iter().position(|byte| *byte == b'\n');
        let at = split.ok_or_else(|| self.invalid("a name, LF and a value"))?;
        headers.push(&self.bytes[..at], &self.bytes[at + 1..]);
        Ok(())
    }

    fn text(&self) -> Result<&'a str, OptionsError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.invalid("UTF-8 text"))
    }

    fn flag(&self) -> Result<bool, OptionsError> {
        match self.bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.invalid("one byte, 0 or 1")),
        }
    }

    /// A number that is not NaN.
    fn number(&self) -> Result<f64, OptionsError> {
        let mut reader = Reader::new(self.bytes);
        match reader.f64() {
            Ok(number) if reader.is_empty() && !number.is_nan() => Ok(number),
            _ => Err(self.invalid("a number")),
        }
    }

    fn not_negative(&self) -> Result<f64, OptionsError> {
        let number = self.number()?;
        if number < 0.0 {
            return Err(self.invalid("a number that is not negative"));
        }
        Ok(number)
    }

    /// A count; fractions are cut off and larger numbers mean the largest.
    fn count(&self) -> Result<u32, OptionsError> {
        Ok(self.not_negative()? as u32)
    }

    /// A count where 0 and `Infinity` mean no limit.
    fn limit(&self) -> Result<Option<NonZeroU32>, OptionsError> {
        let number = self.not_negative()?;
        if number.is_infinite() {
            return Ok(None);
        }
        Ok(NonZeroU32::new(number as u32))
    }

    /// Bytes; a negative number and `Infinity` mean no limit.
    fn size(&self) -> Result<Option<u64>, OptionsError> {
        let number = self.number()?;
        Ok((number >= 0.0 && number.is_finite()).then_some(number as u64))
    }

    /// Milliseconds; more than [`FOREVER`] is [`FOREVER`].
    fn duration(&self) -> Result<Duration, OptionsError> {
        Ok(duration(self.not_negative()?))
    }

    /// Milliseconds; more than [`FOREVER`] is never over.
    fn rest(&self) -> Result<Option<Duration>, OptionsError> {
        let time = Duration::try_from_secs_f64(self.not_negative()? / 1000.0);
        Ok(time.ok().filter(|time| *time <= FOREVER))
    }

    /// Milliseconds; 0 and `Infinity` mean never.
    fn timeout(&self) -> Result<Option<Duration>, OptionsError> {
        let number = self.not_negative()?;
        Ok((number > 0.0 && number.is_finite()).then(|| duration(number)))
    }

    /// Milliseconds; a negative number and `Infinity` mean none.
    fn probe(&self) -> Result<Option<Duration>, OptionsError> {
        let number = self.number()?;
        Ok((number >= 0.0 && number.is_finite()).then(|| duration(number)))
    }

    fn port(&self) -> Result<u16, OptionsError> {
        let number = self.number()?;
        if !(0.0..=65535.0).contains(&number) || number.fract() != 0.0 {
            return Err(self.invalid("a port, 0 to 65535"));
        }
        Ok(number as u16)
    }

    fn scheme(&self) -> Result<Scheme, OptionsError> {
        match self.bytes {
            b"http" => Ok(Scheme::Http),
            b"https" => Ok(Scheme::Https),
            _ => Err(self.invalid("http or https")),
        }
    }

    fn address(&self) -> Result<IpAddr, OptionsError> {
        self.text()?
            .parse()
            .map_err(|_| self.invalid("an IP address"))
    }

    fn family(&self) -> Result<Family, OptionsError> {
        match self.number()? as i64 {
            0 => Ok(Family::Any),
            4 => Ok(Family::V4),
            6 => Ok(Family::V6),
            _ => Err(self.invalid("0, 4 or 6")),
        }
    }

    fn order(&self) -> Result<AddressOrder, OptionsError> {
        match self.bytes {
            b"verbatim" => Ok(AddressOrder::Verbatim),
            b"ipv4first" => Ok(AddressOrder::V4First),
            b"ipv6first" => Ok(AddressOrder::V6First),
            _ => Err(self.invalid("verbatim, ipv4first or ipv6first")),
        }
    }

    fn tls_version(&self) -> Result<TlsVersion, OptionsError> {
        match self.bytes {
            b"TLSv1.2" => Ok(TlsVersion::Tls12),
            b"TLSv1.3" => Ok(TlsVersion::Tls13),
            _ => Err(self.invalid("TLSv1.2 or TLSv1.3")),
        }
    }
}

fn duration(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1000.0)
        .unwrap_or(FOREVER)
        .min(FOREVER)
}

/// Appends text or bytes; for tests and golden vectors, as are the other two.
pub fn put_option(out: &mut Vec<u8>, key: OptionKey, value: &[u8]) {
    put_bytes(out, key as u16, value);
}

/// Appends a number.
pub fn put_number_option(out: &mut Vec<u8>, key: OptionKey, value: f64) {
    put_bytes(out, key as u16, &value.to_le_bytes());
}

/// Appends a boolean.
pub fn put_flag_option(out: &mut Vec<u8>, key: OptionKey, value: bool) {
    put_bytes(out, key as u16, &[value.into()]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
