//! Options of HTTP/3.

use std::time::Duration;

use super::options;

options! {
    /// Uses HTTP/3 only, with prior knowledge. `http` URLs and requests through a proxy then fail.
    ///
    /// For a single request, set its version to [`Version::HTTP_3`](crate::Version::HTTP_3); for an
    /// origin, see [`ext::OriginOptions`](crate::ext::OriginOptions); where a server offers it, see
    /// [`http3_discovery`](crate::ext::ClientBuilderExt::http3_discovery).
    ///
    /// Needs the feature `http3`.
    fn http3_prior_knowledge() |config| {
        config.engine.http3.mode = dodici::Http3Mode::PriorKnowledge;
    }

    /// Whether safe requests without a body may be sent before the handshake of a resumed HTTP/3
    /// connection is complete (0-RTT). An attacker can replay them. Default false.
    ///
    /// Needs the feature `http3`.
    fn tls_early_data(enabled: bool) |config| {
        config.engine.http3.early_data = enabled;
    }

    /// Silence after which an HTTP/3 connection is lost. Default 30 s; the server may ask for less.
    ///
    /// Needs the feature `http3`.
    fn http3_max_idle_timeout(value: Duration) |config| {
        config.engine.http3.idle_timeout = Some(value);
    }

    /// Bytes that the server may send ahead on one HTTP/3 stream. Default 1 MiB, at most 4 GiB.
    ///
    /// Needs the feature `http3`.
    fn http3_stream_receive_window(value: u64) |config| {
        config.engine.http3.stream_window = saturated(value);
    }

    /// Bytes that the server may send ahead on all streams of an HTTP/3 connection, at most 4 GiB.
    /// Default: the sum of all stream windows, so that unread responses never stall the others.
    ///
    /// Needs the feature `http3`.
    fn http3_conn_receive_window(value: u64) |config| {
        config.engine.http3.connection_window = Some(saturated(value));
    }

    /// Bytes of request bodies that an HTTP/3 connection holds until the server has acknowledged
    /// them, at most 4 GiB. Default 4 MiB.
    ///
    /// Needs the feature `http3`.
    fn http3_send_window(value: u64) |config| {
        config.engine.http3.send_window = Some(saturated(value));
    }

    /// Uses BBR for congestion control of HTTP/3 connections, which is experimental. Default:
    /// CUBIC.
    ///
    /// Needs the feature `http3`.
    fn http3_congestion_bbr() |config| {
        config.engine.http3.congestion = dodici::Congestion::Bbr;
    }

    /// Maximum size of an HTTP/3 response head, in bytes, plus 32 per field. Default 65,536.
    ///
    /// Needs the feature `http3`.
    fn http3_max_field_section_size(value: u64) |config| {
        config.engine.http3.max_header_list_size = saturated(value);
    }

    /// No effect: reserved settings, frames and streams (RFC 9114, section 7.2.8) are never sent.
    ///
    /// Needs the feature `http3`.
    fn http3_send_grease(enabled: bool) |config| {
        let _ = (enabled, config);
    }
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
