//! Request bodies for hyper, and merging of small response pieces.

mod outgoing;
mod pieces;

pub(crate) use outgoing::OutgoingBody;
pub(crate) use pieces::Pieces;
