//! Records that cross the boundary between JavaScript and Rust.
//!
//! - [`schema`]: the numbers both sides share, and the frame of a record.
//! - [`tuning`]: numbers that tune one side of the boundary.
//! - [`layout_hash()`]: a hash of all of them, compared when the addon is loaded.
//! - [`submission`]: JavaScript to Rust. [`completion`]: Rust to JavaScript.
//! - [`options`]: a pool's options. [`errors`]: the payload of errors.
//! - [`cursor`], [`frame`], [`tagged`], [`headers`]: shared layouts.
//!
//! Nothing here does I/O or depends on Node; the addon in `node/native` does both.
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
pub mod tuning;

pub use cursor::Malformed;
pub use frame::{Target, count_records};
pub use layout_hash::{TABLES, layout_hash};
