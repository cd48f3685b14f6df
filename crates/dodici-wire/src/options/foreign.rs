//! Keys of Node's sockets and TLS in `connect` that the engine does not read: undici's own class serves
//! an origin with one of the first two kinds, the third has no effect.
//!
//! `cargo xtask codegen` lists them with the rows of the table.

use super::row::{By, OptionRow, ROW, Scope};

/// See above.
pub const FOREIGN_ROWS: &[OptionRow] = &[
    socket(
        "allowHalfOpen",
        "Keeps upgraded sockets open for writing after the server has ended them. The engine ends them.",
    ),
    socket("fd", "An existing file descriptor: it belongs to Node."),
    socket("handle", "An existing handle of libuv."),
    socket("objectMode", "An error of Node's."),
    socket(
        "onread",
        "Reads into a buffer of JavaScript's, which the engine's threads must not touch.",
    ),
    socket(
        "readable",
        "`false`: a socket that cannot be read, and so has no response.",
    ),
    socket("readableObjectMode", "An error of Node's."),
    socket(
        "signal",
        "Destroys the socket. The engine's have no signal, its requests do.",
    ),
    socket(
        "writable",
        "`false`: a socket that cannot be written, and so has no request.",
    ),
    socket("writableObjectMode", "An error of Node's."),
    tls(
        "certificateCompression",
        "Algorithms for compressed certificates, which the engine does not decompress.",
    ),
    tls("clientCertEngine", "An OpenSSL engine."),
    tls(
        "dhparam",
        "Parameters of a server, which Node checks nevertheless.",
    ),
    tls("privateKeyEngine", "An OpenSSL engine."),
    tls(
        "privateKeyIdentifier",
        "A key in an OpenSSL engine, which cannot be read.",
    ),
    tls(
        "pskCallback",
        "Pre-shared keys, which rustls does not have.",
    ),
    tls(
        "secureContext",
        "An OpenSSL context: what is in it cannot be read.",
    ),
    tls("secureOptions", "OpenSSL's options, as its bits."),
    tls("session", "An OpenSSL session, which rustls cannot resume."),
    idle("ALPNCallback", "For servers."),
    idle("ALPNProtocols", "undici decides: `allowH2`."),
    idle("SNICallback", "For servers."),
    idle("highWaterMark", "Credit bounds what is buffered."),
    idle("honorCipherOrder", "For servers."),
    idle("host", "undici takes the origin's."),
    idle("hostname", "undici takes the origin's."),
    idle("isServer", "For servers."),
    idle(
        "minDHSize",
        "rustls has no finite-field Diffie-Hellman; undici's class honours it.",
    ),
    idle("port", "undici takes the origin's."),
    idle("protocol", "undici takes the origin's."),
    idle("readableHighWaterMark", "Credit bounds what is buffered."),
    idle("requestCert", "For servers."),
    idle("requestOCSP", "undici does not pass the response on."),
    idle("server", "For servers."),
    idle("sessionIdContext", "For servers."),
    idle("sessionTimeout", "For servers."),
    idle("socket", "undici takes its own."),
    idle("ticketKeys", "For servers."),
    idle("writableHighWaterMark", "Credit bounds what is buffered."),
];

const fn socket(name: &'static str, doc: &'static str) -> OptionRow {
    foreign(Scope::Connect, By::Peer, name, doc)
}

const fn tls(name: &'static str, doc: &'static str) -> OptionRow {
    foreign(Scope::Tls, By::Peer, name, doc)
}

const fn idle(name: &'static str, doc: &'static str) -> OptionRow {
    foreign(Scope::Connect, By::Nobody, name, doc)
}

const fn foreign(scope: Scope, by: By, name: &'static str, doc: &'static str) -> OptionRow {
    OptionRow {
        scope,
        by,
        name,
        doc,
        ..ROW
    }
}
