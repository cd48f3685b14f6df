//! Cookies of responses, and stores that send them back.
//!
//! ```
//! use dodici_reqwest::{Client, Url, cookie::Jar};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let jar = Arc::new(Jar::default());
//! jar.add_cookie_str("name=value; Path=/", &Url::parse("https://example.com/")?);
//! let client = Client::builder().cookie_provider(Arc::clone(&jar)).build()?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::{Duration, SystemTime};

use cookie::{Expiration, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use parking_lot::RwLock;

use crate::Url;

/// Stores cookies of responses, and supplies those of requests.
pub trait CookieStore: Send + Sync {
    /// Stores the `set-cookie` headers of a response from `url`.
    fn set_cookies(&self, cookie_headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url);

    /// The `cookie` header of a request to `url`; `None` for none.
    fn cookies(&self, url: &Url) -> Option<HeaderValue>;
}

/// One cookie of a response.
pub struct Cookie<'a>(cookie::Cookie<'a>);

impl<'a> Cookie<'a> {
    fn parse(value: &'a HeaderValue) -> Option<Self> {
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        cookie::Cookie::parse(text).ok().map(Self)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The value.
    pub fn value(&self) -> &str {
        self.0.value()
    }

    /// Whether it is hidden from scripts (`HttpOnly`).
    pub fn http_only(&self) -> bool {
        self.0.http_only() == Some(true)
    }

    /// Whether it is sent over `https` only.
    pub fn secure(&self) -> bool {
        self.0.secure() == Some(true)
    }

    /// Whether it has `SameSite=Lax`.
    pub fn same_site_lax(&self) -> bool {
        self.0.same_site() == Some(SameSite::Lax)
    }

    /// Whether it has `SameSite=Strict`.
    pub fn same_site_strict(&self) -> bool {
        self.0.same_site() == Some(SameSite::Strict)
    }

    /// The path it applies to.
    pub fn path(&self) -> Option<&str> {
        self.0.path()
    }

    /// The domain it applies to.
    pub fn domain(&self) -> Option<&str> {
        self.0.domain()
    }

    /// Its `Max-Age`; a negative one counts as zero.
    pub fn max_age(&self) -> Option<Duration> {
        let age = self.0.max_age()?;
        Some(age.try_into().unwrap_or_default())
    }

    /// When it expires.
    pub fn expires(&self) -> Option<SystemTime> {
        match self.0.expires()? {
            Expiration::DateTime(instant) => Some(instant.into()),
            Expiration::Session => None,
        }
    }
}

impl fmt::Debug for Cookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cookies of a response that can be parsed.
pub(crate) fn in_response(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers.get_all(SET_COOKIE).iter().filter_map(Cookie::parse)
}

/// A store in memory that follows RFC 6265.
///
/// A cookie for a public suffix (`co.uk`, `github.io`), which would be sent to unrelated hosts below
/// it, becomes a host-only cookie or is ignored; the list is that of <https://publicsuffix.org> at
/// build time. As in browsers, a cookie whose name and value exceed 4,096 bytes together is ignored
/// (RFC 6265bis, section 5.6).
#[derive(Debug, Default)]
pub struct Jar(RwLock<cookie_store::CookieStore>);

/// Maximum size of a cookie's name and value together, in bytes.
const MAX_PAIR: usize = 4096;

impl Jar {
    /// Adds a cookie, as if a response from `url` had set it. Ignores one that cannot be parsed.
    pub fn add_cookie_str(&self, cookie: &str, url: &Url) {
        self.add(cookie::Cookie::parse(cookie).ok().into_iter(), url);
    }

    fn add<'a>(&self, cookies: impl Iterator<Item = cookie::Cookie<'a>>, url: &Url) {
        let own = cookies.filter_map(|cookie| {
            let fits = cookie.name().len() + cookie.value().len() <= MAX_PAIR;
            narrowed(cookie, url).filter(|_| fits)
        });
        let own = own.map(cookie::Cookie::into_owned);
        self.0.write().store_response_cookies(own, url);
    }
}

