//! A response's body without its content codings.
//!
//! Bytes are decoded when the reader asks for them, a slice at a time, so that a body which is
//! small on the wire and huge in memory comes no faster than it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use dodici_coding::{Behind, Coding, DecodeError, Decoder};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::coop;

use crate::error::BoxError;
use crate::transport::TransportBody;

/// Most bytes of one slice. Decoders are at their best from some KiB on, and so much is held by
/// every body that waits for its reader.
const SLICE: usize = 16 * 1024;

/// See the module.
pub(crate) enum DecodedBody {
    /// As it came.
    Plain(TransportBody),
    Coded(Box<Coded>),
}

pub(crate) struct Coded {
    decoder: Decoder,
    body: TransportBody,
    /// What came of the body and was not decoded.
    chunk: Bytes,
    /// The decoder may have more without another byte.
    full: bool,
    /// Memory for what comes out.
    slice: BytesMut,
    /// Nothing more comes.
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

impl Coded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.ended {
            if !self.chunk.is_empty() || self.full {
                // What a chunk becomes may keep a reader busy for long: others have their turn.
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

    /// The next slice of what there is.
    fn decode(&mut self) -> Result<Bytes, DecodeError> {
        // What is left of the last slice is used, if it is worth a call of the decoder.
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

    /// The body has ended, and its coding with it, or that is an error.
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

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
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
