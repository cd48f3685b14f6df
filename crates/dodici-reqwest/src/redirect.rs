//! Which redirects are followed.
//!
//! A client follows up to ten. [`Policy`] changes that:
//!
//! ```
//! use dodici_reqwest::{Client, redirect};
//!
//! let stays = redirect::Policy::custom(|attempt| {
//!     if attempt.url().host_str() == Some("example.com") {
//!         attempt.follow()
//!     } else {
//!         attempt.stop()
//!     }
//! });
//! let client = Client::builder().redirect(stays).build()?;
//! # Ok::<_, dodici_reqwest::Error>(())
//! ```
//!
//! Credentials (`authorization`, `cookie`, `proxy-authorization`, …) and the caller's `host` are
//! never sent to another host, port or scheme.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use dodici::RawHeaders;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName,
    PROXY_AUTHORIZATION, REFERER, WWW_AUTHENTICATE,
};
use http::{Extensions, HeaderMap, HeaderValue, Method};
use tower_http::follow_redirect::policy as tower_policy;

use crate::body::Body;
use crate::error::{self, BoxError};
use crate::{StatusCode, Url};

/// Decides whether to follow each redirect.
pub struct Policy {
    kind: Kind,
}

enum Kind {
    Custom(Box<dyn Fn(Attempt<'_>) -> Action + Send + Sync>),
    Limited(usize),
    None,
}

/// A redirect requested by a server.
#[derive(Debug)]
pub struct Attempt<'a> {
    status: StatusCode,
    next: &'a Url,
    previous: &'a [Url],
}

/// What to do with an [`Attempt`]; created by its methods.
#[derive(Debug)]
pub struct Action {
    kind: ActionKind,
}

#[derive(Debug)]
enum ActionKind {
    Follow,
    Stop,
    Error(BoxError),
}

impl Policy {
    /// Follows at most this many redirects; one more is an error.
    ///
    /// ```
    /// # use dodici_reqwest::{Client, redirect::Policy};
    /// let client = Client::builder().redirect(Policy::limited(3)).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    pub fn limited(max: usize) -> Self {
        Self {
            kind: Kind::Limited(max),
        }
    }

    /// Follows none: the redirect is the response.
    pub fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// Calls a function for each redirect.
    pub fn custom<T>(policy: T) -> Self
    where
        T: Fn(Attempt<'_>) -> Action + Send + Sync + 'static,
    {
        Self {
            kind: Kind::Custom(Box::new(policy)),
        }
    }

    /// Applies the policy; for custom policies that fall back to another one.
    ///
    /// ```
    /// # use dodici_reqwest::redirect::Policy;
    /// let policy = Policy::custom(|attempt| {
    ///     if attempt.status() == 303 {
    ///         attempt.stop()
    ///     } else {
    ///         Policy::default().redirect(attempt)
    ///     }
    /// });
    /// ```
    pub fn redirect(&self, attempt: Attempt<'_>) -> Action {
        match &self.kind {
            Kind::Custom(custom) => custom(attempt),
            // The first of the previous URLs is the original one.
            Kind::Limited(max) if attempt.previous.len() > *max => attempt.error(TooMany),
            Kind::Limited(_) => attempt.follow(),
            Kind::None => attempt.stop(),
        }
    }

    fn check(&self, status: StatusCode, next: &Url, previous: &[Url]) -> ActionKind {
        self.redirect(Attempt {
            status,
            next,
            previous,
        })
        .kind
    }
}

/// [`Policy::limited`] to ten.
impl Default for Policy {
    fn default() -> Self {
        Self::limited(10)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Custom(_) => f.write_str("Policy(Custom)"),
            Kind::Limited(max) => write!(f, "Policy(Limit({max}))"),
            Kind::None => f.write_str("Policy(None)"),
        }
    }
}

impl Attempt<'_> {
    /// The status of the redirect.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its target.
    pub fn url(&self) -> &Url {
        self.next
    }

    /// The URLs requested so far, oldest first.
    pub fn previous(&self) -> &[Url] {
        self.previous
    }

    /// Follows it.
    pub fn follow(self) -> Action {
        Action {
            kind: ActionKind::Follow,
        }
    }

    /// Does not follow it: the redirect is the response.
    pub fn stop(self) -> Action {
        Action {
            kind: ActionKind::Stop,
        }
    }

    /// Fails the request with this cause.
    pub fn error<E: Into<Box<dyn StdError + Send + Sync>>>(self, error: E) -> Action {
        Action {
            kind: ActionKind::Error(error.into()),
        }
    }
}

