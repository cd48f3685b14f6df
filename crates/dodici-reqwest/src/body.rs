//! Request bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dodici::HeaderBlock;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use pin_project_lite::pin_project;

use crate::error::{self, BoxError};
use crate::util::opaque;

/// The next frame of a body.
pub(crate) type Polled<E = BoxError> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// The body of an async request.
///
/// Bytes are sent with `Content-Length` and can be resent, for a redirect or a retry. A stream is
/// sent once, chunked unless its length is known; its trailers are sent as well.
///
/// ```
/// use dodici_reqwest::Body;
///
/// assert_eq!(Body::from("text").as_bytes(), Some(&b"text"[..]));
/// ```
pub struct Body {
    inner: Inner,
    /// How its trailers are written over HTTP/1, if different from [`http::HeaderMap`].
    trailers: Option<Box<HeaderBlock>>,
}

/// Makes bodies of a type from bytes and text.
macro_rules! in_memory {
    ($body:ty: $($source:ty),*) => {$(
        impl From<$source> for $body {
            fn from(source: $source) -> Self {
                Self::bytes(source.into())
            }
        }
    )*};
}

#[cfg(feature = "blocking")]
pub(crate) use in_memory;

pub(crate) enum Inner {
    Bytes(Bytes),
    Stream(BoxBody<Bytes, crate::Error>),
}

impl Body {
    /// The bytes, unless it is a stream.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.inner {
            Inner::Bytes(bytes) => Some(bytes),
            Inner::Stream(_) => None,
        }
    }

    /// A body read from a stream.
    ///
    /// ```
    /// use dodici_reqwest::Body;
    /// use futures_util::stream;
    ///
    /// let chunks = vec![Ok::<_, std::io::Error>("hello "), Ok("world")];
    /// let body = Body::wrap_stream(stream::iter(chunks));
    /// assert_eq!(body.as_bytes(), None);
    /// ```
    ///
    /// Needs the feature `stream`.
    #[cfg(feature = "stream")]
    pub fn wrap_stream<S>(stream: S) -> Self
    where
        S: futures_core::TryStream + Send + 'static,
        S::Error: Into<BoxError>,
        Bytes: From<S::Ok>,
    {
        Self::stream(stream)
    }

    #[cfg(any(feature = "stream", feature = "multipart"))]
    pub(crate) fn stream<S>(stream: S) -> Self
    where
        S: futures_core::TryStream + Send + 'static,
        S::Error: Into<BoxError>,
        Bytes: From<S::Ok>,
    {
        use futures_util::TryStreamExt;

        let frames = stream
            .map_ok(|chunk| Frame::data(Bytes::from(chunk)))
            .map_err(Into::into);
        let frames = sync_wrapper::SyncStream::new(frames);
        Self::boxed(http_body_util::StreamBody::new(frames))
    }

    /// Any [`http_body::Body`]. Its size hint decides how it is framed.
    ///
    /// ```
    /// use dodici_reqwest::Body;
    /// use http_body_util::Full;
    ///
    /// let body = Body::wrap(Full::new(bytes::Bytes::from("wrapped")));
    /// # drop(body);
    /// ```
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody + Send + Sync + 'static,
        B::Data: Into<Bytes>,
        B::Error: Into<BoxError>,
    {
        Self::boxed(IntoBytes { body })
    }

    pub(crate) fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            inner: Inner::Stream(body.map_err(error::body).boxed()),
            trailers: None,
        }
    }

    pub(crate) fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Self {
            inner: Inner::Bytes(bytes),
            trailers: None,
        }
    }

    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.inner {
            Inner::Bytes(bytes) => Some(Self::bytes(bytes.clone())),
            Inner::Stream(_) => None,
        }
    }

    /// Sets how its trailers are written.
    pub(crate) fn spell_trailers(mut self, trailers: HeaderBlock) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    pub(crate) fn into_inner(self) -> (Inner, Option<Box<HeaderBlock>>) {
        (self.inner, self.trailers)
    }

    #[cfg(feature = "multipart")]
    pub(crate) fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

in_memory!(Body: Bytes, Vec<u8>, String, &'static [u8], &'static str);

/// Needs the feature `stream`.
#[cfg(feature = "stream")]
impl From<tokio::fs::File> for Body {
    fn from(file: tokio::fs::File) -> Self {
        Self::wrap_stream(tokio_util::io::ReaderStream::new(file))
    }
}

opaque!(Body);

impl HttpBody for Body {
    type Data = Bytes;
    type Error = crate::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<crate::Error> {
        match &mut self.get_mut().inner {
            Inner::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Bytes(bytes) => bytes.is_empty(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }
}

pin_project! {
    /// A body whose data is converted to [`Bytes`], with the same size hint.
    struct IntoBytes<B> {
        #[pin]
        body: B,
    }
}

impl<B> HttpBody for IntoBytes<B>
where
    B: HttpBody,
    B::Data: Into<Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Error> {
        let frame = ready!(self.project().body.poll_frame(cx));
        Poll::Ready(frame.map(|result| result.map(|frame| frame.map_data(Into::into))))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_know_their_length_and_can_be_sent_again() {
        let body = Body::from("abc");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        assert!(body.try_clone().is_some());
    }

    #[test]
    fn a_wrapped_body_keeps_its_size_hint() {
        let wrapped = Body::wrap(Body::empty());
        assert!(wrapped.is_end_stream());
        assert_eq!(wrapped.size_hint().exact(), Some(0));
        assert!(wrapped.try_clone().is_none());
    }
}
