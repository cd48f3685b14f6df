//! How an exchange over a stream fails, and whether its request can be sent again.

use dodici_pool::{Error, ErrorKind, Phase, Replay};

use super::{StreamExchange, StreamFinish, StreamStep};
use crate::conn::h2::{H2Conn, StreamFailure};
use crate::exchange::h2::Part;

impl StreamExchange {
    #[expect(clippy::unused_self, reason = "reads like the other ends")]
    pub(super) fn failed(&self, error: Error) -> StreamStep {
        StreamStep::Finished(StreamFinish::Failed(error))
    }

    /// Whether the request can be sent again, as far as its body goes.
    fn is_whole(&self) -> bool {
        self.part == Part::Head
            && (!self.job.request.body.is_pulled() || self.job.command.is_untouched())
    }

    pub(super) fn replay(&self, error: Error) -> StreamStep {
        StreamStep::Finished(if self.is_whole() {
            StreamFinish::Replay(error.with_replay(Replay::Unsent))
        } else {
            StreamFinish::Failed(error)
        })
    }

    /// The connection has ended under the exchange.
    pub(super) fn lost(&self, conn: &H2Conn, error: &Error) -> StreamStep {
        let error = error.clone().with_phase(self.phase());
        let unprocessed = self
            .stream
            .as_ref()
            .is_none_or(|stream| conn.is_unprocessed(stream.id()));
        if unprocessed {
            self.replay(error)
        } else {
            self.failed(error)
        }
    }

    pub(super) fn stream_failed(
        &self,
        conn: &H2Conn,
        failure: &StreamFailure,
        lost: Option<&Error>,
    ) -> StreamStep {
        let short = self
            .declared
            .is_some_and(|declared| declared != self.received);
        if short && failure.code.is_some() {
            return self.failed(response_length_mismatch());
        }
        if let Some(code) = failure.code {
            let error = Error::new(
                ErrorKind::StreamReset(code),
                self.phase(),
                format!("Stream closed with error code {}", code_name(code)),
            )
            .with_socket(conn.socket_info());
            return if failure.is_refused() {
                self.replay(error)
            } else {
                self.failed(error)
            };
        }
        let why = lost.cloned().or_else(|| conn.goaway_error());
        let why = why.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Socket,
                self.phase(),
                format!("HTTP/2: {}", failure.source),
            )
            .with_socket(conn.socket_info())
        });
        self.lost(conn, &why)
    }
}

pub(super) fn response_length_mismatch() -> Error {
    Error::new(
        ErrorKind::ResponseContentLengthMismatch,
        Phase::Body,
        "Response body length does not match content-length header",
    )
}

/// nghttp2's name of an error code, as Node prints it.
fn code_name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    match NAMES.get(code as usize) {
        Some(name) => format!("NGHTTP2_{name}"),
        None => code.to_string(),
    }
}
