//! `Request` and `RequestBuilder` for both clients; the async and the blocking version differ in
//! their client, their body, and in what `send` returns.

/// Defines `Request` with a `$body`, or `RequestBuilder` with a `$client`; `$path` is their path in
/// examples.
macro_rules! request_api {
    (request: $body:ty, $path:literal) => {
        /// A request that can be [executed](Client::execute).
        ///
        #[doc = concat!("```\n",
            "use ", $path, "::Request;\nuse dodici_reqwest::{Method, Url};\n\n",
            "# fn main() -> Result<(), Box<dyn std::error::Error>> {\n",
            "let mut request = Request::new(Method::PUT, Url::parse(\"https://example.com/\")?);\n",
            "*request.body_mut() = Some(\"text\".into());\n",
            "assert_eq!(request.method(), Method::PUT);\n",
            "# Ok(())\n# }\n```")]
        pub struct Request {
            pub(crate) method: Method,
            pub(crate) url: Url,
            pub(crate) headers: HeaderMap,
            pub(crate) body: Option<$body>,
            pub(crate) version: Version,
            pub(crate) timeout: Option<Duration>,
            pub(crate) extensions: Extensions,
        }

        impl Request {
            /// A request without headers or body.
            pub fn new(method: Method, url: Url) -> Self {
                Self {
                    method,
                    url,
                    headers: HeaderMap::new(),
                    body: None,
                    version: Version::default(),
                    timeout: None,
                    extensions: Extensions::new(),
                }
            }

            /// The method.
            pub fn method(&self) -> &Method {
                &self.method
            }

            /// A mutable reference to the method.
            pub fn method_mut(&mut self) -> &mut Method {
                &mut self.method
            }

            /// The URL.
            pub fn url(&self) -> &Url {
                &self.url
            }

            /// A mutable reference to the URL.
            pub fn url_mut(&mut self) -> &mut Url {
                &mut self.url
            }

            /// The headers; the client's default headers are added when it is sent.
            pub fn headers(&self) -> &HeaderMap {
                &self.headers
            }

            /// A mutable reference to the headers.
            pub fn headers_mut(&mut self) -> &mut HeaderMap {
                &mut self.headers
            }

            /// The body.
            pub fn body(&self) -> Option<&$body> {
                self.body.as_ref()
            }

            /// A mutable reference to the body.
            pub fn body_mut(&mut self) -> &mut Option<$body> {
                &mut self.body
            }

            /// The request's timeout.
            pub fn timeout(&self) -> Option<&Duration> {
                self.timeout.as_ref()
            }

            /// A mutable reference to the request's timeout, which overrides the client's.
            pub fn timeout_mut(&mut self) -> &mut Option<Duration> {
                &mut self.timeout
            }

            /// The requested HTTP version.
            pub fn version(&self) -> Version {
                self.version
            }

            /// A mutable reference to the HTTP version.
            pub fn version_mut(&mut self) -> &mut Version {
                &mut self.version
            }

            /// A copy of this request; `None` if its body can be read only once.
            pub fn try_clone(&self) -> Option<Self> {
                let body = match &self.body {
                    Some(body) => Some(body.try_clone()?),
                    None => None,
                };
                Some(Self {
                    method: self.method.clone(),
                    url: self.url.clone(),
                    headers: self.headers.clone(),
                    body,
                    version: self.version,
                    timeout: self.timeout,
                    extensions: self.extensions.clone(),
                })
            }

            pub(crate) fn fields(&self, out: &mut fmt::DebugStruct<'_, '_>) {
                out.field("method", &self.method)
                    .field("url", &self.url)
                    .field("headers", &self.headers);
            }
        }

        impl fmt::Debug for Request {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct("Request");
                self.fields(&mut out);
                out.finish()
            }
        }

        impl<T: Into<$body>> TryFrom<http::Request<T>> for Request {
            type Error = crate::Error;

            fn try_from(request: http::Request<T>) -> crate::Result<Self> {
                let (mut parts, body) = request.into_parts();
                let url = Url::parse(&parts.uri.to_string()).map_err(crate::error::builder)?;
                let timeout = parts.extensions.remove::<crate::util::Timeout>();
                Ok(Self {
                    method: parts.method,
                    url,
                    headers: parts.headers,
                    body: Some(body.into()),
                    version: parts.version,
                    timeout: timeout.map(|timeout| timeout.0),
                    extensions: parts.extensions,
                })
            }
        }
    };
    (builder: $client:ty, $body:ty, $path:literal) => {
        /// Builds a [`Request`]. Errors are reported at the end.
        ///
        #[doc = concat!("```\n",
            "use ", $path, "::Client;\n\n",
            "# fn main() -> Result<(), dodici_reqwest::Error> {\n",
            "let request = Client::new()\n    .get(\"https://example.com/\")\n",
            "    .header(\"accept-language\", \"it\")\n    .build()?;\n",
            "assert_eq!(request.headers()[\"accept-language\"], \"it\");\n",
            "# Ok(())\n# }\n```")]
        #[must_use = "a request is sent by `send`"]
        pub struct RequestBuilder {
            client: $client,
            request: crate::Result<Request>,
        }

        impl RequestBuilder {
            /// A request to a URL; its user name and password become a header.
            pub(crate) fn new(client: $client, request: crate::Result<Request>) -> Self {
                let mut builder = Self { client, request };
                let credentials = match &mut builder.request {
                    Ok(request) => crate::util::take_credentials(&mut request.url),
                    Err(_) => None,
                };
                match credentials {
                    Some((name, password)) => builder.basic_auth(name, password),
                    None => builder,
                }
            }

            /// Continues with a request that was already built.
            pub fn from_parts(client: $client, request: Request) -> Self {
                Self {
                    client,
                    request: Ok(request),
                }
            }

            fn try_change(
                mut self,
                change: impl FnOnce(&mut Request) -> crate::Result<()>,
            ) -> Self {
                if let Ok(request) = &mut self.request
                    && let Err(error) = change(request)
                {
                    self.request = Err(error);
                }
                self
            }

            fn change(self, change: impl FnOnce(&mut Request)) -> Self {
                self.try_change(|request| {
                    change(request);
                    Ok(())
                })
            }

            /// Extensions of the request, for this crate's own settings.
            pub(crate) fn extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
                self.change(|request| {
                    request.extensions.insert(value);
                })
            }

            /// Adds a header. Several headers of the same name are all sent.
            ///
            #[doc = concat!("```\n",
                "# let client = ", $path, "::Client::new();\n",
                "let request = client.get(\"https://example.com/\")\n",
                "    .header(\"accept\", \"text/html\")\n",
                "    .header(\"accept\", \"text/plain\")\n",
                "    .build()?;\n",
                "assert_eq!(request.headers().get_all(\"accept\").iter().count(), 2);\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            pub fn header<K, V>(self, key: K, value: V) -> Self
            where
                HeaderName: TryFrom<K>,
                <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
                HeaderValue: TryFrom<V>,
                <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
            {
                self.try_change(|request| {
                    let (name, value) = crate::util::header(key, value)?;
                    request.headers.append(name, value);
                    Ok(())
                })
            }

            fn authorization(self, value: HeaderValue) -> Self {
                self.change(|request| {
                    request.headers.append(AUTHORIZATION, value);
                })
            }

            /// Sets headers: each name in `headers` replaces the request's values for it.
            pub fn headers(self, headers: HeaderMap) -> Self {
                self.change(|request| crate::util::replace_headers(&mut request.headers, headers))
            }

            /// HTTP basic authentication (RFC 7617). The header is marked as sensitive.
            ///
            #[doc = concat!("```\n",
                "# let client = ", $path, "::Client::new();\n",
                "let request = client.get(\"https://example.com/\")\n",
                "    .basic_auth(\"Aladdin\", Some(\"open sesame\"))\n",
                "    .build()?;\n",
                "assert_eq!(request.headers()[\"authorization\"], \"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\");\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            pub fn basic_auth<U, P>(self, username: U, password: Option<P>) -> Self
            where
                U: fmt::Display,
                P: fmt::Display,
            {
                self.authorization(crate::util::basic_auth(username, password))
            }

            /// A bearer token (RFC 6750). The header is marked as sensitive.
            pub fn bearer_auth<T>(self, token: T) -> Self
            where
                T: fmt::Display,
            {
                self.try_change(|request| {
                    let (_, mut value) =
                        crate::util::header(AUTHORIZATION, format!("Bearer {token}"))?;
                    value.set_sensitive(true);
                    request.headers.append(AUTHORIZATION, value);
                    Ok(())
                })
            }

            /// The body.
            pub fn body<T: Into<$body>>(self, body: T) -> Self {
                self.change(|request| request.body = Some(body.into()))
            }

            /// Timeout for the whole request, including the response body; overrides the
            /// client's.
            pub fn timeout(self, timeout: Duration) -> Self {
                self.change(|request| request.timeout = Some(timeout))
            }

            /// Adds pairs to the URL's query.
            ///
            #[doc = concat!("```\n",
                "# let client = ", $path, "::Client::new();\n",
                "let request = client.get(\"https://example.com/\")\n",
                "    .query(&[(\"page\", 2), (\"size\", 50)])\n",
                "    .build()?;\n",
                "assert_eq!(request.url().as_str(), \"https://example.com/?page=2&size=50\");\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            ///
            /// Needs the feature `query`. Types that are neither pairs nor structs fail with a
            /// builder error.
            #[cfg(feature = "query")]
            pub fn query<T: serde::Serialize + ?Sized>(self, query: &T) -> Self {
                self.try_change(|request| {
                    let mut pairs = request.url.query_pairs_mut();
                    let written = query.serialize(serde_urlencoded::Serializer::new(&mut pairs));
                    written.map_err(crate::error::builder)?;
                    drop(pairs);
                    if request.url.query() == Some("") {
                        request.url.set_query(None);
                    }
                    Ok(())
                })
            }

            /// The HTTP version to use.
            pub fn version(self, version: Version) -> Self {
                self.change(|request| request.version = version)
            }

            /// A form as the body (`application/x-www-form-urlencoded`). A `content-type` that was
            /// set before stays.
            ///
            #[doc = concat!("```\n",
                "# let client = ", $path, "::Client::new();\n",
                "let request = client.post(\"https://example.com/\")\n",
                "    .form(&[(\"lang\", \"rust\")])\n",
                "    .build()?;\n",
                "assert_eq!(request.body().unwrap().as_bytes(), Some(&b\"lang=rust\"[..]));\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            ///
            /// Needs the feature `form`.
            #[cfg(feature = "form")]
            pub fn form<T: serde::Serialize + ?Sized>(self, form: &T) -> Self {
                self.try_change(|request| {
                    let body = serde_urlencoded::to_string(form).map_err(crate::error::builder)?;
                    request
                        .headers
                        .entry(http::header::CONTENT_TYPE)
                        .or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
                    request.body = Some(body.into());
                    Ok(())
                })
            }

            /// JSON as the body. A `content-type` that was set before stays.
            ///
            #[doc = concat!("```\n",
                "# let client = ", $path, "::Client::new();\n",
                "let request = client.post(\"https://example.com/\")\n",
                "    .json(&serde_json::json!({ \"lang\": \"rust\" }))\n",
                "    .build()?;\n",
                "assert_eq!(request.headers()[\"content-type\"], \"application/json\");\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            ///
            /// Needs the feature `json`.
            #[cfg(feature = "json")]
            pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
                self.try_change(|request| {
                    let body = serde_json::to_vec(json).map_err(crate::error::builder)?;
                    request
                        .headers
                        .entry(http::header::CONTENT_TYPE)
                        .or_insert(HeaderValue::from_static("application/json"));
                    request.body = Some(body.into());
                    Ok(())
                })
            }

            /// A multipart form as the body (`multipart/form-data`, RFC 7578).
            ///
            #[doc = concat!("```\n",
                "use ", $path, "::multipart::Form;\n\n",
                "# let client = ", $path, "::Client::new();\n",
                "let form = Form::new().text(\"lang\", \"rust\");\n",
                "let request = client.post(\"https://example.com/\").multipart(form).build()?;\n",
                "# Ok::<_, dodici_reqwest::Error>(())\n```")]
            ///
            /// Needs the feature `multipart`.
            #[cfg(feature = "multipart")]
            pub fn multipart(self, multipart: super::multipart::Form) -> Self {
                let content_type =
                    format!("multipart/form-data; boundary={}", multipart.boundary());
                let (body, length) = multipart.into_body();
                let builder = self.header(http::header::CONTENT_TYPE, content_type);
                let builder = match length {
                    Some(length) => builder.header(http::header::CONTENT_LENGTH, length),
                    None => builder,
                };
                builder.body(body)
            }

            /// Builds the request, to be inspected or executed later.
            ///
            /// # Errors
            /// The first error of the builder.
            pub fn build(self) -> crate::Result<Request> {
                self.request
            }

            /// Builds the request, and returns it with the client.
            pub fn build_split(self) -> ($client, crate::Result<Request>) {
                (self.client, self.request)
            }

            /// A copy of the builder; `None` after an error, or if the body can be
            /// read only once.
            pub fn try_clone(&self) -> Option<Self> {
                let request = self.request.as_ref().ok()?.try_clone()?;
                Some(Self {
                    client: self.client.clone(),
                    request: Ok(request),
                })
            }
        }

        impl fmt::Debug for RequestBuilder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct("RequestBuilder");
                match &self.request {
                    Ok(request) => request.fields(&mut out),
                    Err(error) => {
                        out.field("error", error);
                    }
                }
                out.finish()
            }
        }
    };
}

pub(crate) use request_api;