/// The cookie without its domain if that is a public suffix and the host itself; `None` if this
/// host may not set it (RFC 6265, section 5.3, step 5).
fn narrowed<'a>(mut cookie: cookie::Cookie<'a>, url: &Url) -> Option<cookie::Cookie<'a>> {
    let Some(named) = cookie.domain() else {
        return Some(cookie);
    };
    // In the form of a URL's host: lower case, `xn--`.
    let domain = match url::Host::parse(named.trim().trim_start_matches('.')) {
        Ok(url::Host::Domain(domain)) => domain,
        // The store handles it.
        _ => return Some(cookie),
    };
    let bare = domain.trim_end_matches('.');
    // A name on no list belongs to its owner, such as names of a private network.
    let is_suffix = psl::suffix(bare.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == bare.as_bytes());
    if is_suffix {
        if url.host_str() != Some(&*domain) {
            return None;
        }
        cookie.unset_domain();
    }
    Some(cookie)
}

impl CookieStore for Jar {
    fn set_cookies(&self, cookie_headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        let cookies = cookie_headers.filter_map(|value| Some(Cookie::parse(value)?.0));
        self.add(cookies, url);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let mut header = String::new();
        for (name, value) in self.0.read().get_request_values(url) {
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.push_str(name);
            header.push('=');
            header.push_str(value);
        }
        if header.is_empty() {
            return None;
        }
        HeaderValue::try_from(header).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_jar_sends_back_what_belongs_to_a_url() {
        let jar = Jar::default();
        let url = Url::parse("https://example.com/a").expect("valid");
        jar.add_cookie_str("one=1; Path=/", &url);
        jar.add_cookie_str("two=2; Path=/b", &url);
        assert_eq!(jar.cookies(&url).expect("one"), "one=1");
        let other = Url::parse("https://example.org/").expect("valid");
        assert_eq!(jar.cookies(&other), None);
    }

    #[test]
    fn a_cookie_for_a_public_suffix_is_dropped() {
        for (host, domain, sent_to, sent) in [
            ("a.co.uk", "co.uk", "b.co.uk", false),
            ("a.co.uk", ".CO.UK", "b.co.uk", false),
            ("a.co.uk", "co.uk.", "b.co.uk", false),
            ("a.com", "com", "a.com", false),
            (
                "a.xn--55qx5d.cn",
                "\u{516c}\u{53f8}.cn",
                "b.xn--55qx5d.cn",
                false,
            ),
            ("github.io", "github.io", "github.io", true),
            ("github.io", "github.io", "you.github.io", false),
            ("a.shop.co.uk", "shop.co.uk", "b.shop.co.uk", true),
            ("a.intranet", "intranet", "b.intranet", true),
            ("localhost", "localhost", "localhost", true),
        ] {
            let jar = Jar::default();
            let url = |host: &str| Url::parse(&format!("http://{host}/")).expect("valid");
            jar.add_cookie_str(&format!("n=v; Domain={domain}"), &url(host));
            let told = format!("{host} {domain} {sent_to}");
            assert_eq!(jar.cookies(&url(sent_to)).is_some(), sent, "{told}");
        }
    }

    #[test]
    fn s40_a_cookie_that_is_too_large_is_not_kept() {
        let jar = Jar::default();
        let url = Url::parse("http://example.com/").expect("valid");
        for (name, bytes) in [("fits", 4092), ("larger", 4091), ("huge", 1 << 20)] {
            let value = "v".repeat(bytes);
            jar.add_cookie_str(&format!("{name}={value}; Path=/"), &url);
        }
        for expires in ["9".repeat(1 << 20), "Sun, ".repeat(1 << 18)] {
            jar.add_cookie_str(&format!("late=; Max-Age=0; Expires={expires}"), &url);
        }
        let sent = jar.cookies(&url).expect("one");
        assert_eq!(sent.len(), "fits=".len() + 4092);
        assert!(sent.as_bytes().starts_with(b"fits="));
    }

    #[test]
    fn a_negative_max_age_is_zero() {
        let value = HeaderValue::from_static("name=value; Max-Age=-5");
        let cookie = Cookie::parse(&value).expect("a cookie");
        assert_eq!(cookie.max_age(), Some(Duration::ZERO));
    }
}
