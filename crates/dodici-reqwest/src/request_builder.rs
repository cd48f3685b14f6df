//! The builder of async requests, which sends them as well.

use std::fmt;
use std::time::Duration;

use http::Version;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::body::Body;
use crate::client::{Client, Pending};
use crate::client_api::client_api;
use crate::request::Request;
use crate::request_api::request_api;
use crate::response::Response;
use crate::{IntoUrl, Method};

request_api!(builder: Client, Body, "dodici_reqwest");
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
