//! Which requests use which proxy.
//!
//! By default, a client uses the system's proxies (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
//! `NO_PROXY`; with the feature `system-proxy` also the settings of macOS and Windows).

mod route;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::error::{self, BadScheme};
use crate::into_url::IntoUrlSealed;
use crate::{IntoUrl, Url};
use route::{Exceptions, Peer, Rule};
pub(crate) use route::{Forwarder, Matcher, Route};

/// A proxy, and the requests that use it. A client may have several; the first that matches a
/// request serves it.
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

/// Hosts that bypass the proxy.
///
/// The list has the format of `NO_PROXY`: names (`example.com` includes its subdomains), addresses,
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
    headers: Option<Arc<HeaderMap>>,
}

#[derive(Clone)]
enum Which {
    /// For this scheme only, if there is one.
    Fixed(Url, Option<&'static str>),
    Custom(Custom),
}

#[derive(Clone)]
struct Custom(Arc<Choice>);

/// Returns the proxy for a destination, if any.
type Choice = dyn Fn(&Url) -> Option<crate::Result<Url>> + Send + Sync;

/// A proxy's address: anything that [`IntoUrl`] accepts; a missing scheme means `http`.
pub trait IntoProxy {
    fn into_proxy(self) -> crate::Result<Url>;
}

impl<S: IntoUrl> IntoProxy for S {
    fn into_proxy(self) -> crate::Result<Url> {
        let error = match self.as_str().into_url() {
            Ok(url) => return Peer::of(&url).map(|_| url),
            Err(error) => error,
        };
        let lacks_scheme = error.chain().any(|cause| {
            cause.is::<BadScheme>()
                || cause.downcast_ref() == Some(&url::ParseError::RelativeUrlWithoutBase)
        });
        if lacks_scheme && let Ok(url) = format!("http://{}", self.as_str()).as_str().into_url() {
            return Peer::of(&url).map(|_| url);
        }
        Err(error::builder(error))
    }
}

impl Proxy {
    /// For `http` requests.
    ///
    /// # Errors
    /// A builder error for an invalid URL.
    pub fn http<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::Fixed(
            proxy_scheme.into_proxy()?,
            Some("http"),
        )))
    }

    /// For `https` requests, through a tunnel.
    ///
    /// # Errors
    /// A builder error for an invalid URL.
    pub fn https<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::Fixed(
            proxy_scheme.into_proxy()?,
            Some("https"),
        )))
    }

    /// For all requests.
    ///
    /// # Errors
    /// A builder error for an invalid URL.
    pub fn all<U: IntoProxy>(proxy_scheme: U) -> crate::Result<Self> {
        Ok(Self::new(Which::Fixed(proxy_scheme.into_proxy()?, None)))
    }

    /// For requests for which a function returns a proxy. It sees scheme, host and port. If it
    /// returns an invalid proxy, the request fails with a builder error.
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
            Which::Fixed(url, _) => {
                // A URL with a host accepts both, and escapes everything except the escape
                // character.
                let _ = url.set_username(&username.replace('%', "%25"));
                let _ = url.set_password(Some(&password.replace('%', "%25")));
            }
            Which::Custom(_) => {
                self.extra.auth = Some(crate::util::basic_auth(username, Some(password)));
            }
        }
        self
    }

    /// The `proxy-authorization` header, instead of user name and password.
    #[must_use]
    pub fn custom_http_auth(mut self, header_value: HeaderValue) -> Self {
        self.extra.auth = Some(header_value);
        self
    }

    /// Headers for the proxy.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.extra.headers = Some(Arc::new(headers));
        self
    }

    /// Hosts that bypass this proxy.
    #[must_use]
    pub fn no_proxy(mut self, no_proxy: Option<NoProxy>) -> Self {
        self.no_proxy = no_proxy;
        self
    }

    /// # Errors
    /// A builder error for an invalid proxy.
    pub(crate) fn into_matcher(self) -> crate::Result<Matcher> {
        let rule = match self.which {
            Which::Fixed(url, scheme) => Rule::Fixed(Peer::of(&url)?, scheme),
            Which::Custom(custom) => Rule::Custom(custom),
        };
        Ok(Matcher {
            rule,
            exceptions: Exceptions::new(self.no_proxy),
            extra: self.extra,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Proxy");
        match &self.which {
            Which::Fixed(url, scheme) => {
                let mut url = url.clone();
                let _ = url.set_username("");
                let _ = url.set_password(None);
                out.field(scheme.unwrap_or("all"), &url.as_str())
            }
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

    /// A list in the format of `NO_PROXY`.
    pub fn from_string(no_proxy_list: &str) -> Option<Self> {
        Some(Self {
            list: no_proxy_list.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn debug_shows_no_credentials() {
        let proxy = Proxy::all("http://ann:secret@proxy.example").expect("a proxy");
        assert!(!format!("{proxy:?}").contains("secret"));
    }
}
