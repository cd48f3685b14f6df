//! A decoded response body.
//!
//! Bytes are decoded when the reader asks for them, a slice at a time, so that a body which is
//! small on the wire and huge once decoded is decoded no faster than it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use dodici_coding::{Behind, Coding, DecodeError, Decoder};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::coop;

use crate::body::Polled;
use crate::error::BoxError;
use crate::transport::TransportBody;

/// Maximum size of a slice. Decoders are efficient from some KiB on, and every body that waits for
/// its reader holds this much.
const SLICE: usize = 16 * 1024;

/// See the module.
pub(crate) enum DecodedBody {
    /// As received.
    Plain(TransportBody),
    Coded(Box<Coded>),
}

pub(crate) struct Coded {
    decoder: Decoder,
    body: TransportBody,
    /// Received and not yet decoded.
    chunk: Bytes,
    /// The decoder may have more output without further input.
    full: bool,
    /// Memory for decoded bytes.
    slice: BytesMut,
    /// The body has ended or failed.
    ended: bool,
}

impl DecodedBody {
    /// `applied`: the codings, the outermost last.
    pub(super) fn new(
        body: TransportBody,
        applied: Option<&[Coding]>,
    ) -> Result<Self, DecodeError> {
        let Some(applied) = applied else {
            return Ok(Self::Plain(body));
        };
        Ok(Self::Coded(Box::new(Coded {
            decoder: Decoder::new(applied, Behind::Refused, None)?,
            body,
            chunk: Bytes::new(),
            full: false,
            slice: BytesMut::new(),
            ended: false,
        })))
    }
}

impl DecodedBody {
    pub(crate) fn transport(&self) -> &TransportBody {
        match self {
            Self::Plain(body) => body,
            Self::Coded(coded) => &coded.body,
        }
    }

    pub(crate) fn transport_mut(&mut self) -> &mut TransportBody {
        match self {
            Self::Plain(body) => body,
            Self::Coded(coded) => &mut coded.body,
        }
    }
}

impl Coded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        while !self.ended {
            if !self.chunk.is_empty() || self.full {
                // One chunk may expand to a lot: other tasks get their turn.
                let turn = ready!(coop::poll_proceed(cx));
                let decoded = self.decode();
                turn.made_progress();
                self.ended = decoded.is_err();
                match decoded {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                }
            }
            let trailers = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => None,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        self.chunk = chunk;
                        continue;
                    }
                    Err(frame) => frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            self.ended = true;
            return Poll::Ready(self.finish(trailers));
        }
        Poll::Ready(None)
    }

    /// The next decoded slice, if any.
    fn decode(&mut self) -> Result<Bytes, DecodeError> {
        // The rest of the last slice's memory is used if it is worth a call of the decoder.
        if self.slice.len() < SLICE / 4 {
            self.slice = BytesMut::zeroed(SLICE);
        }
        let mut input = &self.chunk[..];
        let written = self.decoder.decode(&mut input, &mut self.slice)?;
        let used = self.chunk.len() - input.len();
        self.chunk.advance(used);
        self.full = written == self.slice.len();
        Ok(self.slice.split_to(written).freeze())
    }

    /// The body has ended; an error if its coding has not.
    fn finish(&self, trailers: Option<HeaderMap>) -> Option<Result<Frame<Bytes>, BoxError>> {
        match self.decoder.finish() {
            Ok(()) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl HttpBody for DecodedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Coded(coded) => coded.poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Coded(_) => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Coded(_) => false,
        }
    }
}
