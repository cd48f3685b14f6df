//! Extensions of both client builders.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dodici::{Event, Origin, OriginConfig, Scheme};

use crate::IntoUrl;

/// Called with each event of a client's connections.
pub(crate) type EventCallback = Arc<dyn Fn(&Origin, &Event) + Send + Sync>;

/// Settings of one origin.
pub(crate) struct OriginRule {
    origin: Origin,
    options: OriginOptions,
}

impl OriginRule {
    pub(crate) fn apply(&self, origin: &Origin, config: &mut OriginConfig) {
        if self.origin == *origin {
            for change in &self.options.changes {
                change(config);
            }
        }
    }
}

type Change = dyn Fn(&mut OriginConfig) + Send + Sync;

/// Settings for the connections to one origin; the client's apply where nothing is set.
#[derive(Clone, Default)]
#[must_use]
pub struct OriginOptions {
    changes: Vec<Arc<Change>>,
}

impl OriginOptions {
    fn with(mut self, change: impl Fn(&mut OriginConfig) + Send + Sync + 'static) -> Self {
        self.changes.push(Arc::new(change));
        self
    }

    /// Maximum number of connections; further requests wait. Zero counts as one. Default: no limit.
    pub fn max_connections(self, max: u32) -> Self {
        self.with(move |config| config.pool.connections = at_least_one(max))
    }

    /// Age after which a connection accepts no further requests. Default: no limit.
    pub fn max_connection_age(self, age: Duration) -> Self {
        self.with(move |config| config.pool.max_connection_age = Some(age))
    }

    /// Most idle connections kept; one more is closed instead. Zero keeps none, but a connection
    /// still serves the requests that wait for one. Default: the client's.
    pub fn max_idle_connections(self, max: u32) -> Self {
        self.with(move |config| config.pool.max_idle_connections = Some(max))
    }

    /// Idle timeout of connections. Default: the client's.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.with(move |config| {
            config.pool.keep_alive_timeout = Some(timeout);
            config.pool.keep_alive_max_timeout = Some(timeout);
        })
    }

    /// Requests after which a connection is closed. Zero counts as one. Default: no limit.
    pub fn max_requests_per_connection(self, max: u32) -> Self {
        self.with(move |config| config.pool.max_requests_per_connection = at_least_one(max))
    }

    /// Connect timeout. Default: the client's.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(move |config| config.connect.timeout = Some(timeout))
    }

    /// Maximum size of a response body before decoding. Default: no limit.
    pub fn max_response_size(self, bytes: u64) -> Self {
        self.with(move |config| config.exchange.max_response_size = Some(bytes))
    }
}

impl fmt::Debug for OriginOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginOptions").finish_non_exhaustive()
    }
}

fn at_least_one(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number.max(1))
}

/// Settings that reqwest's builder does not have.
pub trait ClientBuilderExt: Sized + sealed::Change {
    /// Settings for one origin: scheme, host and port of this URL. Later calls override earlier
    /// ones. An invalid URL is a builder error.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientBuilderExt};
    ///
    /// let client = Client::builder()
    ///     .origin("https://slow.example", |origin| origin.max_connections(1))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn origin<U: IntoUrl>(
        self,
        url: U,
        options: impl FnOnce(OriginOptions) -> OriginOptions,
    ) -> Self {
        let options = options(OriginOptions::default());
        let url = url.into_url();
        self.change_config(move |config| match url {
            Ok(url) => {
                let scheme = match url.scheme() {
                    "https" => Scheme::Https,
                    _ => Scheme::Http,
                };
                let port = url.port().unwrap_or(scheme.default_port());
                config.origins.push(OriginRule {
                    origin: Origin::new(scheme, url.host_str().unwrap_or_default(), port),
                    options,
                });
            }
            Err(error) => config.error = Some(error),
        })
    }

    /// Maximum number of connections per origin; further requests wait. Zero counts as one.
    /// Default: no limit.
    #[must_use]
    fn max_connections_per_origin(self, max: u32) -> Self {
        self.change_config(|config| config.pool.connections = at_least_one(max))
    }

    /// Maximum number of connections to all origins together, including idle ones. A request that
    /// needs another one closes an idle one of any origin, or waits. Zero counts as one. Default:
    /// no limit.
    #[must_use]
    fn max_connections(self, max: u32) -> Self {
        self.change_config(|config| config.max_connections = at_least_one(max))
    }

    /// Age after which a connection accepts no further requests. Default: no limit.
    #[must_use]
    fn max_connection_age(self, age: Duration) -> Self {
        self.change_config(|config| config.pool.max_connection_age = Some(age))
    }

    /// Rejects HTTP/1 responses with invalid framing that reqwest accepts: header lines that end
    /// with LF only, a repeated `content-length` or one beside `transfer-encoding: chunked` (which
    /// takes precedence), whitespace after a chunk size, and malformed chunk extensions. Default
    /// false: they are accepted, and their connection is closed, because such a server may be
    /// subject to response splitting.
    #[must_use]
    fn http1_strict_framing(self, strict: bool) -> Self {
        self.change_config(|config| config.http1.strict_framing = strict)
    }

    /// Maximum size of a response body, after decoding. A larger body fails when it exceeds the
    /// limit, or immediately if its length does. Default: no limit.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientBuilderExt};
    ///
    /// let client = Client::builder().max_body_size(16 * 1024 * 1024).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn max_body_size(self, bytes: u64) -> Self {
        self.change_config(|config| config.max_body = Some(bytes))
    }

    /// Calls a function with every connection event of the client: connected (with the time of each
    /// leg), disconnected (with the reason), connect error. Each connect is followed by exactly one
    /// disconnect. It must not block.
    #[must_use]
    fn on_connection_event<F>(self, callback: F) -> Self
    where
        F: Fn(&Origin, &Event) + Send + Sync + 'static,
    {
        self.change_config(|config| config.events.push(Arc::new(callback)))
    }
}

impl<B: sealed::Change> ClientBuilderExt for B {}

mod sealed {
    use crate::builder::Config;

    pub trait Change {
        #[doc(hidden)]
        #[must_use]
        fn change_config(self, change: impl FnOnce(&mut Config)) -> Self;
    }

    impl Change for crate::ClientBuilder {
        fn change_config(mut self, change: impl FnOnce(&mut Config)) -> Self {
            change(&mut self.config);
            self
        }
    }

    #[cfg(feature = "blocking")]
    impl Change for crate::blocking::ClientBuilder {
        fn change_config(self, change: impl FnOnce(&mut Config)) -> Self {
            self.change(|builder| builder.change_config(change))
        }
    }
}
