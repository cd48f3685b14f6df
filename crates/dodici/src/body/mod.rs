//! Request bodies as hyper takes them, and pieces of response bodies put together.

mod outgoing;
mod pieces;

pub(crate) use outgoing::OutgoingBody;
pub(crate) use pieces::Pieces;
