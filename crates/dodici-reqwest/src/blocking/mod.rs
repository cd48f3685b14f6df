//! The client for programs without a runtime: each call waits for its answer.
//!
//! ```no_run
//! # fn run() -> Result<(), dodici_reqwest::Error> {
//! let body = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
//! println!("{body}");
//! # Ok(())
//! # }
//! ```
//!
//! A client has a thread of its own on which an asynchronous one runs. On a thread that runs
//! asynchronous tasks it works as anywhere else, and none of them goes on while it waits: if the
//! answer depends on one of them, only the timeout ends the wait. `tokio::task::spawn_blocking` is
//! the place for it there.
//!
//! Needs the feature `blocking`.

mod body;
mod builder;
mod client;
#[cfg(feature = "multipart")]
pub mod multipart;
mod request;
mod response;
mod wait;

pub use body::Body;
pub use builder::ClientBuilder;
pub use client::Client;
pub use request::{Request, RequestBuilder};
pub use response::Response;

/// One `GET` request with a client of its own. Several requests are better made with one
/// [`Client`], which keeps its connections.
///
/// ```no_run
/// # fn run() -> Result<(), dodici_reqwest::Error> {
/// let body = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Whatever keeps the request from being answered.
pub fn get<T: crate::IntoUrl>(url: T) -> crate::Result<Response> {
    Client::builder().build()?.get(url).send()
}
