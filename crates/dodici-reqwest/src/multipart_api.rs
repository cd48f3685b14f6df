//! `multipart/form-data` (RFC 7578) for both clients; the async and the blocking version differ in
//! the type of a part's value.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use http::HeaderMap;
use mime_guess::Mime;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment escapes (URL Standard, path percent-encode set, with `/` and `%`).
const PATH_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'#')
    .add(b'?')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');

/// Everything but `attr-char` (RFC 8187, section 3.2.1).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// How field names are escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Escape {
    PathSegment,
    Attribute,
    Nothing,
}

/// Metadata of a part.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    pub(crate) mime: Option<Mime>,
    pub(crate) file_name: Option<Cow<'static, str>>,
    pub(crate) headers: HeaderMap,
}

#[cfg(any(feature = "stream", feature = "blocking"))]
impl Meta {
    /// Name and media type derived from a file's path.
    pub(crate) fn of_file(path: &std::path::Path) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let guess = mime_guess::from_ext(extension.unwrap_or_default());
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Self {
            mime: Some(guess.first_or_octet_stream()),
            file_name: name.map(Cow::Owned),
            headers: HeaderMap::new(),
        }
    }
}

impl Escape {
    fn apply(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::PathSegment => utf8_percent_encode(name, PATH_SEGMENT).into(),
            Self::Attribute => utf8_percent_encode(name, ATTRIBUTE).into(),
            Self::Nothing => name.into(),
        }
    }

    /// What precedes a part's value: boundary, fields, empty line.
    pub(crate) fn head(self, boundary: &str, name: &str, meta: &Meta) -> Vec<u8> {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; ").into_bytes();
        match self.apply(name) {
            Cow::Borrowed(name) => quoted(&mut head, "name", name),
            Cow::Owned(name) => head.extend_from_slice(format!("name*=utf-8''{name}").as_bytes()),
        }
        if let Some(file_name) = &meta.file_name {
            // `filename*` is not allowed here (RFC 7578, section 4.2).
            head.extend_from_slice(b"; ");
            quoted(&mut head, "filename", file_name);
        }
        if let Some(mime) = &meta.mime {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(mime.as_ref().as_bytes());
        }
        for (name, value) in &meta.headers {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

/// Writes `name="value"`, escaping what would end the value or its line as HTML forms do
/// (HTML Standard, multipart/form-data encoding algorithm).
fn quoted(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(format!("{name}=\"").as_bytes());
    for byte in value.bytes() {
        match byte {
            b'\r' => head.extend_from_slice(b"%0D"),
            b'\n' => head.extend_from_slice(b"%0A"),
            b'"' => head.extend_from_slice(b"%22"),
            byte => head.push(byte),
        }
    }
    head.push(b'"');
}

/// What follows the last part.
pub(crate) fn tail(boundary: &str) -> String {
    format!("--{boundary}--\r\n")
}

/// 256 random bits, so that no body contains it by accident.
pub(crate) fn boundary() -> String {
    // Each state has keys of its own, from the system's source of randomness.
    let word = |_| format!("{:016x}", RandomState::new().build_hasher().finish());
    [(); 4].map(word).join("-")
}

/// Defines `Form` and `Part` over a `$body` with a `length`; `$path` is their path in examples.
macro_rules! multipart_api {
    ($body:ty, $path:literal) => {
        /// A multipart form.
        ///
        #[doc = concat!("```\n",
            "use ", $path, "::multipart::{Form, Part};\n\n",
            "let form = Form::new()\n",
            "    .text(\"name\", \"value\")\n",
            "    .part(\"file\", Part::text(\"content\").file_name(\"a.txt\").mime_str(\"text/plain\")?);\n",
            "# Ok::<_, dodici_reqwest::Error>(())\n```")]
        pub struct Form {
            boundary: String,
            parts: Vec<(Cow<'static, str>, Part)>,
            escape: Escape,
        }

        /// One field of a [`Form`].
        pub struct Part {
            meta: Meta,
            value: $body,
            length: Option<u64>,
        }

        impl Form {
            /// An empty form.
            pub fn new() -> Self {
                Self {
                    boundary: boundary(),
                    parts: Vec::new(),
                    escape: Escape::PathSegment,
                }
            }

            /// The boundary between fields; random.
            pub fn boundary(&self) -> &str {
                &self.boundary
            }

            /// Adds a text field.
            #[must_use]
            pub fn text<T, U>(self, name: T, value: U) -> Self
            where
                T: Into<Cow<'static, str>>,
                U: Into<Cow<'static, str>>,
            {
                self.part(name, Part::text(value))
            }

            /// Adds a field.
            #[must_use]
            pub fn part<T>(mut self, name: T, part: Part) -> Self
            where
                T: Into<Cow<'static, str>>,
            {
                self.parts.push((name.into(), part));
                self
            }

            /// Escapes names like path segments. This is the default.
            #[must_use]
            pub fn percent_encode_path_segment(mut self) -> Self {
                self.escape = Escape::PathSegment;
                self
            }

            /// Escapes names like attributes (RFC 8187).
            #[must_use]
            pub fn percent_encode_attr_chars(mut self) -> Self {
                self.escape = Escape::Attribute;
                self
            }

            /// Writes names like HTML forms: only quotes and line ends are escaped.
            #[must_use]
            pub fn percent_encode_noop(mut self) -> Self {
                self.escape = Escape::Nothing;
                self
            }

            /// Length of the body; `None` if the length of a part is unknown.
            fn length(&self) -> Option<u64> {
                if self.parts.is_empty() {
                    return Some(0);
                }
                let mut length = tail(&self.boundary).len() as u64;
                for (name, part) in &self.parts {
                    let head = self.escape.head(&self.boundary, name, &part.meta);
                    length += head.len() as u64 + part.length? + 2;
                }
                Some(length)
            }
        }

        impl Default for Form {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Debug for Form {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Form")
                    .field("boundary", &self.boundary)
                    .field("parts", &self.parts)
                    .finish()
            }
        }

        impl Part {
            /// A text.
            pub fn text<T>(value: T) -> Self
            where
                T: Into<Cow<'static, str>>,
            {
                match value.into() {
                    Cow::Borrowed(text) => Self::new(text.into(), None),
                    Cow::Owned(text) => Self::new(text.into(), None),
                }
            }

            /// Bytes.
            pub fn bytes<T>(value: T) -> Self
            where
                T: Into<Cow<'static, [u8]>>,
            {
                match value.into() {
                    Cow::Borrowed(bytes) => Self::new(bytes.into(), None),
                    Cow::Owned(bytes) => Self::new(bytes.into(), None),
                }
            }

            fn new(value: $body, length: Option<u64>) -> Self {
                Self {
                    meta: Meta::default(),
                    length: length.or_else(|| value.length()),
                    value,
                }
            }

            /// The media type.
            ///
            /// # Errors
            /// A builder error for an invalid media type.
            pub fn mime_str(mut self, mime: &str) -> crate::Result<Self> {
                self.meta.mime = Some(mime.parse().map_err(crate::error::builder)?);
                Ok(self)
            }

            /// The name of the file.
            #[must_use]
            pub fn file_name<T>(mut self, filename: T) -> Self
            where
                T: Into<Cow<'static, str>>,
            {
                self.meta.file_name = Some(filename.into());
                self
            }

            /// Headers of the field.
            #[must_use]
            pub fn headers(mut self, headers: HeaderMap) -> Self {
                self.meta.headers = headers;
                self
            }
        }

        impl fmt::Debug for Part {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Part")
                    .field("value", &self.value)
                    .field("mime", &self.meta.mime)
                    .field("file_name", &self.meta.file_name)
                    .field("headers", &self.meta.headers)
                    .finish()
            }
        }
    };
}

