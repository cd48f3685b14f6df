//! One coding of a body: a codec, and its position in the units that the coding consists of.

use crate::error::Broken;
use crate::step::Step;
use crate::{Behind, Coding, DecodeError};

enum Codec {
    #[cfg(feature = "gzip")]
    Gzip(crate::inflate::Inflater),
    #[cfg(feature = "deflate")]
    Deflate(crate::inflate::Inflater),
    #[cfg(feature = "brotli")]
    Brotli(crate::brotli::Brotli),
    #[cfg(feature = "zstd")]
    Zstd(crate::zstd::Zstd),
    /// A coding that is not compiled in, which [`Coding::named`] does not return.
    #[cfg(not(all(
        feature = "gzip",
        feature = "deflate",
        feature = "brotli",
        feature = "zstd"
    )))]
    Missing,
}

/// The position of a stage.
///
/// ```text
/// Start ─ a byte ─▶ Inside ─ the unit's end ─▶ Between ─ a byte ─▶ Inside, Deaf or an error
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No input yet.
    Start,
    Inside,
    /// A unit is complete.
    Between,
    /// Everything is complete, and further input is ignored.
    Deaf,
}

/// See the module.
pub(crate) struct Stage {
    codec: Codec,
    place: Place,
    behind: Behind,
    /// The last call filled the output: there may be more without further input.
    full: bool,
    written: u64,
}

impl Stage {
    pub(crate) fn new(coding: Coding, behind: Behind) -> Result<Self, DecodeError> {
        Ok(Self {
            codec: Codec::new(coding).map_err(DecodeError::Broken)?,
            place: Place::Start,
            behind,
            full: false,
            written: 0,
        })
    }

    /// Decodes until the output is full. If it is not full, all input has been consumed, and there
    /// is no more output without more input.
    pub(crate) fn decode(
        &mut self,
        input: &mut &[u8],
        output: &mut [u8],
        limit: u64,
    ) -> Result<usize, DecodeError> {
        let mut written = 0;
        while written < output.len() && self.goes_on(input)? {
            let room = output.len() - written;
            let step = self.codec.step(input, &mut output[written..]);
            let step = step.map_err(DecodeError::Broken)?;
            *input = input.get(step.read..).unwrap_or_default();
            written += step.written;
            self.full = step.written == room;
            if step.ended {
                self.place = Place::Between;
                self.full = false;
            } else if step.read == 0 && step.written == 0 {
                if input.is_empty() {
                    break;
                }
                return Err(DecodeError::Broken(Broken::stalled()));
            }
        }
        self.written += written as u64;
        if self.written > limit {
            return Err(DecodeError::TooLarge(self.written));
        }
        Ok(written)
    }

    /// Whether the codec has something to do.
    fn goes_on(&mut self, input: &mut &[u8]) -> Result<bool, DecodeError> {
        let Some(&next) = input.first() else {
            return Ok(self.full && self.place == Place::Inside);
        };
        match self.place {
            Place::Start => self.place = Place::Inside,
            Place::Inside => {}
            Place::Between if self.codec.begins_again(next, self.behind) => {
                self.place = Place::Inside;
            }
            Place::Between if self.behind == Behind::Refused => return Err(DecodeError::Behind),
            Place::Between | Place::Deaf => {
                self.place = Place::Deaf;
                *input = &[];
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there has been any input.
    pub(crate) fn has_begun(&self) -> bool {
        self.place != Place::Start
    }

    /// Whether the input so far is complete.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.place, Place::Between | Place::Deaf)
    }
}

impl Codec {
    fn new(coding: Coding) -> Result<Self, Broken> {
        Ok(match coding {
            #[cfg(feature = "gzip")]
            Coding::Gzip => Self::Gzip(crate::inflate::Inflater::gzip()),
            #[cfg(feature = "deflate")]
            Coding::Deflate => Self::Deflate(crate::inflate::Inflater::deflate()),
            #[cfg(feature = "brotli")]
            Coding::Brotli => Self::Brotli(crate::brotli::Brotli::new()),
            #[cfg(feature = "zstd")]
            Coding::Zstd => Self::Zstd(crate::zstd::Zstd::new()?),
            #[cfg(not(all(
                feature = "gzip",
                feature = "deflate",
                feature = "brotli",
                feature = "zstd"
            )))]
            _ => Self::Missing,
        })
    }

    #[cfg_attr(
        not(any(
            feature = "gzip",
            feature = "deflate",
            feature = "brotli",
            feature = "zstd"
        )),
        expect(unused_variables, reason = "there is no codec")
    )]
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(codec) => codec.step(input, output),
            #[cfg(feature = "deflate")]
            Self::Deflate(codec) => codec.step(input, output),
            #[cfg(feature = "brotli")]
            Self::Brotli(codec) => codec.step(input, output),
            #[cfg(feature = "zstd")]
            Self::Zstd(codec) => codec.step(input, output),
            #[cfg(not(all(
                feature = "gzip",
                feature = "deflate",
                feature = "brotli",
                feature = "zstd"
            )))]
            Self::Missing => Err(Broken {
                code: "".into(),
                number: 0,
                message: "the coding is not compiled in".into(),
            }),
        }
    }

    /// Whether another unit begins with `next`, the byte after the last one.
    #[cfg_attr(
        not(feature = "gzip"),
        expect(unused_variables, reason = "only gzip asks")
    )]
    fn begins_again(&mut self, next: u8, behind: Behind) -> bool {
        match self {
            // Some servers pad with zeros; Node stops reading members there.
            #[cfg(feature = "gzip")]
            Self::Gzip(codec) if next != 0 || behind == Behind::Refused => {
                *codec = crate::inflate::Inflater::gzip();
                true
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => true,
            _ => false,
        }
    }
}
