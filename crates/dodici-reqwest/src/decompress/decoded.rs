//! A response's body without its content codings.
//!
//! Bytes are decoded when the reader asks for them, a slice at a time, so that a body which is
//! small on the wire and huge in memory comes no faster than it is read.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, BufReader, ReadBuf};

use super::Coding;
use crate::connect::Foreign;
use crate::error::BoxError;
use crate::transport::TransportBody;

/// Most bytes of one slice. Decoders are at their best from some KiB on, and so much is held by
/// every body that waits for its reader.
const SLICE: usize = 16 * 1024;

/// Largest window that a Zstandard frame may ask for, as a power of two: 8 MiB, which is all that
/// the coding allows (RFC 9659).
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 23;

/// What a decoder reads.
type Source = Pin<Box<dyn AsyncBufRead + Send + Sync>>;

/// See the module.
pub(crate) enum DecodedBody {
    /// As it came.
    Plain(TransportBody),
    Coded(Box<Decoder>),
}

/// What the coded bytes have told beside themselves.
#[derive(Default)]
struct Told {
    started: AtomicBool,
    trailers: Mutex<Option<HeaderMap>>,
}

pub(crate) struct Decoder {
    source: Source,
    slice: BytesMut,
    told: Arc<Told>,
    /// No more bytes come; trailers may.
    ended: bool,
}

impl DecodedBody {
    /// `applied`: the codings, the outermost last.
    pub(super) fn new(body: TransportBody, applied: Option<&[Coding]>) -> Self {
        let Some(applied) = applied else {
            return Self::Plain(body);
        };
        let told = Arc::new(Told::default());
        let coded: Source = Box::pin(Coded {
            body,
            chunk: Bytes::new(),
            ended: false,
            told: Arc::clone(&told),
        });
        Self::Coded(Box::new(Decoder {
            source: applied
                .iter()
                .rfold(coded, |source, coding| coding.undo(source)),
            slice: BytesMut::new(),
            told,
            ended: false,
        }))
    }
}

impl Coding {
    fn undo(self, source: Source) -> Source {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(source);
                // A body may be several members, one behind the other (RFC 1952, section 2.2).
                decoder.multiple_members(true);
                buffered(decoder)
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                use async_compression::tokio::bufread::ZstdDecoder;
                use async_compression::zstd::DParameter;

                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(source, &[window]);
                // As it may be several frames (RFC 8878, section 3.1).
                decoder.multiple_members(true);
                buffered(decoder)
            }
            #[cfg(feature = "brotli")]
            Self::Brotli => buffered(Whole {
                decoder: async_compression::tokio::bufread::BrotliDecoder::new(source),
                source: |decoder| decoder.get_pin_mut(),
            }),
            #[cfg(feature = "deflate")]
            Self::Deflate => buffered(Whole {
                decoder: async_compression::tokio::bufread::ZlibDecoder::new(source),
                source: |decoder| decoder.get_pin_mut(),
            }),
            // Never: a coding without its feature is off.
            #[cfg(not(all(
                feature = "gzip",
                feature = "brotli",
                feature = "zstd",
                feature = "deflate"
            )))]
            _ => source,
        }
    }
}

fn buffered(decoder: impl AsyncRead + Send + Sync + 'static) -> Source {
    Box::pin(BufReader::with_capacity(SLICE, decoder))
}

/// A decoder behind whose end nothing may come.
#[cfg(any(feature = "brotli", feature = "deflate"))]
struct Whole<D> {
    decoder: D,
    source: fn(Pin<&mut D>) -> Pin<&mut Source>,
}

#[cfg(any(feature = "brotli", feature = "deflate"))]
impl<D: AsyncRead + Unpin> AsyncRead for Whole<D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut this.decoder).poll_read(cx, buf))?;
        if buf.filled().len() == before && room > 0 {
            let source = (this.source)(Pin::new(&mut this.decoder));
            if !ready!(source.poll_fill_buf(cx))?.is_empty() {
                let text = "trailing bytes after the encoded body";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A body as bytes to be decoded. Its own failures pass through the decoders as [`Foreign`].
struct Coded {
    body: TransportBody,
    chunk: Bytes,
    ended: bool,
    told: Arc<Told>,
}

impl AsyncBufRead for Coded {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() && !this.ended {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => this.ended = true,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(Foreign(error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        this.told.started.store(true, Ordering::Relaxed);
                        this.chunk = chunk;
                    }
                    Err(frame) => {
                        *this.told.trailers.lock() = frame.into_trailers().ok();
                    }
                },
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().chunk.advance(amount);
    }
}

impl AsyncRead for Coded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl Decoder {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        // What is left of the last slice is used, if it is worth a call of the decoder.
        if self.slice.capacity() < SLICE / 4 {
            self.slice.reserve(SLICE);
        }
        // It keeps nothing between two polls.
        let read = ready!(pin!(self.source.read_buf(&mut self.slice)).poll(cx));
        Poll::Ready(match read {
            Ok(0) => None,
            Ok(_) => Some(Ok(self.slice.split().freeze())),
            Err(error) => match error.downcast::<Foreign>() {
                Ok(Foreign(own)) => Some(Err(own)),
                // Without a byte there is nothing to decode: the answer to HEAD.
                Err(_) if !self.told.started.load(Ordering::Relaxed) => None,
                Err(error) => Some(Err(error.into())),
            },
        })
    }
}

impl HttpBody for DecodedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let decoder = match self.get_mut() {
            Self::Plain(body) => return Pin::new(body).poll_frame(cx),
            Self::Coded(decoder) => decoder,
        };
        if !decoder.ended {
            let data = ready!(decoder.poll_data(cx));
            decoder.ended = !matches!(data, Some(Ok(_)));
            if let Some(data) = data {
                return Poll::Ready(Some(data.map(Frame::data)));
            }
        }
        // They came with the end of the coded bytes.
        let trailers = decoder.told.trailers.lock().take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
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
