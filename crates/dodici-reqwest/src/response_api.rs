//! Accessors for the response head, each written once: the async response implements them, the
//! blocking one forwards to the async one inside.

use std::net::SocketAddr;

use http::HeaderMap;
use http_body::Body as HttpBody;

use crate::{StatusCode, Url, Version};

/// Adds each method to both response types.
macro_rules! response_api {
    ($(
        $(#[$meta:meta])*
        fn $name:ident(&$this:ident) -> $type:ty $body:block
    )*
    mut $(
        $(#[$meta_mut:meta])*
        fn $name_mut:ident(&mut $this_mut:ident) -> $type_mut:ty $body_mut:block
    )*) => {
        impl crate::Response {
            $($(#[$meta])* pub fn $name(&$this) -> $type $body)*
            $($(#[$meta_mut])* pub fn $name_mut(&mut $this_mut) -> $type_mut $body_mut)*
        }

        #[cfg(feature = "blocking")]
        impl crate::blocking::Response {
            $($(#[$meta])* pub fn $name(&$this) -> $type {
                $this.inner.$name()
            })*
            $($(#[$meta_mut])* pub fn $name_mut(&mut $this_mut) -> $type_mut {
                $this_mut.inner.$name_mut()
            })*
        }
    };
}

response_api! {
    /// The status.
    fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The HTTP version of the response.
    fn version(&self) -> Version {
        self.inner.version()
    }

    /// The headers.
    fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Length of the body as it will be read, in bytes; `None` if unknown, because the body is
    /// chunked or was compressed.
    fn content_length(&self) -> Option<u64> {
        HttpBody::size_hint(self.inner.body()).exact()
    }

    /// The cookies in `set-cookie` headers, except those that cannot be parsed.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookies(&self) -> impl Iterator<Item = crate::cookie::Cookie<'_>> + '_ {
        crate::cookie::in_response(self.headers())
    }

    /// The URL of the response; after redirects, not the one originally requested.
    fn url(&self) -> &Url {
        &self.url
    }

    /// Address of the server, or of the proxy; `None` for a Unix socket.
    fn remote_addr(&self) -> Option<SocketAddr> {
        self.via()?.detail.connection.as_ref()?.remote
    }

    /// Extensions added by layers and this crate.
    fn extensions(&self) -> &http::Extensions {
        self.inner.extensions()
    }

    mut

    /// A mutable reference to the headers.
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// A mutable reference to the extensions.
    fn extensions_mut(&mut self) -> &mut http::Extensions {
        self.inner.extensions_mut()
    }
}
