//! Values with changes, and configurations that many tests start from.

use std::num::NonZeroU32;

use dodici::OriginConfig;

/// A value with a change, for types that other crates cannot build from their fields.
pub fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// The default with a change.
pub fn config(change: impl FnOnce(&mut OriginConfig)) -> OriginConfig {
    with(OriginConfig::default(), change)
}

/// With a connection limit.
pub fn connections(most: u32) -> OriginConfig {
    config(|config| config.pool.max_connections = NonZeroU32::new(most))
}

/// No timer of a request or of connecting but those that `change` sets, so that paused time jumps
/// to exactly these, or to the end of a connection at rest.
pub fn no_timers(change: impl FnOnce(&mut OriginConfig)) -> OriginConfig {
    config(|config| {
        config.exchange.headers_timeout = None;
        config.exchange.body_timeout = None;
        config.connect.timeout = None;
        change(config);
    })
}

/// HTTP/2 with prior knowledge.
pub fn http2() -> OriginConfig {
    config(|config| config.http2.prior_knowledge = true)
}
