//! Multipart forms, blocking.
//!
//! ```no_run
//! use dodici_reqwest::blocking::{Client, multipart::Form};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let form = Form::new().text("name", "value").file("photo", "photo.png")?;
//! let response = Client::new().post("https://example.com/").multipart(form).send()?;
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::Path;

use http::HeaderMap;

use super::Body;
use crate::multipart_api::{Escape, Meta, boundary, multipart_api, tail};

multipart_api!(Body, "dodici_reqwest::blocking");

impl Form {
    /// Adds a file, with its name and the media type of its extension.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn file<T, U>(self, name: T, path: U) -> io::Result<Self>
    where
        T: Into<Cow<'static, str>>,
        U: AsRef<Path>,
    {
        Ok(self.part(name, Part::file(path)?))
    }

    /// A reader of the encoded form.
    ///
    /// ```
    /// use std::io::Read;
    /// use dodici_reqwest::blocking::multipart::Form;
    ///
    /// let mut text = String::new();
    /// Form::new().text("name", "value").into_reader().read_to_string(&mut text)?;
    /// assert!(text.contains("name=\"name\"\r\n\r\nvalue\r\n"));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn into_reader(self) -> impl Read {
        self.reader()
    }

    fn reader(self) -> Box<dyn Read + Send> {
        let mut reader: Box<dyn Read + Send> = Box::new(io::empty());
        if self.parts.is_empty() {
            return reader;
        }
        for (name, part) in self.parts {
            let head = self.escape.head(&self.boundary, &name, &part.meta);
            let value = part.value.into_reader();
            let value: Box<dyn Read + Send> = match part.length {
                Some(length) => Box::new(value.take(length)),
                None => value,
            };
            reader = Box::new(
                reader
                    .chain(Cursor::new(head))
                    .chain(value)
                    .chain(&b"\r\n"[..]),
            );
        }
        Box::new(reader.chain(Cursor::new(tail(&self.boundary))))
    }

    /// The body, and its length if it is known.
    pub(super) fn into_body(self) -> (Body, Option<u64>) {
        match self.length() {
            Some(0) => (Body::from(Vec::new()), Some(0)),
            Some(length) => (Body::sized(self.reader(), length), Some(length)),
            None => (Body::new(self.reader()), None),
        }
    }
}

impl Part {
    /// A reader of unknown length.
    pub fn reader<T: Read + Send + 'static>(value: T) -> Self {
        Self::new(Body::new(value), None)
    }

    /// A reader of known length in bytes, which it must match.
    pub fn reader_with_length<T: Read + Send + 'static>(value: T, length: u64) -> Self {
        Self::new(Body::sized(value, length), None)
    }

    /// A file, with its name and the media type of its extension.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn file<T: AsRef<Path>>(path: T) -> io::Result<Self> {
        let path = path.as_ref();
        let file = std::fs::File::open(path)?;
        Ok(Self {
            meta: Meta::of_file(path),
            ..Self::new(file.into(), None)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_form_has_its_declared_length() {
        let form = Form::new()
            .text("a", "1")
            .part("b", Part::reader_with_length(&b"234"[..], 3).file_name("f"));
        let length = form.length().expect("known");
        let mut bytes = Vec::new();
        form.into_reader().read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len() as u64, length);
    }

    #[test]
    fn a_reader_of_unknown_length_leaves_the_forms_length_open() {
        let form = Form::new().part("b", Part::reader(&b"234"[..]));
        assert_eq!(form.length(), None);
    }
}
