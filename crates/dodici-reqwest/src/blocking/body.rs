//! Bodies of blocking requests.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::Context;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::body::{Polled, in_memory};
use crate::error;

/// Bytes per read: efficient for file systems, and small enough to be copied twice.
const SLICE: usize = 16 * 1024;

/// The body of a blocking request.
///
/// Bytes can be resent, for a redirect or a retry; a reader cannot.
///
/// ```
/// use dodici_reqwest::blocking::Body;
///
/// assert_eq!(Body::from("text").as_bytes(), Some(&b"text"[..]));
/// ```
pub struct Body {
    kind: Kind,
}

enum Kind {
    Bytes(Bytes),
    Reader(Box<dyn Read + Send>, Option<u64>),
}

impl Body {
    /// A body read from a reader until its end, and sent chunked.
    ///
    /// ```
    /// # use dodici_reqwest::blocking::Body;
    /// let body = Body::new(std::io::Cursor::new("text"));
    /// assert_eq!(body.as_bytes(), None);
    /// ```
    pub fn new<R: Read + Send + 'static>(reader: R) -> Self {
        Self {
            kind: Kind::Reader(Box::new(reader), None),
        }
    }

    /// A body of this length; no more is read from the reader.
    pub fn sized<R: Read + Send + 'static>(reader: R, len: u64) -> Self {
        Self {
            kind: Kind::Reader(Box::new(reader), Some(len)),
        }
    }

    /// The bytes, unless it is a reader.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Reader(..) => None,
        }
    }

    /// The bytes, reading the reader into memory if there is one.
    ///
    /// ```
    /// # use dodici_reqwest::blocking::Body;
    /// let mut body = Body::new(std::io::Cursor::new("text"));
    /// assert_eq!(body.buffer()?, b"text");
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    ///
    /// # Errors
    /// A builder error if the reader fails.
    pub fn buffer(&mut self) -> crate::Result<&[u8]> {
        if let Kind::Reader(reader, _) = &mut self.kind {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(error::builder)?;
            self.kind = Kind::Bytes(bytes.into());
        }
        Ok(self.as_bytes().unwrap_or_default())
    }

    fn bytes(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Bytes(bytes),
        }
    }

    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.kind {
            Kind::Bytes(bytes) => Some(Self::bytes(bytes.clone())),
            Kind::Reader(..) => None,
        }
    }

    #[cfg(feature = "multipart")]
    pub(super) fn length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Reader(_, length) => *length,
        }
    }

    #[cfg(feature = "multipart")]
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        match self.kind {
            Kind::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Kind::Reader(reader, _) => reader,
        }
    }

    /// For the async client; a reader's bytes arrive through the sender.
    pub(super) fn into_async(self) -> (crate::Body, Option<Sender>) {
        match self.kind {
            Kind::Bytes(bytes) => (bytes.into(), None),
            Kind::Reader(reader, length) => {
                // One slice in flight while the next is read.
                let (slices, receiver) = mpsc::channel(1);
                let body = crate::Body::boxed(Received {
                    slices: receiver,
                    length,
                });
                let sender = Sender {
                    reader,
                    length,
                    slices,
                };
                (body, Some(sender))
            }
        }
    }
}

in_memory!(Body: Bytes, Vec<u8>, String, &'static [u8], &'static str);

/// The rest of the file from its current position.
impl From<File> for Body {
    fn from(file: File) -> Self {
        let length = file.metadata().ok().map(|known| known.len());
        Self {
            kind: Kind::Reader(Box::new(file), length),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Body");
        match &self.kind {
            Kind::Bytes(bytes) => out.field("bytes", bytes),
            Kind::Reader(_, Some(length)) => out.field("length", length),
            Kind::Reader(_, None) => out.field("length", &format_args!("Unknown")),
        };
        out.finish()
    }
}

/// Reads on the caller's thread and passes slices to the client's thread.
pub(super) struct Sender {
    reader: Box<dyn Read + Send>,
    length: Option<u64>,
    slices: mpsc::Sender<io::Result<Bytes>>,
}

impl Sender {
    /// Reads until the end, the length, or until the request has ended, whose response says
    /// why.
    pub(super) async fn send(mut self) -> crate::Result<()> {
        let mut left = self.length.unwrap_or(u64::MAX);
        while left > 0 {
            let most = usize::try_from(left).map_or(SLICE, |left| left.min(SLICE));
            let mut slice = vec![0; most];
            match self.reader.read(&mut slice) {
                Ok(0) => break,
                Ok(count) => {
                    slice.truncate(count);
                    left -= count as u64;
                    if self.slices.send(Ok(slice.into())).await.is_err() {
                        break;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    let abort = io::Error::from(cause.kind());
                    // The request fails with the reader's error, whether or not it receives this.
                    let _ = self.slices.send(Err(abort)).await;
                    return Err(error::body(cause));
                }
            }
        }
        Ok(())
    }
}

/// The client's end of a [`Sender`].
struct Received {
    slices: mpsc::Receiver<io::Result<Bytes>>,
    length: Option<u64>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<io::Error> {
        let slice = self.slices.poll_recv(cx);
        slice.map(|slice| slice.map(|slice| slice.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}
