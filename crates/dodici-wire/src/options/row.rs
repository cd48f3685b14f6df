//! The rows of the table of options, and the table's Rust half.
//!
//! Used by `table` and by the generator of the other half.

/// One option, or one key without an option.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// How it is sent to Rust; `None`: it stays in JavaScript, or is part of another's key.
    pub wire: Option<Wire>,
    /// Where it is set.
    pub scope: Scope,
    /// Its name in JavaScript; empty for a derived key.
    pub name: &'static str,
    /// What is generated for it in JavaScript.
    pub derived: Derived,
    /// Who honours it.
    pub by: By,
    /// Its type in TypeScript.
    pub types: &'static str,
    /// The unit of a number.
    pub unit: Unit,
    /// Its value if it is not given, or `null`.
    pub default: Fallback,
    /// The rule for a given value.
    pub rule: Rule,
    /// undici's error message for an invalid value; `{}` is the name.
    pub refusal: &'static str,
    /// undici's `Pool` passes it to its clients unchanged. All others are copied through JSON,
    /// which has no `Infinity`.
    pub kept: bool,
    /// One or two sentences for users, without what the other fields say.
    pub doc: &'static str,
    /// Fields of the engine's configuration, if the place does not name one.
    pub engine: &'static [&'static str],
    /// The equivalents in `dodici-reqwest`.
    pub reqwest: &'static [&'static str],
}

/// How an option is sent to Rust.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The number of its `OptionKey`.
    pub key: u16,
    /// The name of its `OptionKey`.
    pub key_name: &'static str,
    /// The encoding of its value.
    pub form: Form,
    /// The reader of its value.
    pub reader: &'static str,
    /// The field in the configuration that it sets.
    pub place: &'static str,
}

/// The encoding of a value. Times are milliseconds; `Infinity` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `f64`.
    Number,
    /// One byte, 0 or 1.
    Flag,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// Bytes, and the key may repeat.
    List,
}

/// Where an option is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nowhere: the pool's origin, and what is derived from it and from options.
    Origin,
    /// `Agent`.
    Agent,
    /// `Client`, `Pool`, `Agent`, and the entries of `origins`.
    Client,
    /// As `Client`, except on `Client` itself, which has one connection.
    Pool,
    /// `h2Options`, or next to it.
    Http2,
    /// `connect`: sockets.
    Connect,
    /// `connect`: TLS, with the origin or with a proxy.
    Tls,
    /// The proxy agents.
    Proxy,
}

/// What is generated for an option in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// Everything: validation, default and writing.
    Whole,
    /// Writing. Reading takes more than a rule: `connect-options.ts`.
    Written,
    /// A name and a rule.
    Name,
}

/// Who honours an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The engine, or JavaScript on its behalf.
    Engine,
    /// undici's own class, which then serves the origin, on Node's sockets and TLS.
    Peer,
    /// Nobody: it has no effect in undici either, or no meaning for the engine.
    Nobody,
}

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None, or not a number.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

/// The default of an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// This number.
    Number(f64),
    /// This.
    Flag(bool),
    /// None: no limit, or what this text says.
    Nothing(&'static str),
    /// A setting of the process, described by this text.
    Process(&'static str),
}

/// The rule for a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Anything; a value that is not a number counts as absent.
    Any,
    /// An integer of at least this.
    Integer(i64),
    /// A finite number of at least this.
    AtLeast(f64),
    /// A finite number above this.
    Above(f64),
    /// A finite number.
    Finite,
    /// `true` or `false`.
    Boolean,
    /// A string.
    Text,
    /// This string.
    Word(&'static str),
    /// An IP address without a zone.
    Address,
    /// A function or an object.
    FunctionOrObject,
}

/// The defaults of rows.
pub(super) const ROW: OptionRow = OptionRow {
    wire: None,
    scope: Scope::Origin,
    name: "",
    derived: Derived::Name,
    by: By::Engine,
    types: "number | null",
    unit: Unit::None,
    default: Fallback::Nothing(""),
    rule: Rule::Any,
    refusal: "invalid {}",
    kept: false,
    doc: "",
    engine: &[],
    reqwest: &[],
};

/// An option of agents.
pub(super) const AGENT: OptionRow = OptionRow {
    scope: Scope::Agent,
    ..ROW
};

/// An option of clients that is a number or a limit. As in undici, `null` is not in its type.
pub(super) const CLIENT: OptionRow = OptionRow {
    scope: Scope::Client,
    types: "number",
    derived: Derived::Whole,
    ..ROW
};

/// An option of clients that JavaScript reads with hand-written code.
pub(super) const NAMED: OptionRow = OptionRow {
    scope: Scope::Client,
    kept: true,
    ..ROW
};

pub(super) const POOL: OptionRow = OptionRow {
    scope: Scope::Pool,
    derived: Derived::Whole,
    kept: true,
    ..ROW
};

pub(super) const HTTP2: OptionRow = OptionRow {
    scope: Scope::Http2,
    types: "number",
    derived: Derived::Whole,
    rule: Rule::Integer(1),
    refusal: "{} must be a positive integer, greater than 0",
    ..ROW
};

pub(super) const CONNECT: OptionRow = OptionRow {
    scope: Scope::Connect,
    derived: Derived::Written,
    ..ROW
};

pub(super) const TLS: OptionRow = OptionRow {
    scope: Scope::Tls,
    derived: Derived::Written,
    ..ROW
};

pub(super) const PROXY: OptionRow = OptionRow {
    scope: Scope::Proxy,
    ..ROW
};

/// `key Name = number: form, reader => place;` for what is sent, then `row`, its base and
/// the fields in which it differs. The readers are those of [`Value`].
macro_rules! options {
    ($(
        $(key $key:ident = $number:literal: $form:ident, $reader:ident => $($place:ident).+;)?
        row $base:ident { $($field:ident: $value:expr),* $(,)? }
    )*) => {
        crate::schema::wire_enum! {
            /// Keys of pool options. On the wire: `u16 key`, `u16 zero`, `u32 length`, value,
            /// padded to 4.
            pub enum OptionKey : u16 { $($(
                #[doc = concat!("Sets `", stringify!($($place).+), "`.")]
                $key = $number,
            )?)* }
        }

        /// Every row. Options of clients are in the order in which undici's `Client` checks them.
        pub const ROWS: &[OptionRow] = &[$(
            OptionRow {
                wire: options!(@wire $($key, $form, $reader, $($place).+)?),
                $($field: $value,)*
                ..$base
            }
        ),*];

        /// Stores a value in its place.
        pub(super) fn read(key: OptionKey, value: &Value<'_>, parts: &mut Parts) -> Result<(), Wrong> {
            match key { $($(
                OptionKey::$key => value.$reader(&mut parts.$($place).+),
            )?)* }
        }
    };
    (@wire) => { None };
    (@wire $key:ident, $form:ident, $reader:ident, $($place:ident).+) => {
        Some(Wire {
            key: OptionKey::$key as u16,
            key_name: stringify!($key),
            form: Form::$form,
            reader: stringify!($reader),
            place: stringify!($($place).+),
        })
    };
}

pub(super) use options;
