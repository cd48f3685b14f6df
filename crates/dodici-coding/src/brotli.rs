//! br with brotli-decompressor, Google's decoder in safe Rust. Its ring buffer grows with the
//! output, up to the window that the stream declares, 16 MiB at most.

use std::borrow::Cow;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use crate::error::Broken;
use crate::step::Step;

/// One stream.
pub(crate) struct Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>);

impl Brotli {
    pub(crate) fn new() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: no windows above 16 MiB, which are not in RFC 7932.
        Self(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            input,
            &mut room,
            &mut written,
            output,
            &mut total,
            &mut self.0,
        );
        match result {
            BrotliResult::ResultFailure => Err(self.broken()),
            BrotliResult::ResultSuccess
            | BrotliResult::NeedsMoreInput
            | BrotliResult::NeedsMoreOutput => Ok(Step {
                read,
                written,
                ended: matches!(result, BrotliResult::ResultSuccess),
            }),
        }
    }

    /// Node's code is `ERR_` and the name of the error in Google's library.
    #[cold]
    fn broken(&self) -> Broken {
        let error = self.0.error_code;
        let name = format!("{error:?}");
        let name = name.strip_prefix("BROTLI_DECODER").unwrap_or(&name);
        Broken {
            code: Cow::Owned(format!("ERR_{name}")),
            number: error as i32,
            message: Cow::Borrowed("Decompression failed"),
        }
    }
}
