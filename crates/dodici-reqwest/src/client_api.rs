//! The one definition of what both clients offer alike: the asynchronous and the blocking one
//! differ in how they are made and in what `execute` returns.

/// Writes it for the `Client` of the calling module, with the `ClientBuilder`, `Request` and
/// `RequestBuilder` that are in scope there. `$panics` says when `new` panics.
macro_rules! client_api {
    ($panics:literal) => {
        impl Client {
            /// A client with the defaults.
            ///
            /// # Panics
            #[doc = $panics]
            /// [`ClientBuilder::build`] returns an error instead.
            pub fn new() -> Self {
                // reqwest's contract; `build` is the other way.
                ClientBuilder::new().build().expect("Client::new()")
            }

            /// Settings for a client.
            pub fn builder() -> ClientBuilder {
                ClientBuilder::new()
            }

            /// A request with this method. What is wrong with the URL is said when it is sent.
            pub fn request<U: IntoUrl>(&self, method: Method, url: U) -> RequestBuilder {
                let request = url.into_url().map(|url| Request::new(method, url));
                RequestBuilder::new(self.clone(), request)
            }

            $crate::client_api::client_api!(@methods
                get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD);
        }

        impl Default for Client {
            fn default() -> Self {
                Self::new()
            }
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
