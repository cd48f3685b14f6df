//! Blocking requests.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Version};

use super::body::{Body, Sender};
use super::client::Client;
use super::response::Response;
use crate::request_api::request_api;
use crate::{Method, Url};

request_api!(Client, Body, "dodici_reqwest::blocking");

impl Request {
    /// The async request, and the source its body must still be read from.
    pub(super) fn into_async(self) -> (crate::Request, Option<Sender>) {
        let mut request = crate::Request::new(self.method, self.url);
        request.headers = self.headers;
        request.version = self.version;
        request.extensions = self.extensions;
        let mut sender = None;
        if let Some(body) = self.body {
            let (body, rest) = body.into_async();
            request.body = Some(body);
            sender = rest;
        }
        (request, sender)
    }
}

impl RequestBuilder {
    /// Sends the request and waits for the response head.
    ///
    /// ```no_run
    /// # fn run() -> Result<(), dodici_reqwest::Error> {
    /// let response = dodici_reqwest::blocking::Client::new()
    ///     .get("https://example.com/")
    ///     .send()?;
    /// println!("{}", response.status());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first error of the builder, or any error that prevents a response.
    pub fn send(self) -> crate::Result<Response> {
        self.client.execute(self.request?)
    }
}
