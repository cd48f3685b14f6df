//! gzip and deflate over zlib-rs, which speaks zlib's language: its states, its verdicts and its
//! messages are those that Node's zlib has.

use std::borrow::Cow;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use crate::error::Broken;
use crate::stage::Step;

/// As much as the format allows, as a power of two: 32 KiB.
const WINDOW: u8 = 15;

/// Added to the window where the wrapper is gzip's.
const GZIP: u8 = 16;

/// One member of gzip, or one stream of deflate.
pub(crate) struct Inflater {
    /// `None` until the first byte says which it is.
    inner: Option<Inflate>,
}

impl Inflater {
    #[cfg(feature = "gzip")]
    pub(crate) fn gzip() -> Self {
        Self {
            inner: Some(Inflate::new(true, WINDOW + GZIP)),
        }
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn deflate() -> Self {
        Self { inner: None }
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        let inner = match (&mut self.inner, input.first()) {
            (Some(inner), _) => inner,
            (None, None) => return Ok(Step::default()),
            (inner, Some(first)) => {
                // The low half of a zlib wrapper's first byte is 8. Of a raw stream that would be a
                // stored block with bits where there should be zeros, or one of the rarest codes:
                // undici judges by it, too.
                inner.insert(Inflate::new(first & 0x0f == 8, WINDOW))
            }
        };
        let (read, written) = (inner.total_in(), inner.total_out());
        let status = inner.decompress(input, output, InflateFlush::NoFlush);
        let status = status.map_err(|error| broken(error, inner.error_message()))?;
        Ok(Step {
            read: (inner.total_in() - read) as usize,
            written: (inner.total_out() - written) as usize,
            ended: status == Status::StreamEnd,
        })
    }
}

fn broken(error: InflateError, message: Option<&'static str>) -> Broken {
    let (code, number, fallback) = match error {
        InflateError::NeedDict { .. } => ("Z_NEED_DICT", 2, "Missing dictionary"),
        InflateError::StreamError => ("Z_STREAM_ERROR", -2, "Zlib error"),
        InflateError::DataError => ("Z_DATA_ERROR", -3, "Zlib error"),
        InflateError::MemError => ("Z_MEM_ERROR", -4, "Zlib error"),
    };
    // What zlib-rs finds in its fast loop, it has forgotten when it returns.
    let message = match message {
        Some("repeated call with bad state") => "invalid code or distance",
        Some(message) => message,
        None => fallback,
    };
    Broken {
        code: Cow::Borrowed(code),
        number,
        message: Cow::Borrowed(message),
    }
}
