//! The codings of one body, chained.

use crate::stage::Stage;
use crate::{Behind, Coding, DecodeError};

/// Maximum number of codings of one body, as in undici and curl. Servers apply two at most, and
/// each multiplies the possible expansion.
pub const MOST_CODINGS: usize = 5;

/// Size of the buffer between two codings. Codecs are efficient from some KiB on.
const BETWEEN: usize = 16 * 1024;

/// Decodes one body.
///
/// Call [`Decoder::decode`] with each slice until it has consumed all of it. At the end,
/// [`Decoder::finish`] checks that the body was complete:
///
/// ```
/// use dodici_coding::{Behind, Coding, Decoder};
/// # fn main() -> Result<(), dodici_coding::DecodeError> {
/// let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\xc8\xe4\x02\0\x7a\x7a\x6f\xed\x03\0\0\0";
/// let mut decoder = Decoder::new(&[Coding::Gzip], Behind::Ignored, None)?;
/// let (mut body, mut buffer) = (Vec::new(), [0; 1024]);
/// for mut slice in gzip.chunks(7) {
///     loop {
///         let decoded = decoder.decode(&mut slice, &mut buffer)?;
///         body.extend_from_slice(&buffer[..decoded]);
///         if decoded < buffer.len() {
///             break;
///         }
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(body, b"hi\n");
/// # Ok(())
/// # }
/// ```
pub struct Decoder {
    /// The coding that was applied last comes first.
    stages: Vec<Stage>,
    between: Vec<Between>,
    limit: u64,
    failed: Option<DecodeError>,
}

/// What one stage has written and the next has not read.
struct Between {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Decoder {
    /// `applied`: the codings in the order in which they were applied, at least one and at most
    /// [`MOST_CODINGS`]. `limit`: maximum number of bytes that each of them may produce.
    ///
    /// # Errors
    /// [`DecodeError::Broken`] if there is no memory for a codec.
    pub fn new(
        applied: &[Coding],
        behind: Behind,
        limit: Option<u64>,
    ) -> Result<Self, DecodeError> {
        let stages: Vec<_> = applied
            .iter()
            .rev()
            .map(|coding| Stage::new(*coding, behind))
            .collect::<Result<_, _>>()?;
        let between = (1..stages.len()).map(|_| Between::new()).collect();
        Ok(Self {
            stages,
            between,
            limit: limit.unwrap_or(u64::MAX),
            failed: None,
        })
    }

    /// Decodes from the front of `input`, which it shortens, into `output`, and returns the number
    /// of bytes written. If `output` is not full, all input has been consumed, and there is no more
    /// output without more input; otherwise there may be.
    ///
    /// # Errors
    /// See [`DecodeError`]; what this call had decoded is lost.
    pub fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let decoded = pull(
            &mut self.stages,
            &mut self.between,
            input,
            output,
            self.limit,
        );
        decoded.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Checks at the end of the body that it was complete. An empty body is.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if it was not, or the error [`Decoder::decode`] returned.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let begun = self.stages.first().is_some_and(Stage::has_begun);
        if !begun || self.stages.iter().all(Stage::is_whole) {
            Ok(())
        } else {
            Err(DecodeError::Truncated)
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("codings", &self.stages.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Between {
    fn new() -> Self {
        Self {
            bytes: vec![0; BETWEEN].into(),
            start: 0,
            end: 0,
        }
    }
}

/// Fills `output` from the last stage, and its input from the stages before.
fn pull(
    stages: &mut [Stage],
    between: &mut [Between],
    input: &mut &[u8],
    output: &mut [u8],
    limit: u64,
) -> Result<usize, DecodeError> {
    let Some((last, before)) = stages.split_last_mut() else {
        return Ok(0);
    };
    let Some((feed, between)) = between.split_last_mut() else {
        return last.decode(input, output, limit);
    };
    let mut written = 0;
    loop {
        let mut rest = &feed.bytes[feed.start..feed.end];
        written += last.decode(&mut rest, &mut output[written..], limit)?;
        feed.start = feed.end - rest.len();
        if written == output.len() {
            return Ok(written);
        }
        feed.start = 0;
        feed.end = pull(before, between, input, &mut feed.bytes, limit)?;
        if feed.end == 0 {
            return Ok(written);
        }
    }
}
