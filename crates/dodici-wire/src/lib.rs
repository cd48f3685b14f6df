//! Records that cross the boundary between JavaScript and Rust.
//!
//! - [`schema`]: the numbers both sides share, and the frame of a record.
//! - [`layout_hash()`]: one number for all of them, compared when the addon is loaded.
//! - [`submission`]: JavaScript to Rust. [`completion`]: Rust to JavaScript.
//! - [`options`]: what a pool is made of. [`errors`]: how an error looks to JavaScript.
//! - [`cursor`], [`frame`], [`tagged`], [`headers`]: the layouts these share.
//!
//! Nothing here does I/O or knows Node; the addon in `node/native` does both.
#![forbid(unsafe_code)]

pub mod completion;
pub mod cursor;
pub mod errors;
pub mod frame;
pub mod headers;
mod layout_hash;
pub mod options;
pub mod schema;
pub mod submission;
pub mod tagged;

pub use cursor::Malformed;
pub use frame::{Target, count_records};
pub use layout_hash::layout_hash;
