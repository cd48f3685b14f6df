//! Placeholder.

#[doc(hidden)]
pub mod conn;
