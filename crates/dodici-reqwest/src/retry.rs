//! Retries.
//!
//! By default, a client retries only what was provably not processed: the engine does so when a
//! connection turns out to be dead, or a server refuses a request over HTTP/2. A [`Builder`]
//! configures more: which requests, after which responses, how often, and how much extra load all
//! retries together may cause.
//!
//! ```
//! use dodici_reqwest::{Client, StatusCode, retry};
//!
//! let policy = retry::for_host("example.com")
//!     .max_retries_per_request(3)
//!     .classify_fn(|answer| {
//!         if answer.status() == Some(StatusCode::SERVICE_UNAVAILABLE) {
//!             answer.retryable()
//!         } else {
//!             answer.success()
//!         }
//!     });
//! let client = Client::builder().retry(policy).build()?;
//! # Ok::<_, dodici_reqwest::Error>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tower::retry::budget::{Budget, TpsBudget};

use crate::StatusCode;
use crate::body::Body;

pub use classify::{Action, ReqRep};

/// Time span of a budget: long enough for bursts, short enough to forget an outage.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Retries per second that a budget always allows, so that a client with few requests can retry at
/// all.
const BUDGET_FLOOR: u32 = 10;

/// Configures when requests are retried.
pub struct Builder {
    /// The extra load; `None` for any.
    budget: Option<f32>,
    /// Without one, nothing is retried here.
    classifier: Option<Arc<dyn classify::Classify>>,
    max_retries: u32,
    /// `None` for all requests.
    scope: Option<Arc<dyn scope::Scope>>,
    /// Whether the engine may resend what was refused without being processed.
    refused: bool,
}

/// Retries requests to one host. [`Builder::classify_fn`] decides which responses to retry.
pub fn for_host<S>(host: S) -> Builder
where
    S: for<'a> PartialEq<&'a str> + Send + Sync + 'static,
{
    Builder::scoped(scope::ScopeFn(move |request: &Request| {
        host == request.uri().host().unwrap_or("")
    }))
}

/// Retries nothing, not even a request that was refused without being processed.
///
/// ```
/// # use dodici_reqwest::{Client, retry};
/// let client = Client::builder().retry(retry::never()).build()?;
/// # Ok::<_, dodici_reqwest::Error>(())
/// ```
pub fn never() -> Builder {
    let mut builder = Builder::scoped(scope::ScopeFn(|_: &Request| false)).no_budget();
    builder.refused = false;
    builder
}

impl Builder {
    /// Retries requests in a scope.
    pub fn scoped(scope: impl scope::Scope) -> Self {
        Self {
            budget: Some(0.2),
            scope: Some(Arc::new(scope)),
            ..Self::by_default()
        }
    }

    /// A client's default.
    pub(crate) fn by_default() -> Self {
        Self {
            budget: None,
            classifier: None,
            max_retries: 2,
            scope: None,
            refused: true,
        }
    }

    pub(crate) fn repeats_refused(&self) -> bool {
        self.refused
    }

    /// Does not limit the extra load.
    #[must_use]
    pub fn no_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// Limits retries to this share of the requests. Default 0.2: one retry per five requests.
    ///
    /// # Panics
    /// If it is negative or over 1000.
    #[must_use]
    pub fn max_extra_load(mut self, extra_percent: f32) -> Self {
        assert!(
            (0.0..=1000.0).contains(&extra_percent),
            "extra load must lie between 0 and 1000"
        );
        self.budget = Some(extra_percent);
        self
    }

    /// Maximum number of retries per request, excluding the first attempt. Default 2.
    #[must_use]
    pub fn max_retries_per_request(mut self, max: u32) -> Self {
        self.max_retries = max;
        self
    }

