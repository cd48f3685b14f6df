//! The methods that the async and the blocking client share. The two differ in how they are created
//! and in what `execute` returns.

/// Implements them in two parts, each where what it is about is defined: `new` beside the
/// `ClientBuilder`, `request` beside `Request` and `RequestBuilder`. `$panics` documents when `new`
/// panics.
macro_rules! client_api {
    (new: $panics:literal) => {
        impl Client {
            /// A client with default settings.
            ///
            /// # Panics
            #[doc = $panics]
            /// [`ClientBuilder::build`] returns an error instead.
            pub fn new() -> Self {
                // reqwest's contract; `build` is the alternative.
                ClientBuilder::new().build().expect("Client::new()")
            }

            /// Settings for a client.
            pub fn builder() -> ClientBuilder {
                ClientBuilder::new()
            }
        }

        impl Default for Client {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    (request) => {
        impl Client {
            /// A request with this method. An invalid URL is reported when it is sent.
            pub fn request<U: IntoUrl>(&self, method: Method, url: U) -> RequestBuilder {
                let request = url.into_url().map(|url| Request::new(method, url));
                RequestBuilder::new(self.clone(), request)
            }

            $crate::client_api::client_api!(@methods
                get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD);
        }
    };
    (@methods $($name:ident $method:ident),*) => {$(
        #[doc = concat!("A `", stringify!($method), "` request.")]
        pub fn $name<U: IntoUrl>(&self, url: U) -> RequestBuilder {
            self.request(Method::$method, url)
        }
    )*};
}

pub(crate) use client_api;
