//! Enums that know their variants.
//!
//! Outside of this crate an enum that may grow is matched with `_`, where a new variant is easily
//! forgotten: a test there compares [`NAMES`](super::event::Event::NAMES) with what it handles.

/// Adds `NAMES` to an enum.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$about:meta])* $variant:ident $({ $($fields:tt)* })? $(( $($values:tt)* ))?,)*
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $($(#[$about])* $variant $({ $($fields)* })? $(( $($values)* ))?,)*
        }

        impl $name {
            /// The names of all variants.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];
        }
    };
}
pub(super) use named;
