//! gzip and deflate with zlib-rs, whose results and messages are those of zlib, and so of Node.

use std::borrow::Cow;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use crate::error::Broken;
use crate::step::Step;

/// Largest window of the format, as a power of two: 32 KiB.
const WINDOW: u8 = 15;

/// Added to the window size to select the gzip wrapper.
const GZIP: u8 = 16;

/// One gzip member, or one deflate stream.
pub(crate) struct Inflater {
    /// `None` until the first byte tells with or without the wrapper.
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
                // The low half of a zlib wrapper's first byte is 8. In a raw stream, that would be
                // a stored block with non-zero padding, or a very rare code. undici decides by it,
                // too.
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
    // zlib-rs does not keep the message of an error found in its fast loop.
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
