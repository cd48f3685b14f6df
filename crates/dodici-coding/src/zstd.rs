//! zstd with the reference library.

use std::borrow::Cow;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::error::Broken;
use crate::step::Step;

/// Largest window of a frame, as a power of two: 8 MiB, the maximum of the content coding (RFC
/// 9659, section 3).
const WINDOW_LOG: u32 = 23;

/// Any number of frames, one at a time.
pub(crate) struct Zstd(DCtx<'static>);

impl Zstd {
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new() -> Result<Self, Broken> {
        let mut context = DCtx::try_create().ok_or(NO_MEMORY)?;
        let set = context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG));
        set.map_err(broken)?;
        Ok(Self(context))
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        let mut from = InBuffer::around(input);
        let mut into = OutBuffer::around(output);
        // After the end of a frame, the next call begins with the next one.
        let left = self.0.decompress_stream(&mut into, &mut from);
        Ok(Step {
            ended: left.map_err(broken)? == 0,
            read: from.pos(),
            written: into.pos(),
        })
    }
}

const NO_MEMORY: Broken = Broken {
    code: Cow::Borrowed("ZSTD_error_memory_allocation"),
    number: 64,
    message: Cow::Borrowed("Allocation error : not enough memory"),
};

/// The library returns an error as the negative of its number.
#[cold]
fn broken(error: usize) -> Broken {
    let number = error.wrapping_neg();
    Broken {
        code: Cow::Borrowed(name(number)),
        number: i32::try_from(number).unwrap_or(1),
        message: Cow::Borrowed(get_error_name(error)),
    }
}

/// Node's codes for the errors of a decoder.
fn name(number: usize) -> &'static str {
    match number {
        10 => "ZSTD_error_prefix_unknown",
        12 => "ZSTD_error_version_unsupported",
        14 => "ZSTD_error_frameParameter_unsupported",
        16 => "ZSTD_error_frameParameter_windowTooLarge",
        20 => "ZSTD_error_corruption_detected",
        22 => "ZSTD_error_checksum_wrong",
        24 => "ZSTD_error_literals_headerWrong",
        30 => "ZSTD_error_dictionary_corrupted",
        32 => "ZSTD_error_dictionary_wrong",
        44 => "ZSTD_error_tableLog_tooLarge",
        46 => "ZSTD_error_maxSymbolValue_tooLarge",
        48 => "ZSTD_error_maxSymbolValue_tooSmall",
        64 => "ZSTD_error_memory_allocation",
        70 => "ZSTD_error_dstSize_tooSmall",
        72 => "ZSTD_error_srcSize_wrong",
        _ => "ZSTD_error_GENERIC",
    }
}
