//! What a scripted peer records of its connections.

use crate::stream::PeerClose;

/// What a peer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct PeerLog {
    /// One entry per accepted connection, in the order of acceptance.
    pub connections: Vec<ConnectionLog>,
    /// Messages of the scripts that panicked.
    pub failures: Vec<String>,
    /// Scripts that have not ended.
    pub running: usize,
}

impl PeerLog {
    /// Full TLS handshakes.
    pub fn full_handshakes(&self) -> usize {
        self.handshakes(false)
    }

    /// TLS handshakes that resumed a session.
    pub fn resumed_handshakes(&self) -> usize {
        self.handshakes(true)
    }

    fn handshakes(&self, resumed: bool) -> usize {
        self.connections
            .iter()
            .filter(|connection| {
                connection
                    .tls
                    .as_ref()
                    .is_some_and(|facts| facts.resumed == resumed)
            })
            .count()
    }
}

/// What one connection saw.
#[derive(Clone, Debug, Default)]
pub struct ConnectionLog {
    /// Every byte received, TLS removed. Only what the script read.
    pub received: Vec<u8>,
    /// Bytes sent, TLS not counted.
    pub sent: u64,
    /// The TLS handshake, once it has succeeded.
    pub tls: Option<TlsFacts>,
    /// Why the TLS handshake failed.
    pub handshake_error: Option<String>,
    /// How the other side ended the connection, once the script noticed.
    pub peer_close: Option<PeerClose>,
}

/// What TLS negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether it is TLS 1.2 rather than 1.3.
    pub tls12: bool,
    /// Protocol chosen by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// Server name the client sent.
    pub server_name: Option<String>,
    /// Whether the client presented a certificate.
    pub client_cert: bool,
}
