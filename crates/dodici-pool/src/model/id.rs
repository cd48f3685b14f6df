//! Identifiers of requests and connections: a slot and a generation, so that a stale id is
//! detected.

use std::fmt;

macro_rules! slot_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// Index in the owner's table.
            pub slot: u32,
            /// How many times that slot was used before.
            pub generation: u32,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}.{}"), self.slot, self.generation)
            }
        }
    };
}

slot_id! {
    /// One request, from dispatch until it settles.
    RequestId, "r"
}
slot_id! {
    /// One connection, from the decision to connect until its disconnect event.
    ConnId, "c"
}
