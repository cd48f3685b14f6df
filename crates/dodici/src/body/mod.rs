//! Merging of small response pieces.

mod pieces;

pub(crate) use pieces::Pieces;
