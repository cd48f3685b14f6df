//! The client for programs without a runtime: each call blocks until its response arrives.
//!
//! ```no_run
//! # fn run() -> Result<(), dodici_reqwest::Error> {
//! let body = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
//! println!("{body}");
//! # Ok(())
//! # }
//! ```
//!
//! A client has its own thread that runs an async client. It also works on a thread that runs async
//! tasks, but blocks all of them: if the response depends on one of them, only the timeout ends the
//! wait. Use `tokio::task::spawn_blocking` there.
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

/// A single `GET` request with its own client. For several requests, use one [`Client`], which
/// reuses its connections.
///
/// ```no_run
/// # fn run() -> Result<(), dodici_reqwest::Error> {
/// let body = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Any error that prevents a response.
pub fn get<T: crate::IntoUrl>(url: T) -> crate::Result<Response> {
    Client::builder().build()?.get(url).send()
}
