//! The builder of blocking clients, around the async one.

use std::fmt;
use std::time::Duration;

use super::client::Client;
use crate::builder::Config;
use crate::client_api::client_api;

/// Default timeout of a request.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings for a [`Client`].
///
/// ```
/// use std::time::Duration;
///
/// let client = dodici_reqwest::blocking::Client::builder()
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// # Ok::<_, dodici_reqwest::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    inner: crate::ClientBuilder,
    timeout: Option<Duration>,
}

client_api!(new: "If TLS or the thread cannot be set up.");

impl ClientBuilder {
    /// A builder with default settings.
    pub fn new() -> Self {
        crate::ClientBuilder::new().into()
    }

    /// Creates the client and its thread.
    ///
    /// # Errors
    /// A builder error for an invalid option, or if the thread or
    /// its runtime cannot be created.
    pub fn build(self) -> crate::Result<Client> {
        Client::start(self.inner, self.timeout)
    }

    /// Timeout for a request, and for each read of its response body; `None` for no limit.
    /// Default 30 s.
    pub fn timeout<T: Into<Option<Duration>>>(mut self, timeout: T) -> Self {
        self.timeout = timeout.into();
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.inner = self.inner.change(change);
        self
    }
}

/// An async builder's settings, with the blocking client's default timeout.
impl From<crate::ClientBuilder> for ClientBuilder {
    fn from(inner: crate::ClientBuilder) -> Self {
        Self {
            inner,
            timeout: Some(DEFAULT_TIMEOUT),
        }
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
