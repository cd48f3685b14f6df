//! From a destination to its route through a proxy, and to the engine's configuration for it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dodici::{HeaderBlock, ProxyCredentials, ProxyProtocol, SocksResolve, TlsConfig};
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use hyper_util::client::proxy::matcher;
use percent_encoding::percent_decode_str;

use super::{Custom, Extra, NoProxy};
use crate::{Url, error};

/// A proxy as configured in a client.
pub(crate) struct Matcher {
    pub(super) rule: Rule,
    pub(super) exceptions: Exceptions,
    pub(super) extra: Extra,
}

pub(super) enum Rule {
    /// For this scheme only, if there is one.
    Fixed(Peer, Option<&'static str>),
    Custom(Custom),
    /// Boxed: a matcher is over 300 bytes.
    System(Box<matcher::Matcher>),
}

/// Hosts that bypass the proxy. hyper-util parses the list, but treats `*` as a name, an address in
/// brackets as none, and a trailing dot as part of a name.
pub(super) enum Exceptions {
    Everything,
    /// Matches every host with a placeholder proxy, except those in the list.
    Listed(Box<matcher::Matcher>),
    Nothing,
}

impl Exceptions {
    pub(super) fn new(list: Option<NoProxy>) -> Self {
        let list = list.unwrap_or_default().list;
        let mut names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        if names.clone().any(|name| name == "*") {
            return Self::Everything;
        }
        if names.clone().next().is_none() {
            return Self::Nothing;
        }
        let plain = names.by_ref().map(|name| {
            let inner = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'));
            inner.unwrap_or(name).trim_end_matches('.')
        });
        let list = plain.collect::<Vec<_>>().join(",");
        let between = matcher::Matcher::builder()
            .all("http://proxy.invalid")
            .no(list);
        Self::Listed(Box::new(between.build()))
    }

    fn hold(&self, destination: &Uri) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Listed(between) => {
                let host = destination.host().unwrap_or_default().trim_end_matches('.');
                let bare = Uri::builder()
                    .scheme("http")
                    .authority(host)
                    .path_and_query("/");
                bare.build()
                    .is_ok_and(|bare| between.intercept(&bare).is_none())
            }
        }
    }
}

/// A proxy's address and credentials.
#[derive(Clone)]
pub(super) struct Peer {
    uri: Uri,
    login: Option<Login>,
}

/// Whose way it is.
#[derive(Clone)]
enum Login {
    /// User name and password, byte for byte.
    Named(Vec<u8>, Option<Vec<u8>>),
    /// The `proxy-authorization` field.
    Written(HeaderValue),
}

impl Peer {
    /// # Errors
    /// A builder error for an invalid proxy.
    pub(super) fn of(url: &Url) -> crate::Result<Self> {
        let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
        if !known.contains(&url.scheme()) {
            let scheme = url.scheme();
            return Err(error::builder(format!(
                "a proxy cannot be spoken to in {scheme}"
            )));
        }
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let uri = Uri::builder().scheme(url.scheme()).path_and_query("/");
        let uri = uri.authority(format!("{host}{port}")).build();
        let decode = |text: &str| percent_decode_str(text).collect();
        let named = !url.username().is_empty() || url.password().is_some();
        Ok(Self {
            uri: uri.map_err(error::builder)?,
            login: named.then(|| Login::Named(decode(url.username()), url.password().map(decode))),
        })
    }

    /// A proxy that hyper-util found in the environment or the system's settings.
    fn found(found: &matcher::Intercept) -> Self {
        let named = |(name, password): (&str, &str)| {
            Login::Named(name.as_bytes().to_vec(), Some(password.as_bytes().to_vec()))
        };
        let written = found.basic_auth().cloned().map(Login::Written);
        Self {
            uri: found.uri().clone(),
            login: written.or_else(|| found.raw_auth().map(named)),
        }
    }
}

impl Login {
    /// For HTTP (RFC 7617).
    fn basic(self) -> HeaderValue {
        let (mut text, password) = match self {
            Self::Written(value) => return value,
            Self::Named(name, password) => (name, password),
        };
        text.push(b':');
        text.extend(password.unwrap_or_default());
        let text = format!("Basic {}", BASE64_STANDARD.encode(text));
        let mut value =
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// For SOCKS (RFC 1929).
    fn credentials(self) -> Option<ProxyCredentials> {
        match self {
            Self::Named(username, password) => Some(ProxyCredentials {
                username,
                password: password.unwrap_or_default(),
            }),
            Self::Written(_) => None,
        }
    }
}

impl Matcher {
    pub(crate) fn system() -> Self {
        Self {
            rule: Rule::System(Box::new(matcher::Matcher::from_system())),
            exceptions: Exceptions::new(NoProxy::from_env()),
            extra: Extra::default(),
        }
    }

