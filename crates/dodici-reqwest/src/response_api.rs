//! What both responses show of a response's head, each method written once: the asynchronous
//! response looks it up, the blocking one asks the asynchronous one inside.

use std::net::SocketAddr;

use http::HeaderMap;
use http_body::Body as HttpBody;

use crate::transport::Via;
use crate::{StatusCode, Url, Version};

/// Writes each method into both responses.
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

    /// Length of the body as it will be read, in bytes; `None` if it is not known: the body is
    /// chunked, or was compressed.
    fn content_length(&self) -> Option<u64> {
        HttpBody::size_hint(self.inner.body()).exact()
    }

    /// The cookies in `set-cookie` headers; those that cannot be parsed are left out.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookies(&self) -> impl Iterator<Item = crate::cookie::Cookie<'_>> + '_ {
        crate::cookie::in_response(self.headers())
    }

    /// The URL that answered, which is another than asked for after redirects.
    fn url(&self) -> &Url {
        &self.url
    }

    /// Address of the server, or of the proxy; `None` for a unix socket.
    fn remote_addr(&self) -> Option<SocketAddr> {
        self.extensions().get::<Via>()?.remote()
    }

    /// What layers and this crate have put beside the response.
    fn extensions(&self) -> &http::Extensions {
        self.inner.extensions()
    }

    mut

    /// The headers, to be changed.
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// What stands beside the response, to be changed.
    fn extensions_mut(&mut self) -> &mut http::Extensions {
        self.inner.extensions_mut()
    }
}
