//! The reqwest 0.13 API over dodici's connection pool.
//!
//! Programs that use reqwest migrate by changing one line in `Cargo.toml`:
//!
//! ```toml
//! reqwest = { package = "dodici-reqwest", version = "0.1" }
//! ```
//!
//! All types, methods and features keep their names and meanings; additions are in [`ext`].
//! native-tls and WebAssembly are not supported. `http3` needs no `--cfg reqwest_unstable`.
//!
//! ```no_run
//! # async fn run() -> Result<(), dodici_reqwest::Error> {
//! let body = dodici_reqwest::get("https://example.com/").await?.text().await?;
//! println!("{body}");
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! Those of reqwest, and `tracing`, off by default: at level `DEBUG`, target `dodici_reqwest` has a
//! span for each hop of a request and events for redirects and retries, around what the engine
//! reports under `dodici::request` and `dodici::connection`.
//!
//! # Map
//!
//! - [`Client`], [`ClientBuilder`], [`RequestBuilder`], [`Request`], [`Response`], [`Body`],
//!   [`Error`]: a request. [`blocking`]: the same for programs without a runtime.
//! - [`redirect`], [`retry`], [`cookie`], [`Proxy`], [`dns`], [`tls`], [`multipart`]: one topic
//!   each.
//! - Internally, from the caller to the wire: `client` (limits), `decompress`, `follow` (redirects),
//!   `attempts` (cookies, retries), `transport` (pools), then the engine.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(
    feature = "native-tls",
    feature = "native-tls-no-alpn",
    feature = "native-tls-vendored",
    feature = "native-tls-vendored-no-alpn"
))]
compile_error!(
    "dodici-reqwest speaks TLS through rustls alone: in place of a `native-tls` feature take \
     `rustls`, which is on by default. Certificates of the operating system are trusted with it as \
     well; a client certificate in a PKCS #12 file has to be converted to PEM."
);

/// Its samples are doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-reqwest.md")]
struct MigrationGuide;

mod attempts;
mod body;
mod builder;
mod client;
mod client_api;
mod connect;
mod decompress;
mod error;
mod failure;
mod follow;
#[cfg(feature = "hickory-dns")]
mod hickory;
#[cfg(feature = "reqwest")]
mod interop;
mod into_url;
mod limits;
#[cfg(feature = "multipart")]
mod multipart_api;
mod options;
mod origin_options;
mod proxy;
mod received;
mod request;
mod request_api;
mod request_builder;
mod response;
mod response_api;
mod trace;
mod transport;
mod upgrade;
mod util;
mod via;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "cookies")]
pub mod cookie;
pub mod dns;
pub mod ext;
#[cfg(feature = "multipart")]
pub mod multipart;
pub mod redirect;
pub mod retry;
pub mod tls;

pub use body::Body;
pub use builder::ClientBuilder;
pub use client::Client;
pub use error::{Error, Result};
pub use http::header;
pub use http::{Method, StatusCode, Version};
pub use into_url::IntoUrl;
pub use proxy::{NoProxy, Proxy};
pub use request::Request;
pub use request_builder::RequestBuilder;
pub use response::{Response, ResponseBuilderExt};
pub use tls::{Certificate, Identity};
pub use upgrade::Upgraded;
pub use url::Url;

/// A single `GET` request with its own client. For several requests, use one [`Client`], which
/// reuses its connections.
///
/// ```no_run
/// # async fn run() -> Result<(), dodici_reqwest::Error> {
/// let body = dodici_reqwest::get("https://example.com/").await?.text().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Any error that prevents a response.
pub async fn get<T: IntoUrl>(url: T) -> Result<Response> {
    Client::builder().build()?.get(url).send().await
}