    /// The route to this destination; `None` if this proxy does not apply to it.
    ///
    /// # Errors
    /// A builder error if the proxy chosen for it is invalid.
    pub(crate) fn route(&self, destination: &Uri) -> crate::Result<Option<Route>> {
        let found = match &self.rule {
            Rule::Fixed(peer, scheme) => {
                let is_for = scheme.is_none_or(|scheme| destination.scheme_str() == Some(scheme));
                is_for.then(|| peer.clone())
            }
            Rule::System(system) => system.intercept(destination).as_ref().map(Peer::found),
            Rule::Custom(_) if self.exceptions.hold(destination) => return Ok(None),
            Rule::Custom(custom) => custom.ask(destination)?,
        };
        let Some(peer) = found.filter(|_| !self.exceptions.hold(destination)) else {
            return Ok(None);
        };
        let secure = destination.scheme_str() == Some("https");
        let socks = match peer.uri.scheme_str() {
            Some("socks5") => Some((5, SocksResolve::Local)),
            Some("socks5h") => Some((5, SocksResolve::Proxy)),
            Some("socks4") => Some((4, SocksResolve::Local)),
            Some("socks4a") => Some((4, SocksResolve::Proxy)),
            _ => None,
        };
        let (kind, auth) = match socks {
            Some((version, resolve)) => {
                let login = peer.login.and_then(Login::credentials);
                let kind = Kind::Socks {
                    version,
                    resolve,
                    login,
                };
                (kind, None)
            }
            None if secure => (Kind::Tunnel, peer.login.map(Login::basic)),
            None => (Kind::Forward, peer.login.map(Login::basic)),
        };
        Ok(Some(Route {
            proxy: peer.uri,
            kind,
            auth: self.extra.auth.clone().or(auth),
            headers: self.extra.headers.clone(),
        }))
    }
}

impl Custom {
    fn ask(&self, destination: &Uri) -> crate::Result<Option<Peer>> {
        let unasked = || error::builder("a request without a host cannot use a proxy");
        let (Some(scheme), Some(authority)) = (destination.scheme(), destination.authority())
        else {
            return Err(unasked());
        };
        let url = Url::parse(&format!("{scheme}://{authority}")).map_err(error::builder)?;
        (self.0)(&url).map(|named| Peer::of(&named?)).transpose()
    }
}

/// The route to a destination through a proxy.
pub(crate) struct Route {
    pub(crate) proxy: Uri,
    kind: Kind,
    auth: Option<HeaderValue>,
    headers: Option<HeaderMap>,
}

enum Kind {
    Forward,
    Tunnel,
    Socks {
        version: u8,
        resolve: SocksResolve,
        login: Option<ProxyCredentials>,
    },
}

impl Route {
    /// Whether the proxy forwards requests, without a tunnel.
    pub(crate) fn is_forward(&self) -> bool {
        matches!(self.kind, Kind::Forward)
    }

    /// Adds what a forwarding proxy needs to a request.
    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        if let Some(auth) = &self.auth
            && !headers.contains_key(PROXY_AUTHORIZATION)
        {
            headers.insert(PROXY_AUTHORIZATION, auth.clone());
        }
        for (name, value) in pairs(self.headers.as_ref()) {
            headers.insert(name, value.clone());
        }
    }

