//! Conversions to and from the real reqwest's types, for programs that migrate gradually.
//!
//! Needs the feature `reqwest`, which depends on the real one.

use bytes::Bytes;
use http::Extensions;

use crate::{Body, Request, Response};

/// Bytes stay bytes, which can be resent; everything else becomes a stream.
impl From<reqwest::Body> for Body {
    fn from(body: reqwest::Body) -> Self {
        match body.as_bytes() {
            Some(bytes) => Bytes::copy_from_slice(bytes).into(),
            None => Self::wrap(body),
        }
    }
}

/// Bytes stay bytes, which can be resent; everything else becomes a stream.
impl From<Body> for reqwest::Body {
    fn from(body: Body) -> Self {
        match body.as_bytes() {
            Some(bytes) => Bytes::copy_from_slice(bytes).into(),
            None => Self::wrap(body),
        }
    }
}

/// The request's extensions are lost: reqwest does not expose them.
impl From<reqwest::Request> for Request {
    fn from(mut request: reqwest::Request) -> Self {
        let body = request.body_mut().take();
        Self {
            method: request.method().clone(),
            url: request.url().clone(),
            headers: std::mem::take(request.headers_mut()),
            body: body.map(Body::from),
            version: request.version(),
            timeout: request.timeout().copied(),
            extensions: Extensions::new(),
        }
    }
}

/// The request's extensions are lost: reqwest does not accept them.
impl From<Request> for reqwest::Request {
    fn from(request: Request) -> Self {
        let mut converted = Self::new(request.method, request.url);
        *converted.headers_mut() = request.headers;
        *converted.body_mut() = request.body.map(reqwest::Body::from);
        *converted.version_mut() = request.version;
        *converted.timeout_mut() = request.timeout;
        converted
    }
}

impl From<reqwest::Response> for Response {
    fn from(response: reqwest::Response) -> Self {
        let url = response.url().clone();
        let mut converted = http::Response::<reqwest::Body>::from(response).map(Body::from);
        converted
            .extensions_mut()
            .insert(crate::response::ResponseUrl(url));
        converted.into()
    }
}

impl From<Response> for reqwest::Response {
    fn from(response: Response) -> Self {
        use reqwest::ResponseBuilderExt;

        let url = response.url().clone();
        let (parts, body) = http::Response::<Body>::from(response).into_parts();
        let body = reqwest::Body::from(body);
        let mut converted = http::Response::new(body);
        // A URL can only be set through a builder.
        if let Ok(named) = http::Response::builder().url(url).body(()) {
            *converted.extensions_mut() = named.into_parts().0.extensions;
        }
        *converted.status_mut() = parts.status;
        *converted.version_mut() = parts.version;
        *converted.headers_mut() = parts.headers;
        converted.extensions_mut().extend(parts.extensions);
        converted.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::Duration;

    use super::*;
    use crate::ResponseBuilderExt;
    use crate::Url;

    #[test]
    fn a_request_survives_the_way_there_and_back() {
        let client = reqwest::Client::new();
        let built = client
            .post("http://host/path")
            .header("x-name", "value")
            .timeout(Duration::from_secs(3))
            .body("text")
            .build()
            .expect("a request");
        let ours = Request::from(built);
        assert_eq!(ours.url().as_str(), "http://host/path");
        assert_eq!(ours.headers()["x-name"], "value");
        let theirs = reqwest::Request::from(ours);
        assert_eq!(theirs.timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(
            theirs.body().and_then(reqwest::Body::as_bytes),
            Some(&b"text"[..])
        );
    }

    #[tokio::test]
    async fn a_response_survives_the_way_there_and_back() {
        let url = Url::parse("http://host/").expect("a URL");
        let built = http::Response::builder()
            .status(404)
            .url(url.clone())
            .body("text")
            .expect("a response");
        let theirs = reqwest::Response::from(Response::from(built));
        assert_eq!((theirs.url(), theirs.status().as_u16()), (&url, 404));
        let ours = Response::from(theirs);
        assert_eq!(ours.url(), &url);
        assert_eq!(ours.text().await.expect("text"), "text");
    }
}