    /// Calls a function for each outcome.
    #[must_use]
    pub fn classify_fn<F>(self, func: F) -> Self
    where
        F: Fn(ReqRep<'_>) -> Action + Send + Sync + 'static,
    {
        self.classify(classify::ClassifyFn(func))
    }

    /// Uses a classifier for each outcome.
    #[must_use]
    pub fn classify(mut self, classifier: impl classify::Classify) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    pub(crate) fn build(self) -> Policy {
        let budget = self
            .budget
            .map(|share| TpsBudget::new(BUDGET_WINDOW, BUDGET_FLOOR, share));
        Policy {
            budget,
            classifier: self.classifier,
            max_retries: self.max_retries,
            scope: self.scope,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("budget", &self.budget)
            .field("classifier", &self.classifier.is_some())
            .field("max_retries", &self.max_retries)
            .field("scope", &self.scope.is_some())
            .finish()
    }
}

pub(crate) type Request = http::Request<Body>;

/// A client's retries.
pub(crate) struct Policy {
    budget: Option<TpsBudget>,
    classifier: Option<Arc<dyn classify::Classify>>,
    max_retries: u32,
    scope: Option<Arc<dyn scope::Scope>>,
}

impl Policy {
    /// A copy of a request in case it must be retried; `None` if it will not be, whatever the
    /// outcome. `sent`: retries so far.
    pub(crate) fn copy(&self, parts: &Parts, body: &Body, sent: u32) -> Option<Request> {
        if sent >= self.max_retries || self.classifier.is_none() {
            return None;
        }
        let copy = Request::from_parts(parts.clone(), body.try_clone()?);
        let scope = self.scope.as_ref();
        scope
            .is_none_or(|scope| scope.applies_to(&copy))
            .then_some(copy)
    }

    /// Whether the copy is to be sent.
    pub(crate) fn wants(&self, copy: &Request, answer: Result<StatusCode, &crate::Error>) -> bool {
        let answer = ReqRep::new(copy, answer);
        let classifier = self.classifier.as_ref();
        match classifier.map_or(Action::Success, |classifier| classifier.classify(answer)) {
            Action::Success => {
                if let Some(budget) = &self.budget {
                    budget.deposit();
                }
                false
            }
            Action::Retryable => self.budget.as_ref().is_none_or(Budget::withdraw),
        }
    }
}

mod scope {
    use super::Request;

    /// Which requests a policy is for.
    pub trait Scope: Send + Sync + 'static {
        fn applies_to(&self, request: &Request) -> bool;
    }

    pub(super) struct ScopeFn<F>(pub(super) F);

    impl<F> Scope for ScopeFn<F>
    where
        F: Fn(&Request) -> bool + Send + Sync + 'static,
    {
        fn applies_to(&self, request: &Request) -> bool {
            (self.0)(request)
        }
    }
}

mod classify {
    use http::{Method, StatusCode, Uri};

    use super::Request;

    /// Classifies outcomes.
    pub trait Classify: Send + Sync + 'static {
        fn classify(&self, answer: ReqRep<'_>) -> Action;
    }

    pub(super) struct ClassifyFn<F>(pub(super) F);

    impl<F> Classify for ClassifyFn<F>
    where
        F: Fn(ReqRep<'_>) -> Action + Send + Sync + 'static,
    {
        fn classify(&self, answer: ReqRep<'_>) -> Action {
            (self.0)(answer)
        }
    }

    /// A request and its outcome.
    #[derive(Debug)]
    pub struct ReqRep<'a> {
        request: &'a Request,
        answer: Result<StatusCode, &'a crate::Error>,
    }

    impl<'a> ReqRep<'a> {
        pub(super) fn new(
            request: &'a Request,
            answer: Result<StatusCode, &'a crate::Error>,
        ) -> Self {
            Self { request, answer }
        }

        /// The request's method.
        pub fn method(&self) -> &Method {
            self.request.method()
        }

        /// The request's URI.
        pub fn uri(&self) -> &Uri {
            self.request.uri()
        }

        /// The response's status; `None` if there was no response.
        pub fn status(&self) -> Option<StatusCode> {
            self.answer.ok()
        }

        /// Why there was no response.
        pub fn error(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.answer.err().map(|error| error as _)
        }

        /// Retry it.
        pub fn retryable(self) -> Action {
            Action::Retryable
        }

        /// Do not retry it.
        pub fn success(self) -> Action {
            Action::Success
        }
    }

    /// The classification of an outcome.
    #[must_use]
    #[derive(Debug)]
    pub enum Action {
        /// Do not retry.
        Success,
        /// The request may be retried.
        Retryable,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn request(host: &str) -> Request {
        let mut request = http::Request::new(Body::from("x"));
        *request.uri_mut() = format!("http://{host}/").parse().expect("valid");
        request
    }

    fn copied(policy: &Policy, host: &str, sent: u32) -> bool {
        let (parts, body) = request(host).into_parts();
        policy.copy(&parts, &body, sent).is_some()
    }

    fn always(answer: ReqRep<'_>) -> Action {
        answer.retryable()
    }

    #[test]
    fn only_requests_in_scope_are_copied_and_only_so_often() {
        let policy = for_host("one").classify_fn(always).build();
        assert!(copied(&policy, "one", 0));
        assert!(!copied(&policy, "one", 2));
        assert!(!copied(&policy, "two", 0));
    }

    #[test]
    fn a_policy_that_never_retries_copies_nothing() {
        assert!(!copied(&never().build(), "one", 0));
    }

    #[test]
    fn a_budget_ends() {
        let policy = for_host("one")
            .max_extra_load(0.0)
            .classify_fn(always)
            .build();
        let request = request("one");
        let wants = || policy.wants(&request, Ok(StatusCode::SERVICE_UNAVAILABLE));
        let granted = (0..1000).take_while(|_| wants()).count();
        assert!((1..1000).contains(&granted), "{granted}");
    }
}
