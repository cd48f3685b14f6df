//! Why the guard refuses a response. The readers beside this file return it; the guard turns it
//! into the engine's [`Error`] and adds the phase, which no reader knows.

use dodici_pool::{Error, ErrorKind, ParseErrorCode, Phase};

use crate::connect::mismatch;

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reject {
    /// The bytes are not HTTP/1.1 as we read it. The text names the rule, in llhttp's words where
    /// llhttp has the rule, because undici shows them to its users.
    Parse(ParseErrorCode, &'static str),
    /// A head or a trailer section is larger than its limit.
    Overflow,
    /// A valid response that does not answer the request.
    BadResponse,
    /// A protocol switch that the request did not ask for.
    BadUpgrade,
}

impl Reject {
    /// The engine's error for this rule; text and kind are undici's.
    #[cold]
    pub(super) fn into_error(self, phase: Phase) -> Error {
        self.error_of("HTTP/1.1", phase)
    }

    /// The same for HTTP/2.
    #[cold]
    pub(super) fn into_http2_error(self, phase: Phase) -> Error {
        self.error_of("HTTP/2", phase)
    }

    fn error_of(self, protocol: &str, phase: Phase) -> Error {
        match self {
            Self::Parse(code, reason) => mismatch(protocol, code, phase, reason),
            Self::Overflow => {
                Error::new(ErrorKind::HeadersOverflow, phase, "Headers Overflow Error")
            }
            Self::BadResponse => Error::new(ErrorKind::Socket, phase, "bad response"),
            Self::BadUpgrade => Error::new(ErrorKind::Socket, phase, "bad upgrade"),
        }
    }
}

/// A parse error of HTTP/1.1.
pub(super) fn parse_error(code: ParseErrorCode, phase: Phase, reason: &'static str) -> Error {
    Reject::Parse(code, reason).into_error(phase)
}
