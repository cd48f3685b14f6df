//! Connections: what speaks HTTP over a transport.
//!
//! - [`framing`]: the framing guard, our strict HTTP/1 response reader and head keeper.

pub mod framing;
