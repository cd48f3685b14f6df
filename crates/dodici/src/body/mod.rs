//! Request bodies as hyper takes them.

mod outgoing;

pub(crate) use outgoing::OutgoingBody;
