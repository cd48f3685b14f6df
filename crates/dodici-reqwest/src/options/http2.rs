//! Options of HTTP/2.

use std::time::Duration;

use super::options;
use crate::builder::MAX_FRAME;

options! {
    /// Uses HTTP/2 only, with prior knowledge.
    ///
    /// Needs the feature `http2`.
    fn http2_prior_knowledge() |config| {
        config.engine.http2.prior_knowledge = true;
        config.http1_only = false;
    }

    /// Bytes that the server may send ahead on one HTTP/2 stream. Default 2 MiB.
    ///
    /// Needs the feature `http2`.
    fn http2_initial_stream_window_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.windows.stream = sz.into();
    }

    /// Bytes that the server may send ahead on all streams of an HTTP/2 connection. Default: the
    /// sum of all stream windows, so that unread responses never stall the others.
    ///
    /// Needs the feature `http2`.
    fn http2_initial_connection_window_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.windows.connection = sz.into();
    }

    /// Lets the windows of HTTP/2 streams grow from 2 MiB up to 16 MiB: they double when a reader
    /// consumes a whole window within two round trips. Replaces the sizes that were set. An unread
    /// response may use that much memory. Default off.
    ///
    /// Needs the feature `http2`.
    fn http2_adaptive_window(enabled: bool) |config| {
        config.windows.adaptive = enabled;
    }

    /// Maximum size of an HTTP/2 frame from the server, in bytes. Default 65,536.
    ///
    /// Needs the feature `http2`.
    fn http2_max_frame_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.engine.http2.max_frame_size = sz.into().unwrap_or(MAX_FRAME);
    }

    /// Maximum size of an HTTP/2 response head, in bytes, plus 32 per field. Default 65,536.
    ///
    /// Needs the feature `http2`.
    fn http2_max_header_list_size(max_header_size_bytes: u32) |config| {
        config.engine.http2.max_header_list_size = max_header_size_bytes;
    }

    /// Interval between PINGs on an HTTP/2 connection; `None` disables them. Default `None`.
    ///
    /// Needs the feature `http2`.
    fn http2_keep_alive_interval[I](interval: I) where [I: Into<Option<Duration>>] |config| {
        config.engine.http2.ping_interval = interval.into();
    }

    /// How long a PING may stay unacknowledged before the connection is closed. Default 20 s.
    ///
    /// Needs the feature `http2`.
    fn http2_keep_alive_timeout(timeout: Duration) |config| {
        config.engine.http2.ping_timeout = timeout;
    }

    /// Whether idle connections are pinged as well, if an interval is set. Default false.
    ///
    /// Needs the feature `http2`.
    fn http2_keep_alive_while_idle(enabled: bool) |config| {
        config.engine.http2.ping_while_idle = enabled;
    }
}
