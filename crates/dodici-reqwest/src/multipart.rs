//! Multipart forms, async.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use http_body_util::BodyDataStream;

use crate::Body;
use crate::multipart_api::{Escape, Meta, boundary, multipart_api, tail};

multipart_api!(Body, "dodici_reqwest");

type Chunks = Pin<Box<dyn Stream<Item = crate::Result<Bytes>> + Send + Sync>>;

impl Form {
    /// Adds a file, with its name and the media type of its extension.
    ///
    /// Needs the feature `stream`.
    ///
    /// # Errors
    /// If the file cannot be opened.
    #[cfg(feature = "stream")]
    pub async fn file<T, U>(self, name: T, path: U) -> std::io::Result<Self>
    where
        T: Into<Cow<'static, str>>,
        U: AsRef<std::path::Path>,
    {
        Ok(self.part(name, Part::file(path).await?))
    }

    /// A stream of the encoded form.
    pub fn into_stream(self) -> impl Stream<Item = crate::Result<Bytes>> + Send + Sync {
        let Self {
            boundary,
            parts,
            escape,
        } = self;
        let end = (!parts.is_empty()).then(|| Ok(Bytes::from(tail(&boundary))));
        let parts = parts.into_iter().map(move |(name, part)| -> Chunks {
            let head = escape.head(&boundary, &name, &part.meta);
            let head = std::iter::once(Ok(Bytes::from(head)));
            let end = std::iter::once(Ok(Bytes::from_static(b"\r\n")));
            let value = BodyDataStream::new(part.value);
            Box::pin(stream::iter(head).chain(value).chain(stream::iter(end)))
        });
        let parts: Vec<Chunks> = parts.collect();
        stream::iter(parts).flatten().chain(stream::iter(end))
    }

    /// The body, and its length if it is known.
    pub(crate) fn into_body(self) -> (Body, Option<u64>) {
        let length = self.length();
        if length == Some(0) {
            return (Body::empty(), length);
        }
        (Body::stream(self.into_stream()), length)
    }
}

impl Part {
    /// A stream of unknown length.
    pub fn stream<T: Into<Body>>(value: T) -> Self {
        Self::new(value.into(), None)
    }

    /// A stream of known length in bytes, which it must match.
    pub fn stream_with_length<T: Into<Body>>(value: T, length: u64) -> Self {
        Self::new(value.into(), Some(length))
    }

    /// A file, with its name and the media type of its extension.
    ///
    /// Needs the feature `stream`.
    ///
    /// # Errors
    /// If the file cannot be opened.
    #[cfg(feature = "stream")]
    pub async fn file<T: AsRef<std::path::Path>>(path: T) -> std::io::Result<Self> {
        let path = path.as_ref();
        let file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await.ok().map(|known| known.len());
        Ok(Self {
            meta: Meta::of_file(path),
            ..Self::new(file.into(), length)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    async fn written(form: Form) -> (String, Option<u64>) {
        let length = form.length();
        let chunks: Vec<_> = form.into_stream().collect().await;
        let bytes: Vec<u8> = chunks
            .into_iter()
            .flat_map(|chunk| chunk.expect("a chunk"))
            .collect();
        (String::from_utf8(bytes).expect("text"), length)
    }

    #[tokio::test]
    async fn an_empty_form_is_empty() {
        assert_eq!(written(Form::new()).await, (String::new(), Some(0)));
    }

    #[tokio::test]
    async fn parts_are_written_in_order_and_the_length_is_right() {
        let form = Form::new().text("a", "1").part(
            "b",
            Part::bytes(&b"2"[..])
                .file_name("f")
                .mime_str("text/plain")
                .expect("a type"),
        );
        let boundary = form.boundary().to_owned();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"b\"; filename=\"f\"\r\n\
             Content-Type: text/plain\r\n\r\n2\r\n--{boundary}--\r\n"
        );
        let (text, length) = written(form).await;
        assert_eq!(text, expected);
        assert_eq!(length, Some(text.len() as u64));
    }

    #[tokio::test]
    async fn a_stream_of_unknown_length_leaves_the_forms_length_open() {
        let chunks = stream::iter([Ok::<_, std::io::Error>("x")]);
        let form = Form::new().part("s", Part::stream(Body::stream(chunks)));
        assert_eq!(written(form).await.1, None);
    }
}
