//! The client against scripted servers: what reqwest's own tests do not cover.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod allow;
mod callbacks;
mod example;
mod limits;
mod pool;
mod shared;
mod trace;
mod trust;
mod ways;
