//! Async requests.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Version};

use crate::body::Body;
use crate::client::{Client, Pending};
use crate::client_api::client_api;
use crate::request_api::request_api;
use crate::response::Response;
use crate::{IntoUrl, Method, Url, error};

request_api!(Client, Body, "dodici_reqwest");
client_api!(request);

impl RequestBuilder {
    /// Sends the request and resolves with the response head. Dropping the future cancels the
    /// request.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let response = dodici_reqwest::Client::new()
    ///     .get("https://example.com/")
    ///     .send()
    ///     .await?;
    /// println!("{}", response.status());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first error of the builder, or any error that prevents a response.
    pub fn send(self) -> impl Future<Output = Result<Response, crate::Error>> {
        match self.request {
            Ok(request) => self.client.start(request),
            Err(error) => Pending::failed(error),
        }
    }
}

impl TryFrom<Request> for http::Request<Body> {
    type Error = crate::Error;

    fn try_from(request: Request) -> crate::Result<Self> {
        let mut converted = Self::new(request.body.unwrap_or_default());
        *converted.uri_mut() = request.url.as_str().parse().map_err(error::builder)?;
        *converted.method_mut() = request.method;
        *converted.version_mut() = request.version;
        *converted.headers_mut() = request.headers;
        *converted.extensions_mut() = request.extensions;
        if let Some(timeout) = request.timeout {
            converted
                .extensions_mut()
                .insert(crate::util::Timeout(timeout));
        }
        Ok(converted)
    }
}
