//! Follows redirects: sends a request, and those that its responses ask for.
//!
//! Called by the client; `redirect` has the caller's policy, `attempts` send each request. The rules
//! are those of RFC 9110, section 15.4, as browsers and reqwest apply them.

use dodici::RawHeaders;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName,
    LOCATION, PROXY_AUTHORIZATION, REFERER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::attempts::Attempts;
use crate::body::Body;
use crate::redirect::{ActionKind, Policy};
use crate::transport::TransportBody;
use crate::{StatusCode, Url, error};

/// How a client follows redirects.
pub(crate) struct Follow {
    policy: Policy,
    referer: bool,
    https_only: bool,
}

/// A response, and the URI that it came from, if it is not that of the request.
pub(crate) type Arrived = (http::Response<TransportBody>, Option<Uri>);

/// What a redirect makes of a request, besides its target.
struct Change {
    method: Method,
    /// The body stays away, and the fields that describe it.
    drops_body: bool,
}

impl Change {
    /// `None` if the status is not that of a redirect.
    fn of(status: StatusCode, method: &Method) -> Option<Self> {
        let (method, drops_body) = match status {
            // RFC 9110, sections 15.4.2 and 15.4.3: what everybody does.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if method == Method::POST => {
                (Method::GET, true)
            }
            StatusCode::SEE_OTHER if method == Method::HEAD => (Method::HEAD, true),
            StatusCode::SEE_OTHER => (Method::GET, true),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => (method.clone(), false),
            _ => return None,
        };
        Some(Self { method, drops_body })
    }
}

impl Follow {
    pub(crate) fn new(policy: Policy, referer: bool, https_only: bool) -> Self {
        Self {
            policy,
            referer,
            https_only,
        }
    }

    /// Sends a request and those that follow from it.
    pub(crate) async fn send(
        &self,
        attempts: &Attempts,
        parts: &mut Parts,
        body: Body,
    ) -> crate::Result<Arrived> {
        let mut again = body.try_clone();
        let mut response = attempts.send(parts, body).await?;
        let mut past = Past::default();
        loop {
            let moved = past.fields.is_some();
            let Some(change) = Change::of(response.status(), &parts.method) else {
                return Ok((response, moved.then(|| parts.uri.clone())));
            };
            if change.drops_body {
                again = Some(Body::empty());
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|location| resolve(location, &parts.uri));
            let (Some(location), Some(body)) = (location, &again) else {
                return Ok((response, moved.then(|| parts.uri.clone())));
            };
            let body = body.try_clone().unwrap_or_default();
            let previous = url(&parts.uri)?;
            let next = url(&location)?;
            past.urls.push(previous);
            if !self.goes(response.status(), &next, &past.urls)? {
                return Ok((response, moved.then(|| parts.uri.clone())));
            }
            // It need not be read to its end.
            drop(response);
            parts.uri = location;
            self.redirect(parts, change, &next, &mut past);
            response = attempts.send(parts, body).await?;
        }
    }

    /// Whether the policy follows a redirect to `next`, after these URLs.
    fn goes(&self, status: StatusCode, next: &Url, urls: &[Url]) -> crate::Result<bool> {
        match self.policy.check(status, next, urls) {
            ActionKind::Stop => Ok(false),
            ActionKind::Error(cause) => {
                let previous = urls.last().unwrap_or(next).clone();
                Err(error::redirect(cause, previous))
            }
            ActionKind::Follow if !matches!(next.scheme(), "http" | "https") => {
                Err(error::bad_scheme(next.clone()))
            }
            ActionKind::Follow if self.https_only && next.scheme() != "https" => {
                let cause = error::bad_scheme(next.clone());
                Err(error::redirect(cause, next.clone()))
            }
            ActionKind::Follow => {
                crate::trace::redirected(status, next);
                Ok(true)
            }
        }
    }

    /// Makes the request the one that goes to `next`.
    fn redirect(&self, parts: &mut Parts, change: Change, next: &Url, past: &mut Past) {
        let Some(previous) = past.urls.last() else {
            return;
        };
        let fields = past.fields.get_or_insert_with(|| parts.headers.clone());
        if change.drops_body {
            leave_out(fields, &DESCRIBING);
            fields.remove(TRANSFER_ENCODING);
        }
        if !same_origin(next, previous) {
            leave_out_raw(parts, &OWN);
            leave_out(fields, &OWN);
        }
        if change.method != parts.method {
            parts.method = change.method;
            leave_out_raw(parts, &DESCRIBING);
        }
        parts.headers = fields.clone();
        if self.referer
            && let Some(value) = referer(next, previous)
        {
            parts.headers.insert(REFERER, value);
        }
    }
}

/// What is known of the requests that were sent.
#[derive(Default)]
struct Past {
    /// Their URLs, oldest first.
    urls: Vec<Url>,
    /// The fields of the first one, without those that were dropped on the way: for good, wherever
    /// later redirects lead. `None` before the first redirect.
    fields: Option<HeaderMap>,
}

fn url(uri: &Uri) -> crate::Result<Url> {
    Url::parse(&uri.to_string()).map_err(error::builder)
}

/// A redirect's target, which may be relative.
fn resolve(location: &HeaderValue, base: &Uri) -> Option<Uri> {
    let base = url(base).ok()?;
    let target = base.join(std::str::from_utf8(location.as_bytes()).ok()?);
    String::from(target.ok()?).try_into().ok()
}

fn leave_out(fields: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        fields.remove(name);
    }
}

/// Removes fields with these names from the raw fields.
fn leave_out_raw(parts: &mut Parts, names: &[HeaderName]) {
    if let Some(RawHeaders(fields)) = parts.extensions.get_mut::<RawHeaders>() {
        let named = |field: &[u8]| {
            let mut names = names.iter();
            names.any(|name| name.as_str().as_bytes().eq_ignore_ascii_case(field))
        };
        *fields = fields.iter().filter(|(name, _)| !named(name)).collect();
    }
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
        && one.scheme() == other.scheme()
}

/// Fields specific to one origin: its credentials and its name.
const OWN: [HeaderName; 6] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("cookie2"),
    HOST,
    PROXY_AUTHORIZATION,
    WWW_AUTHENTICATE,
];

/// Fields that describe a body.
const DESCRIBING: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING];

/// The referring URL, without credentials and fragment; nothing from `https` to `http`.
fn referer(next: &Url, previous: &Url) -> Option<HeaderValue> {
    if next.scheme() == "http" && previous.scheme() == "https" {
        return None;
    }
    let mut referer = previous.clone();
    referer.set_username("").ok()?;
    referer.set_password(None).ok()?;
    referer.set_fragment(None);
    referer.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    #[test]
    fn credentials_stay_with_their_scheme_host_and_port() {
        let origin = url("https://host:8443/a");
        assert!(same_origin(&url("https://host:8443/b"), &origin));
        for other in ["http://host:8443/", "https://host/", "https://other:8443/"] {
            assert!(!same_origin(&url(other), &origin), "{other}");
        }
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "cookie2",
            "host",
            "proxy-authorization",
            "accept",
        ] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        leave_out(&mut headers, &OWN);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn a_referer_has_no_credentials_and_is_not_sent_over_plain_http() {
        let from = url("https://user:pass@host/path#part");
        let referrer = referer(&url("https://other/"), &from).expect("a referrer");
        assert_eq!(referrer, "https://host/path");
        assert_eq!(referer(&url("http://other/"), &from), None);
    }
}
