//! What a row of the table of options says, and what the table becomes in Rust.
//!
//! Used by `table`, and by the generator of the other half.

/// One option, or one key that no option stands for.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// How it crosses; `None`: it stays in JavaScript, or goes in another's key.
    pub wire: Option<Wire>,
    /// Where it is given.
    pub scope: Scope,
    /// Its name in JavaScript; empty for a key that follows from others.
    pub name: &'static str,
    /// What the table does for it in JavaScript.
    pub derived: Derived,
    /// Its type in TypeScript.
    pub types: &'static str,
    /// What a number counts.
    pub unit: Unit,
    /// What it is when it is not given, or given as `null`.
    pub default: Fallback,
    /// What a value that is given must be.
    pub rule: Rule,
    /// What is said of a value that breaks the rule, in undici's words; `{}` is the name.
    pub refusal: &'static str,
    /// undici's `Pool` hands it to its clients as it is. All else goes through JSON there, which
    /// knows no `Infinity`.
    pub kept: bool,
    /// One sentence or two for users; nothing that the other fields say.
    pub doc: &'static str,
    /// The fields of the engine's configuration, where the place does not name one.
    pub engine: &'static [&'static str],
    /// What does the same in `dodici-reqwest`.
    pub reqwest: &'static [&'static str],
}

/// How an option crosses.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Its key: the number of an `OptionKey`.
    pub key: u16,
    /// The name of that.
    pub key_name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// The reader of its value.
    pub reader: &'static str,
    /// The place in the configuration that it sets.
    pub place: &'static str,
}

/// The form of a value in the record. Times are milliseconds, `Infinity` means never or no limit.
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

/// Where an option is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nowhere: where a pool's requests go, and what follows from that and from options.
    Origin,
    /// `Client`, `Pool`, `Agent`, and the entries of `origins`.
    Client,
    /// As `Client`, but for `Client` itself, which has one connection.
    Pool,
    /// `h2Options`, or beside it.
    Http2,
    /// `connect`: sockets.
    Connect,
    /// `connect`: TLS, with the origin or with a proxy.
    Tls,
    /// The proxy agents: the way there.
    Proxy,
}

/// What the table does for an option in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// All: the value is checked, filled in and written.
    Whole,
    /// It is written. Reading takes more than a rule: `connect-options.ts`.
    Written,
    /// It has a name and a rule.
    Name,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, or it is no number.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

/// What an option is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// This number.
    Number(f64),
    /// This.
    Flag(bool),
    /// Nothing: no limit, or whatever these words say.
    Nothing(&'static str),
    /// What the process says, in words.
    Process(&'static str),
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Anything; what is no number counts as absent.
    Any,
    /// An integer, at least this.
    Integer(i64),
    /// A finite number, at least this.
    AtLeast(f64),
    /// A finite number above this.
    Above(f64),
    /// A finite number.
    Finite,
    /// `true` or `false`.
    Boolean,
    /// A string.
    Text,
    /// An IP address without a zone.
    Address,
    /// A function or an object.
    FunctionOrObject,
}

/// What most rows have.
pub(super) const ROW: OptionRow = OptionRow {
    wire: None,
    scope: Scope::Origin,
    name: "",
    derived: Derived::Name,
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

/// An option of clients that is a number or a limit.
pub(super) const CLIENT: OptionRow = OptionRow {
    scope: Scope::Client,
    derived: Derived::Whole,
    ..ROW
};

/// An option of clients that JavaScript reads in its own way.
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

/// `key Name = number: form, reader => place;` for what crosses, then `row`, what it is based on and
/// the fields in which it differs. The readers are those of [`Value`].
macro_rules! options {
    ($(
        $(key $key:ident = $number:literal: $form:ident, $reader:ident => $($place:ident).+;)?
        row $base:ident { $($field:ident: $value:expr),* $(,)? }
    )*) => {
        crate::schema::wire_enum! {
            /// Keys of pool options. On the wire: `u16 key`, `u16 zero`, `u32 length`, value, padded
            /// to 4.
            pub enum OptionKey : u16 { $($(
                #[doc = concat!("Sets `", stringify!($($place).+), "`.")]
                $key = $number,
            )?)* }
        }

        /// Every row. Options of clients stand in the order in which undici's `Client` checks them.
        pub const ROWS: &[OptionRow] = &[$(
            OptionRow {
                wire: options!(@wire $($key, $form, $reader, $($place).+)?),
                $($field: $value,)*
                ..$base
            }
        ),*];

        /// Puts a value in its place.
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
