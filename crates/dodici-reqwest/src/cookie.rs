//! Cookies: those of a response, and stores that send them back.
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

/// What a client does with the cookies of responses and requests.
pub trait CookieStore: Send + Sync {
    /// Takes the `set-cookie` headers of a response from `url`.
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

    /// Whether scripts of a page must not see it.
    pub fn http_only(&self) -> bool {
        self.0.http_only() == Some(true)
    }

    /// Whether it goes over `https` alone.
    pub fn secure(&self) -> bool {
        self.0.secure() == Some(true)
    }

    /// Whether it says `SameSite=Lax`.
    pub fn same_site_lax(&self) -> bool {
        self.0.same_site() == Some(SameSite::Lax)
    }

    /// Whether it says `SameSite=Strict`.
    pub fn same_site_strict(&self) -> bool {
        self.0.same_site() == Some(SameSite::Strict)
    }

    /// The path below which it counts.
    pub fn path(&self) -> Option<&str> {
        self.0.path()
    }

    /// The domain in which it counts.
    pub fn domain(&self) -> Option<&str> {
        self.0.domain()
    }

    /// How long it lives; a negative age is none at all.
    pub fn max_age(&self) -> Option<Duration> {
        let age = self.0.max_age()?;
        Some(age.try_into().unwrap_or_default())
    }

    /// Until when it lives.
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
#[derive(Debug, Default)]
pub struct Jar(RwLock<cookie_store::CookieStore>);

impl Jar {
    /// Adds a cookie, as if a response from `url` had set it. One that cannot be parsed is
    /// ignored.
    pub fn add_cookie_str(&self, cookie: &str, url: &Url) {
        let parsed = cookie::Cookie::parse(cookie).ok();
        let owned = parsed.map(cookie::Cookie::into_owned).into_iter();
        self.0.write().store_response_cookies(owned, url);
    }
}

impl CookieStore for Jar {
    fn set_cookies(&self, cookie_headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        let cookies = cookie_headers.filter_map(|value| Some(Cookie::parse(value)?.0.into_owned()));
        self.0.write().store_response_cookies(cookies, url);
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
    fn a_negative_age_is_no_time_at_all() {
        let value = HeaderValue::from_static("name=value; Max-Age=-5");
        let cookie = Cookie::parse(&value).expect("a cookie");
        assert_eq!(cookie.max_age(), Some(Duration::ZERO));
    }
}
