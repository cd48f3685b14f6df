//! Decodes the content codings of response bodies between the wire and the sink.
//!
//! [`Settle`](crate::settle::Settle) holds a [`Decoding`] from the head of such a response on. An
//! exchange passes on what it reads ([`Decoding::take`]) and calls [`Decoding::work`] before it
//! reads more. So a body is decoded no faster than its reader grants credit, whatever its
//! expansion, and no more is buffered than one piece from the wire and what the codings themselves
//! require. Work is done in steps, between which the thread serves others. `rules` decides which
//! responses are decoded. This module does not depend on connections.

mod rules;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::pin::pin;
use std::task::Context;

use bytes::{Buf, Bytes};
use dodici_coding::{Behind, DecodeError, Decoder};
use dodici_pool::{Error, ErrorKind, HeaderBlock, Phase, Request, ResponseHead, SystemDetail};

use crate::command::Command;
use crate::sink::Sink;

/// Maximum size of a decoded piece, which the reader gets as one chunk.
const PIECE: usize = 64 * 1024;

/// Minimum room for a decoded piece, so that no codec is called for a few bytes. A reader's credit
/// may be overdrawn by this much.
const LEAST: usize = 4 * 1024;

/// Bytes decoded, or skipped, before other tasks of the thread get their turn. Two pieces take a
/// quarter of a millisecond, as long as reading a plain body of that size.
const STEP: usize = 2 * PIECE;

/// Maximum number of encoded bytes passed to a codec in one call: they may be a thousand gzip
/// members, each of which costs more than its bytes.
const SLICE: usize = 16 * 1024;

thread_local! {
    /// Buffer for decoding. The size of the result is not known in advance, and allocating the
    /// maximum would take four times what most bodies need.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// See the module.
pub(crate) struct Decoding {
    decoder: Decoder,
    /// Read from the wire, not yet decoded.
    coded: VecDeque<Bytes>,
    /// Bytes read from the wire.
    received: u64,
    /// The decoder may have more output without further input.
    full: bool,
    /// The request's own limit on decoded bytes.
    max_size: Option<u64>,
}

impl Decoding {
    /// The decoding of this response; `None` if it is delivered as it is. `max_response_size`: the
    /// pool's limit.
    ///
    /// # Errors
    /// If it has too many codings.
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
        let max_size = decode.max_size.map(NonZeroU64::get);
        let limit = [max_size, max_response_size].into_iter().flatten().min();
        let decoder = Decoder::new(&applied, Behind::Ignored, limit);
        Ok(Some(Self {
            decoder: decoder.map_err(|error| failure(&error, None))?,
            coded: VecDeque::new(),
            received: 0,
            full: false,
            max_size,
        }))
    }

    /// Takes a piece of the body, and keeps it for [`Decoding::work`].
    pub(crate) fn take(&mut self, piece: Bytes) {
        self.received += piece.len() as u64;
        self.coded.push_back(piece);
    }

    /// Number of bytes taken and not yet decoded.
    pub(crate) fn held(&self) -> usize {
        self.coded.iter().map(Bytes::len).sum()
    }

    /// Decodes what was taken, as far as the reader has credit, and delivers it. Returns whether
    /// more may be taken: not if the reader has no credit, whose next credit wakes the task, nor if
    /// there is more to decode after other tasks had their turn, when the task is woken as well.
    ///
    /// # Errors
    /// If the request fails.
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
            // A sink that cancels in a callback gets nothing more.
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

    /// The next decoded piece, and the amount of work.
    fn decode(&mut self, room: usize) -> Result<(Bytes, usize), Error> {
        // Taken, not borrowed, so that a callback in between could do no harm.
        let mut scratch = SCRATCH
            .try_with(|scratch| scratch.take())
            .unwrap_or_default();
        scratch.resize(PIECE, 0);
        let filled = self.fill(&mut scratch[..room]);
        let piece =
            filled.map(|(filled, spent)| (Bytes::copy_from_slice(&scratch[..filled]), spent));
        // Fails on a thread that is ending.
        let _kept = SCRATCH.try_with(|kept| kept.replace(scratch));
        piece.map_err(|error| failure(&error, self.max_size))
    }

    /// Decodes until `output` is full or the encoded bytes are used up.
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

    /// The response has ended, and all of it has been decoded. Returns how many bytes it had.
    ///
    /// # Errors
    /// If its coding has not ended.
    pub(crate) fn finish(&self) -> Result<u64, Error> {
        let whole = self.decoder.finish();
        whole.map_err(|error| failure(&error, self.max_size))?;
        Ok(self.received)
    }
}

/// Wakes the task once the runtime has polled its sockets and other tasks had their turn.
fn later(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    // The first poll requests the wake-up, which survives the future.
    let _pending = turn.poll(cx);
}

/// The head of a decoded response, as after undici's decompress interceptor: without the fields for
/// the coding and the length, which no longer apply.
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
            let mut system = SystemDetail::new(error.code().to_owned());
            system.errno = error.number();
            return Error::new(ErrorKind::ContentCoding, Phase::Body, error.to_string())
                .with_system(system);
        }
    };
    let Some(max) = max_size.filter(|max| size > *max) else {
        return too_large();
    };
    let message = format!("Decompressed response size ({size}) exceeded maxSize ({max})");
    Error::new(ErrorKind::ResponseExceededMaxSize, Phase::Body, message)
}

/// The body of a response is larger than allowed.
pub(crate) fn too_large() -> Error {
    Error::new(
        ErrorKind::ResponseExceededMaxSize,
        Phase::Body,
        "Response content exceeded max size",
    )
}