    /// The engine's configuration, and a key that is different for every route.
    pub(crate) fn engine(&self, user_agent: Option<&HeaderValue>) -> (dodici::Proxy, String) {
        let mut fields = HeaderBlock::new();
        let mut credentials = None;
        let protocol = match &self.kind {
            Kind::Forward => ProxyProtocol::HttpForward,
            Kind::Tunnel => {
                let mut push = |name: &http::HeaderName, value: &HeaderValue| {
                    fields.push(name.as_str().as_bytes(), value.as_bytes());
                };
                if let Some(agent) = user_agent {
                    push(&USER_AGENT, agent);
                }
                if let Some(auth) = &self.auth {
                    push(&PROXY_AUTHORIZATION, auth);
                }
                for (name, value) in pairs(self.headers.as_ref()) {
                    if name != HOST {
                        push(name, value);
                    }
                }
                ProxyProtocol::HttpTunnel {
                    headers: fields.clone(),
                }
            }
            Kind::Socks {
                version,
                resolve,
                login,
            } => {
                credentials.clone_from(login);
                match version {
                    4 => ProxyProtocol::Socks4 { resolve: *resolve },
                    _ => ProxyProtocol::Socks5 { resolve: *resolve },
                }
            }
        };
        // Escaped byte by byte, so that no two routes have the same key.
        let mut key = self.proxy.to_string();
        let secrets = credentials
            .iter()
            .map(|own| (&*own.username, &*own.password));
        for (name, value) in fields.iter().chain(secrets) {
            key += &format!("\n{}\n{}", name.escape_ascii(), value.escape_ascii());
        }
        let secure = self.proxy.scheme_str() == Some("https");
        let usual = match self.kind {
            Kind::Socks { .. } => 1080,
            _ if secure => 443,
            _ => 80,
        };
        let port = self.proxy.port_u16().unwrap_or(usual);
        let host = self.proxy.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut proxy = dodici::Proxy::new(protocol, bare, port);
        // Any 2xx opens a tunnel (RFC 9110, section 9.3.6).
        proxy.any_success = true;
        proxy.credentials = credentials;
        proxy.tls = secure.then(TlsConfig::default);
        (proxy, key)
    }
}

fn pairs(map: Option<&HeaderMap>) -> impl Iterator<Item = (&http::HeaderName, &HeaderValue)> {
    map.into_iter().flat_map(HeaderMap::iter)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::{NoProxy, Proxy};
    use super::*;

    fn route(proxy: crate::Result<Proxy>, destination: &str) -> Option<Route> {
        let matcher = proxy.and_then(Proxy::into_matcher).expect("a proxy");
        let destination = destination.parse().expect("a URI");
        matcher.route(&destination).expect("no fault")
    }

    #[test]
    fn a_proxy_is_for_its_scheme() {
        let http = || Proxy::http("http://proxy.example/");
        assert!(route(http(), "http://host").is_some_and(|route| route.is_forward()));
        assert!(route(http(), "https://host").is_none());
        let https = || Proxy::https("http://proxy.example/");
        assert!(route(https(), "http://host").is_none());
        assert!(route(https(), "https://host").is_some_and(|route| !route.is_forward()));
        assert!(route(Proxy::all("proxy.example"), "https://host").is_some());
    }

    #[test]
    fn a_custom_proxy_decides_by_itself_and_its_exceptions_hold() {
        let custom = || {
            let proxy = Proxy::custom(|url| (url.host_str() == Some("host")).then_some("http://p"));
            Ok(proxy)
        };
        assert!(route(custom(), "http://host").is_some());
        assert!(route(custom(), "http://other").is_none());
        let excepted = custom().map(|proxy| proxy.no_proxy(NoProxy::from_string("host")));
        assert!(route(excepted, "http://host").is_none());
    }

    #[test]
    fn socks_has_its_own_port_and_decoded_credentials() {
        let found = route(
            Proxy::all("socks5h://ann:s%20p@proxy.example"),
            "http://host",
        );
        let (proxy, _) = found.expect("a route").engine(None);
        assert_eq!(proxy.port, 1080);
        assert_eq!(proxy.credentials.expect("credentials").password, b"s p");
    }

    #[test]
    fn credentials_are_decoded_once_and_need_not_be_utf8() {
        let proxy = Proxy::all("socks5h://%80:%2541@proxy.example");
        let (proxy, _) = route(proxy, "http://host").expect("a route").engine(None);
        let credentials = proxy.credentials.expect("credentials");
        assert_eq!(
            (&*credentials.username, &*credentials.password),
            (&b"\x80"[..], &b"%41"[..])
        );
    }

    #[test]
    fn different_users_have_different_keys() {
        let urls = [
            "%80:x",
            "%81:x",
            "%EF%BF%BD:x",
            "a:b",
            "a%0Ab:",
            "a:%5Cnb",
            "a%5Cnb:",
        ];
        let mut keys: Vec<_> = urls
            .iter()
            .map(|user| {
                let proxy = Proxy::all(format!("socks5://{user}@proxy.example"));
                route(proxy, "http://host").expect("a route").engine(None).1
            })
            .collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), urls.len());
    }

    #[test]
    fn a_header_of_the_caller_replaces_the_credentials() {
        let proxy = Proxy::all("http://ann:secret@proxy.example")
            .map(|proxy| proxy.custom_http_auth(HeaderValue::from_static("testme")));
        let mut headers = HeaderMap::new();
        route(proxy, "http://host")
            .expect("a route")
            .dress(&mut headers);
        assert_eq!(headers[PROXY_AUTHORIZATION], "testme");
    }
}
