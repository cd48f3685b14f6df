//! Which requests go through which proxy.
//!
//! Without a word a client uses the system's proxies (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
//! `NO_PROXY`; with the feature `system-proxy` the settings of macOS and Windows as well).

use std::fmt;
use std::sync::Arc;

use dodici::{HeaderBlock, ProxyCredentials, ProxyProtocol, SocksResolve, TlsConfig};
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use hyper_util::client::proxy::matcher;
use percent_encoding::percent_decode_str;

use crate::error::{self, BadScheme};
use crate::into_url::IntoUrlSealed;
use crate::{IntoUrl, Url};

/// A proxy, and the requests that go through it. A client may have several; the first that is for
/// a request takes it.
///
/// ```
/// use dodici_reqwest::{Client, Proxy};
///
/// let client = Client::builder()
///     .proxy(Proxy::https("http://proxy.example:3128")?.basic_auth("ann", "secret"))
///     .proxy(Proxy::http("socks5h://proxy.example")?)
///     .build()?;
/// # Ok::<_, dodici_reqwest::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    which: Which,
    extra: Extra,
    no_proxy: Option<NoProxy>,
}

/// Hosts that are reached without the proxy.
///
/// The list is that of `NO_PROXY`: names (`example.com` also means what is below it), addresses,
/// networks (`10.0.0.0/8`), `*` for everything, separated by commas.
///
/// ```
/// use dodici_reqwest::{NoProxy, Proxy};
///
/// let proxy = Proxy::all("http://proxy.example")?
///     .no_proxy(NoProxy::from_string("localhost, 10.0.0.0/8"));
/// # Ok::<_, dodici_reqwest::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NoProxy {
    list: String,
}

#[derive(Clone, Default)]
struct Extra {
    auth: Option<HeaderValue>,
    headers: Option<HeaderMap>,
}

#[derive(Clone)]
enum Which {
    All(Url),
    Http(Url),
    Https(Url),
    Custom(Custom),
}

#[derive(Clone)]
struct Custom(Arc<Choice>);

/// Names a proxy for a destination, or says that there is none.
type Choice = dyn Fn(&Url) -> Option<crate::Result<Url>> + Send + Sync;

/// What a proxy can be given as: whatever [`IntoUrl`] takes, a missing scheme meaning `http`.
pub trait IntoProxy {
    fn into_proxy(self) -> crate::Result<Url>;
}

impl<S: IntoUrl> IntoProxy for S {
    fn into_proxy(self) -> crate::Result<Url> {
        let error = match self.as_str().into_url() {
            Ok(mut url) => {
                if url.port().is_none() && url.scheme().starts_with("socks") {
                    // Fails for schemes that have no port, which these have.
                    let _ = url.set_port(Some(1080));
                }
                return Ok(url);
            }
            Err(error) => error,
        };
        let lacks_scheme = error.chain().any(|cause| {
            cause.is::<BadScheme>()
                || cause.downcast_ref() == Some(&url::ParseError::RelativeUrlWithoutBase)
        });
        if lacks_scheme && let Ok(url) = format!("http://{}", self.as_str()).as_str().into_url() {
            return Ok(url);
        }
        Err(error::builder(error))
    }
}

