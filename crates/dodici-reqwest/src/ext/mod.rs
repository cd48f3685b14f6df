//! Extension traits for what reqwest's API does not have:
//!
//! - [`ClientBuilderExt`]: per-origin settings, limits, connection ages, connection events, timings,
//!   rules about addresses, a DNS cache.
//! - [`ClientExt`]: connections in advance, what connections are doing, statistics of the pools.
//! - [`RequestBuilderExt`]: informational responses as they arrive, timings, a minimum rate of the
//!   body, exact header fields.
//! - [`BodyExt`]: request trailers.
//! - [`ResponseExt`]: connection, timings, exact header fields, trailers.
//!
//! ```
//! use std::time::Duration;
//! use dodici_reqwest::{Client, ext::ClientBuilderExt};
//!
//! let client = Client::builder()
//!     .origin("https://api.example", |origin| {
//!         origin.max_connections(4).max_connection_age(Duration::from_secs(300))
//!     })
//!     .on_connection_event(|origin, event| println!("{origin}: {event:?}"))
//!     .build()?;
//! # Ok::<_, dodici_reqwest::Error>(())
//! ```

mod builder;
mod client;
mod request;
mod response;

pub use builder::ClientBuilderExt;
pub use client::ClientExt;
pub use request::{BodyExt, RequestBuilderExt};
pub use response::{ResponseExt, Timings};

pub use crate::origin_options::OriginOptions;
#[cfg(feature = "http3")]
pub use dodici::Http3Mode;
pub use dodici::{
    Activity, CloseReason, ConnId, ConnectInfo, ConnectTimings, ConnectionStatus, DisconnectInfo,
    DnsCacheConfig, Event, HeaderBlock, Origin, PoolStats, Protocol, RequestTimings, ResponseHead,
    clear_dns_cache, is_public, public,
};
