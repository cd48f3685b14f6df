//! Where requests go: scheme, host and port.
//!
//! Read by every layer. Knows nothing of URLs beyond these three parts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// URI scheme of an origin (RFC 9110, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text; default port 80.
    Http,
    /// TLS; default port 443.
    Https,
}

impl Scheme {
    /// Port used if the URL has none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `"http"` or `"https"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Scheme, host and port (RFC 6454). The host is lower-case; an IPv6 address has no brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Scheme.
    pub scheme: Scheme,
    /// Host name or address, lower-case, IPv6 without brackets.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
}

impl Origin {
    /// Creates an origin; the host gets its [canonical form](Self::canonical_host).
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        Self {
            scheme,
            host: Self::canonical_host(host).into(),
            port,
        }
    }

    /// A host in lower case, an IPv6 literal without brackets. Hosts with equal forms are the same.
    pub fn canonical_host(host: &str) -> Cow<'_, str> {
        let bare = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host);
        if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(bare.to_ascii_lowercase())
        } else {
            Cow::Borrowed(bare)
        }
    }

    /// Whether the host is an IPv6 literal and needs brackets in an authority.
    pub fn is_ipv6_literal(&self) -> bool {
        self.host.contains(':')
    }

    /// `host[:port]`, without the scheme's default port: what `Host` says.
    pub fn authority(&self) -> impl fmt::Display + '_ {
        Authority(self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

struct Authority<'a>(&'a Origin);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(origin) = self;
        if origin.is_ipv6_literal() {
            write!(f, "[{}]", origin.host)?;
        } else {
            f.write_str(&origin.host)?;
        }
        if origin.port != origin.scheme.default_port() {
            write!(f, ":{}", origin.port)?;
        }
        Ok(())
    }
}