impl Proxy {
    /// For `http` requests.
    ///
    /// # Errors
    /// A builder error for what is no URL.
    pub fn http<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::Http(proxy_scheme.into_proxy()?)))
    }

    /// For `https` requests, which go through a tunnel.
    ///
    /// # Errors
    /// A builder error for what is no URL.
    pub fn https<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::Https(proxy_scheme.into_proxy()?)))
    }

    /// For all requests.
    ///
    /// # Errors
    /// A builder error for what is no URL.
    pub fn all<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::All(proxy_scheme.into_proxy()?)))
    }

    /// For the requests for which a function names a proxy. It sees scheme, host and port.
    ///
    /// ```
    /// # use dodici_reqwest::Proxy;
    /// let proxy = Proxy::custom(|url| {
    ///     (url.host_str() == Some("example.com")).then_some("http://proxy.example")
    /// });
    /// ```
    pub fn custom<F, U: IntoProxy>(fun: F) -> Self
    where
        F: Fn(&Url) -> Option<U> + Send + Sync + 'static,
    {
        let fun = move |url: &Url| fun(url).map(IntoProxy::into_proxy);
        Self::new(Which::Custom(Custom(Arc::new(fun))))
    }

    fn new(which: Which) -> Self {
        Self {
            which,
            extra: Extra::default(),
            no_proxy: None,
        }
    }

    /// User name and password for the proxy.
    #[must_use]
    pub fn basic_auth(mut self, username: &str, password: &str) -> Self {
        match &mut self.which {
            Which::All(url) | Which::Http(url) | Which::Https(url) => {
                // A URL with a host takes both.
                let _ = url.set_username(username);
                let _ = url.set_password(Some(password));
            }
            Which::Custom(_) => {
                self.extra.auth = Some(crate::util::basic_auth(username, Some(password)));
            }
        }
        self
    }

    /// The `proxy-authorization` header, in place of user name and password.
    #[must_use]
    pub fn custom_http_auth(mut self, header_value: HeaderValue) -> Self {
        self.extra.auth = Some(header_value);
        self
    }

    /// Headers for the proxy.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.extra.headers = Some(headers);
        self
    }

    /// Hosts that are reached without this proxy.
    #[must_use]
    pub fn no_proxy(mut self, no_proxy: Option<NoProxy>) -> Self {
        self.no_proxy = no_proxy;
        self
    }

    pub(crate) fn into_matcher(self) -> Matcher {
        let exceptions = self.no_proxy.unwrap_or_default().list;
        let builder = matcher::Matcher::builder().no(exceptions.clone());
        let rule = match self.which {
            Which::All(url) => Rule::fixed(builder.all(String::from(url)).build()),
            Which::Http(url) => Rule::fixed(builder.http(String::from(url)).build()),
            Which::Https(url) => Rule::fixed(builder.https(String::from(url)).build()),
            Which::Custom(custom) => Rule::Custom(custom, exceptions),
        };
        Matcher {
            rule,
            extra: self.extra,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Url| {
            let mut url = url.clone();
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        };
        let mut out = f.debug_struct("Proxy");
        match &self.which {
            Which::All(url) => out.field("all", &shown(url)),
            Which::Http(url) => out.field("http", &shown(url)),
            Which::Https(url) => out.field("https", &shown(url)),
            Which::Custom(_) => out.field("custom", &format_args!("_")),
        };
        out.field("no_proxy", &self.no_proxy).finish()
    }
}

impl NoProxy {
    /// The list in `NO_PROXY` or `no_proxy`; `None` if neither is set.
    pub fn from_env() -> Option<Self> {
        let list = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
        list.ok().map(|list| Self { list })
    }

    /// A list as it stands in `NO_PROXY`.
    pub fn from_string(no_proxy_list: &str) -> Option<Self> {
        Some(Self {
            list: no_proxy_list.to_owned(),
        })
    }
}

/// A proxy as a client asks it.
pub(crate) struct Matcher {
    rule: Rule,
    extra: Extra,
}

enum Rule {
    /// Boxed: a matcher is over 300 bytes.
    Fixed(Box<matcher::Matcher>),
    Custom(Custom, String),
}

impl Rule {
    fn fixed(matcher: matcher::Matcher) -> Self {
        Self::Fixed(Box::new(matcher))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Fixed(fixed) => fixed.fmt(f),
            Rule::Custom(..) => f.write_str("Custom"),
        }
    }
}

impl Matcher {
    pub(crate) fn system() -> Self {
        Self {
            rule: Rule::fixed(matcher::Matcher::from_system()),
            extra: Extra::default(),
        }
    }

