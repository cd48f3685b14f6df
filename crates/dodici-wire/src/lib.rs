//! Records that cross the boundary between JavaScript and Rust.
//!
//! - [`schema`]: the numbers both sides share.
//! - [`layout_hash()`]: one number for all of them, compared when the addon is loaded.
#![forbid(unsafe_code)]

mod layout_hash;
pub mod schema;

pub use layout_hash::layout_hash;