pub(crate) use multipart_api;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(escape: Escape, name: &str) -> String {
        let head = escape.head("b", name, &Meta::default());
        String::from_utf8_lossy(&head).into_owned()
    }

    #[test]
    fn a_name_is_escaped_as_configured() {
        let begin = "--b\r\nContent-Disposition: form-data; ";
        let plain = format!("{begin}name=\"plain\"\r\n\r\n");
        assert_eq!(named(Escape::PathSegment, "plain"), plain);
        let path = format!("{begin}name*=utf-8''start%25'%22%0D%0A%C3%9Fend\r\n\r\n");
        assert_eq!(named(Escape::PathSegment, "start%'\"\r\n\u{df}end"), path);
        let attribute = format!("{begin}name*=utf-8''start%25%27%22%0D%0A%C3%9Fend\r\n\r\n");
        assert_eq!(
            named(Escape::Attribute, "start%'\"\r\n\u{df}end"),
            attribute
        );
        assert_eq!(
            named(Escape::Nothing, "a b"),
            format!("{begin}name=\"a b\"\r\n\r\n")
        );
    }

    #[test]
    fn a_file_name_cannot_leave_its_quotes() {
        let meta = Meta {
            file_name: Some("a\"b\\c\r\nd".into()),
            ..Meta::default()
        };
        let head = Escape::PathSegment.head("b", "n", &meta);
        let text = String::from_utf8_lossy(&head).into_owned();
        assert!(text.contains("filename=\"a%22b\\c%0D%0Ad\"\r\n"), "{text}");
    }

    #[test]
    fn boundaries_differ() {
        assert_ne!(boundary(), boundary());
        assert_eq!(boundary().len(), 67);
    }
}
