//! A response's body on its way from the wire to the sink, without its content codings.
//!
//! [`Settle`](crate::command::Settle) holds a [`Decoding`] from the head of such a response on. An
//! exchange hands it what it reads ([`Decoding::take`]) and lets it work before it reads on
//! ([`Decoding::work`]): so a body comes no faster than its reader has credit for, however large it
//! becomes, and what is held is one piece from the wire and what the codings themselves hold. Work
//! is done in steps, between which the thread serves others. `rules` says which responses are
//! decoded. It knows no connection.

mod rules;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::Context;

use bytes::{Buf, Bytes};
use dodici_coding::{Behind, DecodeError, Decoder};
use dodici_pool::{Error, ErrorKind, HeaderBlock, Phase, Request, ResponseHead, SystemDetail};

use crate::command::Command;
use crate::sink::Sink;

/// Most bytes of one decoded piece: what goes to the reader as one chunk.
const PIECE: usize = 64 * 1024;

/// Least room for a decoded piece. 4 KiB: a reader's credit is overdrawn by so much at most, and no
/// codec is called for a handful of bytes.
const LEAST: usize = 4 * 1024;

/// Bytes that are decoded, or passed over, before others of the thread have their turn. Two pieces
/// take a quarter of a millisecond, which is what a read of a plain body of the same size takes.
const STEP: usize = 2 * PIECE;

/// Most coded bytes that a codec sees in one call. 16 KiB: they may be a thousand members, each of
/// which costs more than its bytes.
const SLICE: usize = 16 * 1024;

