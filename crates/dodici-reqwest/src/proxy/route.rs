//! From a destination to its route through a proxy, and to the engine's configuration for it.

use std::sync::Arc;

use dodici::{HeaderBlock, ProxyCredentials, ProxyProtocol, SocksResolve, TlsConfig};
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper_util::client::proxy::matcher;
use percent_encoding::percent_decode_str;

use super::{Custom, Extra, NoProxy};
use crate::util::origin;
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

#[derive(Clone)]
enum Login {
    Named(ProxyCredentials),
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
            login: named.then(|| {
                Login::Named(ProxyCredentials {
                    username: decode(url.username()),
                    password: decode(url.password().unwrap_or_default()),
                })
            }),
        })
    }

    /// A proxy that hyper-util found in the environment or the system's settings.
    fn found(found: &matcher::Intercept) -> Self {
        let named = |(name, password): (&str, &str)| {
            Login::Named(ProxyCredentials {
                username: name.into(),
                password: password.into(),
            })
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
        match self {
            Self::Written(value) => value,
            Self::Named(login) => {
                crate::util::basic([&login.username[..], b":", &login.password].concat())
            }
        }
    }

    /// For SOCKS (RFC 1929).
    fn credentials(self) -> Option<ProxyCredentials> {
        match self {
            Self::Named(login) => Some(login),
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

    /// The route to this destination; `None` if this proxy does not apply to it. `user_agent`: the
    /// client's, for a tunnel.
    ///
    /// # Errors
    /// A builder error if the proxy chosen for it is invalid.
    pub(crate) fn route(
        &self,
        destination: &Uri,
        user_agent: Option<&HeaderValue>,
    ) -> crate::Result<Option<Route>> {
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
        let socks = match peer.uri.scheme_str() {
            Some("socks5") => Some(ProxyProtocol::Socks5 {
                resolve: SocksResolve::Local,
            }),
            Some("socks5h") => Some(ProxyProtocol::Socks5 {
                resolve: SocksResolve::Proxy,
            }),
            Some("socks4") => Some(ProxyProtocol::Socks4 {
                resolve: SocksResolve::Local,
            }),
            Some("socks4a") => Some(ProxyProtocol::Socks4 {
                resolve: SocksResolve::Proxy,
            }),
            _ => None,
        };
        if let Some(protocol) = socks {
            let mut proxy = engine_proxy(&peer.uri, protocol);
            proxy.credentials = peer.login.and_then(Login::credentials);
            return Ok(Some(Route::Through(Box::new(proxy))));
        }
        let auth = self.extra.auth.clone();
        let auth = auth.or_else(|| peer.login.map(Login::basic));
        if destination.scheme_str() != Some("https") {
            return Ok(Some(Route::Forward(Forwarder {
                uri: peer.uri,
                auth,
                headers: self.extra.headers.clone(),
            })));
        }
        let mut headers = HeaderBlock::new();
        let mut push = |name: &HeaderName, value: &HeaderValue| {
            headers.push(name.as_str().as_bytes(), value.as_bytes());
        };
        if let Some(agent) = user_agent {
            push(&USER_AGENT, agent);
        }
        if let Some(auth) = &auth {
            push(&PROXY_AUTHORIZATION, auth);
        }
        for (name, value) in self.extra.headers.iter().flat_map(|map| map.iter()) {
            if name != HOST {
                push(name, value);
            }
        }
        let secure = peer.uri.scheme_str() == Some("https");
        let mut proxy = engine_proxy(&peer.uri, ProxyProtocol::HttpTunnel { headers });
        // Any 2xx opens a tunnel (RFC 9110, section 9.3.6).
        proxy.any_success = true;
        proxy.tls = secure.then(TlsConfig::default);
        Ok(Some(Route::Through(Box::new(proxy))))
    }
}

fn engine_proxy(uri: &Uri, protocol: ProxyProtocol) -> dodici::Proxy {
    let itself = origin(uri.scheme_str(), uri.host(), uri.port_u16());
    dodici::Proxy::new(protocol, &*itself.host, itself.port)
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
pub(crate) enum Route {
    /// The proxy forwards the request.
    Forward(Forwarder),
    /// The proxy opens a tunnel, or speaks SOCKS.
    Through(Box<dodici::Proxy>),
}

/// A proxy that forwards requests.
pub(crate) struct Forwarder {
    pub(crate) uri: Uri,
    auth: Option<HeaderValue>,
    headers: Option<Arc<HeaderMap>>,
}

impl Forwarder {
    /// Adds what the proxy needs to a request.
    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        if let Some(auth) = &self.auth
            && !headers.contains_key(PROXY_AUTHORIZATION)
        {
            headers.insert(PROXY_AUTHORIZATION, auth.clone());
        }
        for (name, value) in self.headers.iter().flat_map(|map| map.iter()) {
            headers.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::HashSet;

    use super::super::{NoProxy, Proxy};
    use super::*;

    fn route(proxy: crate::Result<Proxy>, destination: &str) -> Option<Route> {
        let matcher = proxy.and_then(Proxy::into_matcher).expect("a proxy");
        let destination = destination.parse().expect("a URI");
        matcher.route(&destination, None).expect("no fault")
    }

    fn is_forward(route: &Route) -> bool {
        matches!(route, Route::Forward(_))
    }

    fn through(proxy: crate::Result<Proxy>) -> dodici::Proxy {
        match route(proxy, "http://host") {
            Some(Route::Through(proxy)) => *proxy,
            Some(Route::Forward(_)) | None => panic!("not through the proxy"),
        }
    }

    #[test]
    fn a_proxy_is_for_its_scheme() {
        let http = || Proxy::http("http://proxy.example/");
        assert!(route(http(), "http://host").is_some_and(|route| is_forward(&route)));
        assert!(route(http(), "https://host").is_none());
        let https = || Proxy::https("http://proxy.example/");
        assert!(route(https(), "http://host").is_none());
        assert!(route(https(), "https://host").is_some_and(|route| !is_forward(&route)));
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
        let proxy = through(Proxy::all("socks5h://ann:s%20p@proxy.example"));
        assert_eq!(proxy.port, 1080);
        assert_eq!(proxy.credentials.expect("credentials").password, b"s p");
    }

    #[test]
    fn credentials_are_decoded_once_and_need_not_be_utf8() {
        let proxy = through(Proxy::all("socks5h://%80:%2541@proxy.example"));
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
        let keys: HashSet<_> = urls
            .iter()
            .map(|user| through(Proxy::all(format!("socks5://{user}@proxy.example"))))
            .collect();
        assert_eq!(keys.len(), urls.len());
    }

    #[test]
    fn a_header_of_the_caller_replaces_the_credentials() {
        let proxy = Proxy::all("http://ann:secret@proxy.example")
            .map(|proxy| proxy.custom_http_auth(HeaderValue::from_static("testme")));
        let mut headers = HeaderMap::new();
        match route(proxy, "http://host") {
            Some(Route::Forward(proxy)) => proxy.dress(&mut headers),
            Some(Route::Through(_)) | None => panic!("not forwarded"),
        }
        assert_eq!(headers[PROXY_AUTHORIZATION], "testme");
    }
}
