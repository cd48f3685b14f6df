//! dodici-reqwest under reqwest's name, for `[patch.crates-io]`.

pub use dodici_reqwest::*;
