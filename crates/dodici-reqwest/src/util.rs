//! Small helpers shared by several modules.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dodici::{Origin, Scheme};
use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::{Url, error};

/// `Debug` for types that show nothing of themselves.
macro_rules! opaque {
    ($($type:ident),*) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    )*};
}

pub(crate) use opaque;

/// A request's timeout while the request is an `http::Request`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout(pub(crate) Duration);

/// `Basic …` (RFC 7617), sensitive.
pub(crate) fn basic_auth<U, P>(username: U, password: Option<P>) -> HeaderValue
where
    U: fmt::Display,
    P: fmt::Display,
{
    basic(match password {
        Some(password) => format!("{username}:{password}"),
        None => format!("{username}:"),
    })
}

/// As [`basic_auth`], from `name:password`.
pub(crate) fn basic(credentials: impl AsRef<[u8]>) -> HeaderValue {
    let text = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Removes user name and password from a URL and returns them decoded.
pub(crate) fn take_credentials(url: &mut Url) -> Option<(String, Option<String>)> {
    if !url.has_authority() || (url.username().is_empty() && url.password().is_none()) {
        return None;
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .map(String::from)
    };
    let name = decode(url.username())?;
    let password = url.password().and_then(decode);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some((name, password))
}

/// The scheme of this name; `http` if there is none.
pub(crate) fn scheme(name: Option<&str>) -> Scheme {
    match name {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The origin, or the proxy, at this place.
pub(crate) fn origin(scheme_name: Option<&str>, host: Option<&str>, port: Option<u16>) -> Origin {
    let scheme = scheme(scheme_name);
    let port = port.unwrap_or_else(|| match scheme_name {
        Some(name) if name.starts_with("socks") => 1080,
        _ => scheme.default_port(),
    });
    Origin::new(scheme, host.unwrap_or_default(), port)
}

/// A header from values convertible to one.
pub(crate) fn header<K, V>(name: K, value: V) -> crate::Result<(HeaderName, HeaderValue)>
where
    HeaderName: TryFrom<K>,
    <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
    HeaderValue: TryFrom<V>,
    <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
{
    let name = HeaderName::try_from(name).map_err(|error| error::builder(error.into()))?;
    let value = HeaderValue::try_from(value).map_err(|error| error::builder(error.into()))?;
    Ok((name, value))
}

/// Each name in `source` replaces all of `target`'s values for it.
pub(crate) fn replace_headers(target: &mut HeaderMap, source: HeaderMap) {
    let mut current: Option<HeaderName> = None;
    for (name, value) in source {
        match (name, &current) {
            (Some(name), _) => {
                target.insert(name.clone(), value);
                current = Some(name);
            }
            (None, Some(name)) => {
                target.append(name, value);
            }
            // A map's first item always has a name.
            (None, None) => {}
        }
    }
}

/// Adds the headers whose names `target` lacks.
pub(crate) fn add_missing_headers(target: &mut HeaderMap, defaults: &HeaderMap) {
    for (name, value) in defaults {
        if let Entry::Vacant(entry) = target.entry(name) {
            entry.insert(value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn credentials_are_removed_from_a_url_and_decoded() {
        let mut url = Url::parse("http://Alad%40din:open%20sesame@host/").expect("valid");
        let taken = take_credentials(&mut url);
        assert_eq!(taken, Some(("Alad@din".into(), Some("open sesame".into()))));
        assert_eq!(url.as_str(), "http://host/");
        assert_eq!(take_credentials(&mut url), None);
    }

    #[test]
    fn replaced_headers_keep_all_values_of_their_source() {
        let mut target = HeaderMap::new();
        target.append("a", HeaderValue::from_static("old"));
        target.append("b", HeaderValue::from_static("stays"));
        let mut source = HeaderMap::new();
        source.append("a", HeaderValue::from_static("1"));
        source.append("a", HeaderValue::from_static("2"));
        replace_headers(&mut target, source);
        let values: Vec<_> = target.get_all("a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(target["b"], "stays");
    }
}