thread_local! {
    /// What is decoded into. The length of what comes is not known before, and memory for the most
    /// would be four times as much as most bodies need.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// See the module.
pub(crate) struct Decoding {
    decoder: Decoder,
    /// From the wire, not yet decoded.
    coded: VecDeque<Bytes>,
    /// The decoder may have more without another byte.
    full: bool,
    /// The request's own limit on what comes out.
    max_size: Option<u64>,
}

impl Decoding {
    /// What takes the codings of this response away; `None` where it is left as it is.
    /// `max_response_size`: the pool's limit.
    ///
    /// # Errors
    /// Where it has more codings than anybody applies.
    pub(crate) fn of(
        request: &Request,
        head: &ResponseHead,
        max_response_size: Option<u64>,
    ) -> Result<Option<Self>, Error> {
        let Some(decode) = request.decode else {
            return Ok(None);
        };
        let applied = rules::applied(decode.manner, request.kind, head)?;
        if applied.is_empty() {
            return Ok(None);
        }
        let limit = [decode.max_size, max_response_size]
            .into_iter()
            .flatten()
            .min();
        let decoder = Decoder::new(&applied, Behind::Ignored, limit);
        Ok(Some(Self {
            decoder: decoder.map_err(|error| failure(&error, None))?,
            coded: VecDeque::new(),
            full: false,
            max_size: decode.max_size,
        }))
    }

    /// Takes a piece of the body, and keeps it for [`Decoding::work`].
    pub(crate) fn take(&mut self, piece: Bytes) {
        self.coded.push_back(piece);
    }

    /// Bytes that were taken and not decoded.
    pub(crate) fn held(&self) -> usize {
        self.coded.iter().map(Bytes::len).sum()
    }

    /// Decodes what was taken, as far as the reader has credit, and tells it. Whether more may be
    /// taken: not if the reader takes nothing, whose next credit wakes the task, nor if there is more to
    /// decode once others had their turn, when the task is woken as well.
    ///
    /// # Errors
    /// What makes the request fail.
    pub(crate) fn work(
        &mut self,
        cx: &mut Context<'_>,
        command: &Command,
        sink: &mut (dyn Sink + 'static),
    ) -> Result<bool, Error> {
        let mut left = STEP;
        loop {
            if !command.has_credit() {
                return Ok(false);
            }
            if self.coded.is_empty() && !self.full {
                return Ok(true);
            }
            // A sink that gives up in a callback is told nothing more.
            if left == 0 || command.is_cancelled() {
                later(cx);
                return Ok(false);
            }
            let room = command.room().clamp(LEAST, PIECE);
            let (piece, spent) = self.decode(room)?;
            left = left.saturating_sub(spent);
            if !piece.is_empty() {
                command.spend(piece.len());
                sink.data(piece);
            }
        }
    }

    /// The next decoded piece, and how much work it was.
    fn decode(&mut self, room: usize) -> Result<(Bytes, usize), Error> {
        // Not borrowed meanwhile: no callback may come in between, but nothing here can promise it.
        let mut scratch = SCRATCH
            .try_with(|scratch| scratch.take())
            .unwrap_or_default();
        scratch.resize(PIECE, 0);
        let filled = self.fill(&mut scratch[..room]);
        let piece =
            filled.map(|(filled, spent)| (Bytes::copy_from_slice(&scratch[..filled]), spent));
        // A thread that ends keeps nothing.
        let _kept = SCRATCH.try_with(|kept| kept.replace(scratch));
        piece.map_err(|error| failure(&error, self.max_size))
    }

    /// Decodes until `output` is full or the coded bytes are used up.
    fn fill(&mut self, output: &mut [u8]) -> Result<(usize, usize), DecodeError> {
        let (mut filled, mut read) = (0, 0);
        while filled < output.len() && read < STEP {
            let coded = self.coded.front().map_or(&[][..], |coded| &coded[..]);
            if coded.is_empty() && !self.full {
                break;
            }
            let mut slice = &coded[..coded.len().min(SLICE)];
            let before = slice.len();
            let room = output.len() - filled;
            let decoded = self.decoder.decode(&mut slice, &mut output[filled..])?;
            filled += decoded;
            self.full = decoded == room;
            let used = before - slice.len();
            read += used;
            if let Some(coded) = self.coded.front_mut() {
                coded.advance(used);
                if coded.is_empty() {
                    self.coded.pop_front();
                }
            }
        }
        Ok((filled, filled.max(read)))
    }

    /// The response has ended, and all of it was decoded.
    ///
    /// # Errors
    /// Where its coding has not.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let whole = self.decoder.finish();
        whole.map_err(|error| failure(&error, self.max_size))
    }
}

/// Wakes the task once the runtime has looked at its sockets and let others have their turn.
fn later(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    // The first poll asks for the wake-up, which stays when the future goes.
    let _pending = turn.poll(cx);
}

/// The head of a response whose body is told without its codings, as undici's decompress interceptor
/// leaves it: what it says of coding and length is no longer so.
pub(crate) fn without_coding(head: &ResponseHead) -> ResponseHead {
    let says = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let fields = head.headers.iter();
    let left: HeaderBlock = fields
        .filter(|(name, _)| !says(name, "content-encoding") && !says(name, "content-length"))
        .collect();
    ResponseHead {
        version: head.version,
        status: head.status,
        reason: head.reason.clone(),
        headers: left,
    }
}

#[cold]
fn failure(error: &DecodeError, max_size: Option<u64>) -> Error {
    let size = match error {
        DecodeError::TooLarge(size) => *size,
        DecodeError::Broken(_) | DecodeError::Truncated | DecodeError::Behind => {
            let system = SystemDetail {
                code: error.code().to_owned().into(),
                errno: error.number(),
                ..SystemDetail::default()
            };
            return Error::new(ErrorKind::ContentCoding, Phase::Body, error.to_string())
                .with_system(system);
        }
    };
    let message: Cow<'static, str> = match max_size.filter(|max| size > *max) {
        Some(max) => format!("Decompressed response size ({size}) exceeded maxSize ({max})").into(),
        None => "Response content exceeded max size".into(),
    };
    Error::new(ErrorKind::ResponseExceededMaxSize, Phase::Body, message)
}