    /// The way to this destination; `None` if this proxy is not for it.
    pub(crate) fn route(&self, destination: &Uri) -> Option<Route> {
        let found = match &self.rule {
            Rule::Fixed(fixed) => fixed.intercept(destination)?,
            Rule::Custom(custom, exceptions) => custom.ask(destination, exceptions)?,
        };
        let proxy = found.uri();
        let secure = destination.scheme_str() == Some("https");
        let socks = match proxy.scheme_str() {
            Some("socks5") => Some((5, SocksResolve::Local)),
            Some("socks5h") => Some((5, SocksResolve::Proxy)),
            Some("socks4") => Some((4, SocksResolve::Local)),
            Some("socks4a") => Some((4, SocksResolve::Proxy)),
            _ => None,
        };
        let kind = match socks {
            Some((version, resolve)) => Kind::Socks {
                version,
                resolve,
                login: found.raw_auth().map(|(name, password)| {
                    let decode = |text: &str| percent_decode_str(text).collect();
                    (decode(name), decode(password))
                }),
            },
            None if secure => Kind::Tunnel,
            None => Kind::Forward,
        };
        let auth = self
            .extra
            .auth
            .clone()
            .or_else(|| found.basic_auth().cloned());
        Some(Route {
            proxy: proxy.clone(),
            kind,
            auth,
            headers: self.extra.headers.clone(),
        })
    }
}

impl Custom {
    fn ask(&self, destination: &Uri, exceptions: &str) -> Option<matcher::Intercept> {
        let (scheme, authority) = (destination.scheme()?, destination.authority()?);
        let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
        let target = (self.0)(&url)?.ok()?;
        matcher::Matcher::builder()
            .all(String::from(target))
            .no(exceptions.to_owned())
            .build()
            .intercept(destination)
    }
}

/// The way to a destination through a proxy.
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
        login: Option<(Vec<u8>, Vec<u8>)>,
    },
}

impl Route {
    /// Whether the proxy reads the requests.
    pub(crate) fn is_forward(&self) -> bool {
        matches!(self.kind, Kind::Forward)
    }

    /// Gives a request what a proxy that reads it wants to see.
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

    /// The engine's words for it, and a key that differs wherever the way differs.
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
                credentials = login
                    .clone()
                    .map(|(username, password)| ProxyCredentials { username, password });
                match version {
                    4 => ProxyProtocol::Socks4 { resolve: *resolve },
                    _ => ProxyProtocol::Socks5 { resolve: *resolve },
                }
            }
        };
        let key = format!(
            "{} {fields:?} {credentials_key:?}",
            self.proxy,
            credentials_key = credentials.as_ref().map(|c| (&c.username, &c.password))
        );
        let secure = self.proxy.scheme_str() == Some("https");
        let port = self
            .proxy
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 });
        let host = self.proxy.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut proxy = dodici::Proxy::new(protocol, bare, port);
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

    use super::*;

    fn route(proxy: crate::Result<Proxy>, destination: &str) -> Option<Route> {
        let matcher = proxy.expect("a proxy").into_matcher();
        matcher.route(&destination.parse().expect("a URI"))
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
    fn socks_has_a_port_of_its_own_and_decoded_credentials() {
        let found = route(
            Proxy::all("socks5h://ann:s%20p@proxy.example"),
            "http://host",
        );
        let (proxy, _) = found.expect("a route").engine(None);
        assert_eq!(proxy.port, 1080);
        assert_eq!(proxy.credentials.expect("credentials").password, b"s p");
    }

    #[test]
    fn a_header_of_the_users_own_takes_the_place_of_the_credentials() {
        let proxy = Proxy::all("http://ann:secret@proxy.example")
            .map(|proxy| proxy.custom_http_auth(HeaderValue::from_static("testme")));
        let mut headers = HeaderMap::new();
        route(proxy, "http://host")
            .expect("a route")
            .dress(&mut headers);
        assert_eq!(headers[PROXY_AUTHORIZATION], "testme");
    }

    #[test]
    fn debug_shows_no_credentials() {
        let proxy = Proxy::all("http://ann:secret@proxy.example").expect("a proxy");
        assert!(!format!("{proxy:?}").contains("secret"));
    }
}
