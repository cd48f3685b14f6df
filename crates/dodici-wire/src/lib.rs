//! Records that cross the boundary between JavaScript and Rust.
//!
//! - [`schema`]: the numbers both sides share.
#![forbid(unsafe_code)]

pub mod schema;
