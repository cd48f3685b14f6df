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

use crate::error::BoxError;
use crate::{StatusCode, Url};
use std::error::Error as StdError;
use std::fmt;

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
pub(crate) enum ActionKind {
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

    pub(crate) fn check(&self, status: StatusCode, next: &Url, previous: &[Url]) -> ActionKind {
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
}