#[derive(Debug)]
struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many redirects")
    }
}

impl StdError for TooMany {}

/// A client's policy for one request: cloned for each, because it counts.
#[derive(Clone)]
pub(crate) struct Follow {
    policy: Arc<Policy>,
    referer: bool,
    https_only: bool,
    /// The URLs requested so far.
    urls: Vec<Url>,
    /// Settings of the request, which the redirect layer drops.
    settings: Option<Extensions>,
    /// A redirect has led to another origin: headers specific to the first one are dropped for
    /// good, wherever later redirects lead. The redirect layer starts from the first request's
    /// headers each time.
    left: bool,
    /// Method of the last request.
    method: Method,
}

impl Follow {
    pub(crate) fn new(policy: Policy, referer: bool, https_only: bool) -> Self {
        Self {
            policy: Arc::new(policy),
            referer,
            https_only,
            urls: Vec::new(),
            settings: None,
            left: false,
            method: Method::GET,
        }
    }

    /// Removes fields with these names from the raw fields.
    fn leave_out_raw(&mut self, names: &[HeaderName]) {
        let settings = self.settings.as_mut();
        if let Some(RawHeaders(fields)) = settings.and_then(Extensions::get_mut::<RawHeaders>) {
            let named = |field: &[u8]| {
                let mut names = names.iter();
                names.any(|name| name.as_str().as_bytes().eq_ignore_ascii_case(field))
            };
            *fields = fields.iter().filter(|(name, _)| !named(name)).collect();
        }
    }
}

impl tower_policy::Policy<Body, crate::Error> for Follow {
    fn redirect(
        &mut self,
        attempt: &tower_policy::Attempt<'_>,
    ) -> crate::Result<tower_policy::Action> {
        let url = |uri: &http::Uri| Url::parse(&uri.to_string()).map_err(error::builder);
        let previous = url(attempt.previous())?;
        let next = url(attempt.location())?;
        self.urls.push(previous.clone());
        match self.policy.check(attempt.status(), &next, &self.urls) {
            ActionKind::Stop => Ok(tower_policy::Action::Stop),
            ActionKind::Error(cause) => Err(error::redirect(cause, previous)),
            ActionKind::Follow if !matches!(next.scheme(), "http" | "https") => {
                Err(error::bad_scheme(next))
            }
            ActionKind::Follow if self.https_only && next.scheme() != "https" => {
                Err(error::redirect(error::bad_scheme(next.clone()), next))
            }
            ActionKind::Follow => {
                crate::trace::redirected(attempt.status(), &next);
                Ok(tower_policy::Action::Follow)
            }
        }
    }

    fn on_request(&mut self, request: &mut http::Request<Body>) {
        let Some(previous) = self.urls.last() else {
            if !request.extensions().is_empty() {
                self.settings = Some(request.extensions().clone());
            }
            self.method.clone_from(request.method());
            return;
        };
        let next = Url::parse(&request.uri().to_string()).ok();
        // An invalid URL is not an origin that credentials could be for.
        let leaves = next
            .as_ref()
            .is_none_or(|next| !same_origin(next, previous));
        let referrer = next.filter(|_| self.referer);
        let referrer = referrer.and_then(|next| referer(&next, previous));
        if leaves {
            self.left = true;
            self.leave_out_raw(&OWN);
        }
        if self.method != *request.method() {
            self.method.clone_from(request.method());
            self.leave_out_raw(&[CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING]);
        }
        if let Some(settings) = &self.settings {
            request.extensions_mut().extend(settings.clone());
        }
        if self.left {
            remove_own(request.headers_mut());
        }
        if let Some(value) = referrer {
            request.headers_mut().insert(REFERER, value);
        }
    }

    fn clone_body(&self, body: &Body) -> Option<Body> {
        body.try_clone()
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

fn remove_own(headers: &mut HeaderMap) {
    for name in &OWN {
        headers.remove(name);
    }
}

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
    fn the_default_follows_ten_redirects_and_fails_at_the_eleventh() {
        let policy = Policy::default();
        let next = url("http://x.y/z");
        let mut previous: Vec<_> = (0..10).map(|i| url(&format!("http://a/{i}"))).collect();
        let follow = policy.check(StatusCode::FOUND, &next, &previous);
        assert!(matches!(follow, ActionKind::Follow));
        previous.push(url("http://a/10"));
        match policy.check(StatusCode::FOUND, &next, &previous) {
            ActionKind::Error(cause) => assert!(cause.is::<TooMany>()),
            other => panic!("{other:?}"),
        }
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
        remove_own(&mut headers);
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
