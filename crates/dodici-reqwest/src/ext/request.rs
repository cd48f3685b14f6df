//! Extensions of requests and request bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dodici::{
    ConnectInfo, HeaderBlock, OnInformational, OnTimings, RawHeaders, RequestTimings, ResponseHead,
};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use crate::Body;
use crate::body::Polled;
use crate::limits::{MaxBody, MinBodyRate};

/// Per-request settings that reqwest's builder does not have.
pub trait RequestBuilderExt: Sized + sealed::Extend {
    /// Calls a function with each informational response (103 Early Hints, …) when it arrives. The
    /// function must not block.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::RequestBuilderExt};
    ///
    /// let request = Client::new()
    ///     .get("https://example.com/")
    ///     .on_informational(|head| println!("{}", head.status))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn on_informational<F>(self, callback: F) -> Self
    where
        F: Fn(&ResponseHead) + Send + Sync + 'static,
    {
        self.with_extension(OnInformational(Arc::new(callback)))
    }

    /// Calls a function when the request has ended, with its timings and the details of its
    /// connection, if it had one; after a redirect or a retry, once for each request. The function
    /// must not block.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::RequestBuilderExt};
    ///
    /// let request = Client::new()
    ///     .get("https://example.com/")
    ///     .on_timings(|timings, connection| {
    ///         let connect = connection.filter(|_| timings.is_new).map(|info| info.timings);
    ///         println!("{timings:?}, {connect:?}");
    ///     })
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn on_timings<F>(self, callback: F) -> Self
    where
        F: Fn(&RequestTimings, Option<&ConnectInfo>) + Send + Sync + 'static,
    {
        self.with_extension(OnTimings(Arc::new(callback)))
    }

    /// Maximum size of the response body in bytes, after decoding; overrides the client's
    /// [`max_body_size`](super::ClientBuilderExt::max_body_size).
    #[must_use]
    fn max_body_size(self, bytes: u64) -> Self {
        self.with_extension(MaxBody(bytes))
    }

    /// Minimum rate of the response body, in bytes per second before decoding; overrides the client's
    /// [`min_body_rate`](super::ClientBuilderExt::min_body_rate). Zero: no minimum. For the time of the
    /// whole request there is [`timeout`](crate::RequestBuilder::timeout).
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::RequestBuilderExt};
    ///
    /// let request = Client::new()
    ///     .get("https://example.com/large")
    ///     .min_body_rate(10_000)
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn min_body_rate(self, bytes_per_second: u32) -> Self {
        self.with_extension(MinBodyRate(bytes_per_second))
    }

    /// Sends these header fields over HTTP/1, in this order and letter case, and no others except
    /// `host` (first, if it is missing) and those that frame the body. The client's default
    /// headers, cookies, credentials and content codings are not added.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::{HeaderBlock, RequestBuilderExt}};
    ///
    /// let fields = [("X-First", "1"), ("x-SECOND", "2")];
    /// let request = Client::new()
    ///     .get("https://example.com/")
    ///     .raw_headers(fields.into_iter().collect::<HeaderBlock>())
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn raw_headers(self, fields: HeaderBlock) -> Self {
        self.with_extension(RawHeaders(fields))
    }
}

impl<B: sealed::Extend> RequestBuilderExt for B {}

mod sealed {
    pub trait Extend {
        #[doc(hidden)]
        #[must_use]
        fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self;
    }

    impl Extend for crate::RequestBuilder {
        fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
            self.extension(value)
        }
    }

    #[cfg(feature = "blocking")]
    impl Extend for crate::blocking::RequestBuilder {
        fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
            self.extension(value)
        }
    }
}

/// Request trailers, which reqwest's body does not have.
pub trait BodyExt {
    /// The body followed by trailers. It is sent chunked, and once.
    ///
    /// ```
    /// use dodici_reqwest::{Body, ext::BodyExt, header::HeaderMap};
    ///
    /// let mut trailers = HeaderMap::new();
    /// trailers.insert("checksum", "abc".parse().unwrap());
    /// let body = Body::from("text").with_trailers(trailers);
    /// ```
    #[must_use]
    fn with_trailers(self, trailers: HeaderMap) -> Body;

    /// Like [`BodyExt::with_trailers`], preserving order, letter case and duplicates over HTTP/1.
    /// An invalid name or value fails the request when the body ends.
    ///
    /// ```
    /// use dodici_reqwest::{Body, ext::{BodyExt, HeaderBlock}};
    ///
    /// let trailers = [("X-Checksum", "abc")].into_iter().collect::<HeaderBlock>();
    /// let body = Body::from("text").with_raw_trailers(trailers);
    /// ```
    #[must_use]
    fn with_raw_trailers(self, trailers: HeaderBlock) -> Body;
}

impl BodyExt for Body {
    fn with_trailers(self, trailers: HeaderMap) -> Body {
        Self::boxed(Trailed {
            body: Some(self),
            trailers: Some(Ok(trailers)),
        })
    }

    fn with_raw_trailers(self, trailers: HeaderBlock) -> Body {
        Self::boxed(Trailed {
            body: Some(self),
            trailers: Some(known_fields(&trailers)),
        })
        .spell_trailers(trailers)
    }
}

fn known_fields(block: &HeaderBlock) -> crate::Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(block.len());
    for (name, value) in block.iter() {
        let (name, value) = crate::util::header(name, value)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Reports no length, so that it is framed in the only way that allows trailers.
struct Trailed {
    body: Option<Body>,
    trailers: Option<crate::Result<HeaderMap>>,
}

impl HttpBody for Trailed {
    type Data = Bytes;
    type Error = crate::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<crate::Error> {
        if let Some(body) = &mut self.body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(frame) => return Poll::Ready(Some(frame)),
                None => self.body = None,
            }
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }
}
