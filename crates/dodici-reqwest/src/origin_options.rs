//! Settings of single origins, from the builder to the pools.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dodici::{AddressRule, OriginConfig};

use crate::util::opaque;

type Change = dyn Fn(&mut OriginConfig) + Send + Sync;

/// Settings for the connections to one origin; the client's apply where nothing is set.
#[derive(Clone, Default)]
#[must_use]
pub struct OriginOptions {
    changes: Vec<Arc<Change>>,
    /// Which addresses may be connected to.
    pub(crate) allow: Option<Arc<dyn AddressRule>>,
}

impl OriginOptions {
    pub(crate) fn apply(&self, config: &mut OriginConfig) {
        for change in &self.changes {
            change(config);
        }
    }

    fn with(mut self, change: impl Fn(&mut OriginConfig) + Send + Sync + 'static) -> Self {
        self.changes.push(Arc::new(change));
        self
    }

    /// Maximum number of connections; further requests wait. Zero counts as one. Default: no limit.
    pub fn max_connections(self, max: u32) -> Self {
        self.with(move |config| config.pool.max_connections = at_least_one(max))
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

    /// Whether HTTP/3 is used. Default: the client's.
    ///
    /// Needs the feature `http3`.
    #[cfg(feature = "http3")]
    pub fn http3(self, mode: dodici::Http3Mode) -> Self {
        self.with(move |config| config.http3.mode = mode)
    }

    /// Connect timeout. Default: the client's.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(move |config| config.connect.timeout = Some(timeout))
    }

    /// Connects to this origin only at addresses for which the function returns true, also where a proxy
    /// connects to it; the address of the proxy is a matter of the proxy's own rule. Default: the
    /// client's. See [`allow_addresses`](crate::ext::ClientBuilderExt::allow_addresses) of the builder.
    pub fn allow_addresses<F>(mut self, rule: F) -> Self
    where
        F: Fn(IpAddr, &str) -> bool + Send + Sync + 'static,
    {
        self.allow = Some(Arc::new(rule));
        self
    }

    /// Minimum rate of a response body; see
    /// [`ClientBuilderExt::min_body_rate`](super::ClientBuilderExt::min_body_rate). Default: the client's.
    pub fn min_body_rate(self, bytes_per_second: u32) -> Self {
        self.with(move |config| {
            config.exchange.min_body_rate = NonZeroU32::new(bytes_per_second);
        })
    }

    /// Maximum size of a response body before decoding. Default: no limit.
    pub fn max_response_size(self, bytes: u64) -> Self {
        self.with(move |config| config.exchange.max_response_size = Some(bytes))
    }
}

opaque!(OriginOptions);

/// Zero counts as one.
pub(crate) fn at_least_one(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number.max(1))
}
