//! Configuration of HTTP/3: when it is used, and the limits of its connections.

use std::time::Duration;

/// When HTTP/3 is used, and limits of its connections. Read by the connection.
///
/// Needs the feature `http3` of the engine; without it, a pool with any other
/// [`mode`](Http3Config::mode) than [`Http3Mode::Off`] is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http3Config {
    /// When it is used. Default [`Http3Mode::Off`].
    pub mode: Http3Mode,
    /// Maximum number of concurrent requests per connection; the peer's limit may be lower.
    /// Default 100.
    pub max_concurrent_streams: u32,
    /// Bytes that the peer may send on one stream ahead of the reader, and so the most that is
    /// buffered for a paused reader. Default 1 MiB, which allows 10 MB/s at 100 ms.
    pub stream_window: u32,
    /// Bytes that the peer may send on all streams together ahead of their readers. Default `None`:
    /// `max_concurrent_streams` times `stream_window`, so that stopped readers never stall the
    /// others.
    pub connection_window: Option<u32>,
    /// Bytes of request bodies that one connection holds until the peer has acknowledged them.
    /// Default `None`: 4 MiB.
    pub send_window: Option<u32>,
    /// Maximum size of a decoded header list, with 32 bytes added per field (RFC 9114, section
    /// 4.2.2). Default 64 KiB.
    pub max_header_list_size: u32,
    /// Silence after which a connection is lost, if the peer does not ask for less (RFC 9000, section
    /// 10.1). Default 30 s; `None`: the peer's.
    pub idle_timeout: Option<Duration>,
    /// Interval of PING frames that check whether the peer is alive, and keep the connection and the
    /// bindings of NATs from expiring. Default 15 s, below the usual 30 s of both; `None`: none.
    pub ping_interval: Option<Duration>,
    /// Whether a connection without requests is checked, too. Default false: it expires with its
    /// idle timeout, or that of the pool.
    pub ping_while_idle: bool,
    /// Maximum time to wait for anything from the peer after a PING, after which the connection is
    /// closed. Default 20 s.
    pub ping_timeout: Duration,
    /// How the rate of sending adapts to the network. Default [`Congestion::Cubic`].
    pub congestion: Congestion,
    /// Whether the first requests of a resumed connection may be sent before the handshake is complete
    /// (0-RTT; RFC 8470), if their methods are safe and they have no body. An attacker can replay
    /// them. Only with [`Http3Mode::PriorKnowledge`], and not where a hook judges identities. A `425
    /// Too Early` is not reported: the request is sent again. Default false.
    pub early_data: bool,
    /// How often a request is sent again if the peer reports that it did not process it
    /// (H3_REQUEST_REJECTED, or GOAWAY with a lower stream). Default 5.
    pub max_replays: u8,
}

/// See [`Http3Config::mode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http3Mode {
    /// Never.
    #[default]
    Off,
    /// Where the origin offers it: in the `Alt-Svc` field of a response (RFC 7838) over TLS with a
    /// verified certificate. It has a head start of at most 250 ms over TCP, and what is connected
    /// first is used. Without effect on `http` origins, with a proxy, and with a Unix socket.
    Discovered,
    /// Always: every connection is opened with HTTP/3, to the port of the origin. Only for `https`
    /// origins without a proxy and without a Unix socket.
    PriorKnowledge,
}

/// See [`Http3Config::congestion`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// New Reno (RFC 9002, section 7).
    NewReno,
    /// BBR: measures bandwidth and round-trip time. Experimental.
    Bbr,
}

impl Default for Http3Config {
    fn default() -> Self {
        Self {
            mode: Http3Mode::Off,
            max_concurrent_streams: 100,
            stream_window: 1024 * 1024,
            connection_window: None,
            send_window: None,
            max_header_list_size: 64 * 1024,
            idle_timeout: Some(Duration::from_secs(30)),
            ping_interval: Some(Duration::from_secs(15)),
            ping_while_idle: false,
            ping_timeout: Duration::from_secs(20),
            congestion: Congestion::Cubic,
            early_data: false,
            max_replays: 5,
        }
    }
}
