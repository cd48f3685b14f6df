//! Conversion of arguments to URLs.

use url::Url;

use crate::error;

/// A type that can be used as a URL: [`Url`], `&str`, `String`, `&String`.
///
/// The trait is sealed.
pub trait IntoUrl: IntoUrlSealed {}

impl IntoUrl for Url {}
impl IntoUrl for String {}
impl IntoUrl for &str {}
impl IntoUrl for &String {}

pub trait IntoUrlSealed {
    /// A URL with a host.
    fn into_url(self) -> crate::Result<Url>;

    fn as_str(&self) -> &str;
}

impl IntoUrlSealed for Url {
    fn into_url(self) -> crate::Result<Url> {
        if self.has_host() {
            Ok(self)
        } else {
            Err(error::bad_scheme(self))
        }
    }

    fn as_str(&self) -> &str {
        self.as_ref()
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl IntoUrlSealed for $text {
            fn into_url(self) -> crate::Result<Url> {
                Url::parse(&self).map_err(error::builder)?.into_url()
            }

            fn as_str(&self) -> &str {
                self
            }
        }
    )*};
}

texts!(&str, &String, String);

/// The same as an `http::Uri`.
pub(crate) fn uri(url: &Url) -> crate::Result<http::Uri> {
    url.as_str()
        .parse()
        .map_err(|_| error::invalid_uri(url.clone()))
}
