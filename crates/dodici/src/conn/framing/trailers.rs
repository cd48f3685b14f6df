//! What a trailer section may contain (RFC 9110, section 6.5.1).
//!
//! Used by the chunked decoder, and for HTTP/2 by `conn::h2`.

use dodici_pool::ParseErrorCode::{InvalidTransferEncoding, Strict, UnexpectedContentLength};
use dodici_pool::{Error, HeaderBlock, Phase};

use super::limits::{Limits, decoded_size};
use super::reject::Reject;

/// Fields that affect framing, routing or the connection, and so come too late in a trailer section
/// (RFC 9110, section 6.5.1), except the two that have their own error codes.
const FORBIDDEN_TRAILERS: [&[u8]; 6] = [
    b"host",
    b"te",
    b"trailer",
    b"connection",
    b"keep-alive",
    b"upgrade",
];

/// Applies the guard's rules to a trailer section that no guard has parsed.
///
/// # Errors
/// Those of the guard.
pub(crate) fn check_trailers(trailers: &HeaderBlock) -> Result<(), Error> {
    let limits = Limits::default();
    let checked = if trailers.len() > limits.max_trailers
        || decoded_size(trailers) > limits.max_trailer_size
    {
        Err(Reject::Overflow)
    } else {
        let mut names = trailers.iter().map(|(name, _)| name);
        names.try_for_each(check_trailer_name)
    };
    checked.map_err(|reject| reject.into_http2_error(Phase::Body))
}

/// Whether a field is allowed in trailers.
pub(super) fn check_trailer_name(name: &[u8]) -> Result<(), Reject> {
    if name.eq_ignore_ascii_case(b"content-length") {
        return Err(Reject::Parse(
            UnexpectedContentLength,
            "Content-Length can't be present with Transfer-Encoding",
        ));
    }
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        return Err(Reject::Parse(
            InvalidTransferEncoding,
            "Transfer-Encoding can't be present in trailers",
        ));
    }
    if FORBIDDEN_TRAILERS
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
    {
        return Err(Reject::Parse(Strict, "Forbidden field in trailers"));
    }
    Ok(())
}
