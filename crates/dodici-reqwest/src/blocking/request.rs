//! Blocking requests.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use dodici::LastLook;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Version};
use tokio::sync::oneshot;

use super::body::{Body, Sender};
use super::client::{Client, Work, worker_ended};
use super::response::Response;
use super::wait::{self, Waited};
use crate::client_api::client_api;
use crate::request_api::request_api;
use crate::{IntoUrl, Method, Url, error};

request_api!(request: Body, "dodici_reqwest::blocking");
request_api!(builder: Client, Body, "dodici_reqwest::blocking");
client_api!(request);

impl Client {
    /// Sends a request and waits for the response head.
    ///
    /// # Errors
    /// Any error that prevents a response.
    pub fn execute(&self, request: Request) -> crate::Result<Response> {
        let timeout = request.timeout().copied().or(self.timeout);
        let url = request.url().clone();
        let (mut request, body) = request.into_async();
        let look = LastLook::default();
        if timeout.is_some() {
            request.extensions.insert(look.clone());
        }
        let (answer, answered) = oneshot::channel();
        let (say_late, late) = oneshot::channel();
        let work = Work {
            request,
            look: look.clone(),
            answer,
            late,
        };
        let queued = match &self.worker.work {
            Some(queue) => queue.send(work).is_ok(),
            None => false,
        };
        if !queued {
            return Err(worker_ended());
        }
        let waiting = async {
            // Reading the body may block: it runs here, not on the worker.
            if let Some(body) = body {
                body.send().await?;
            }
            answered.await.unwrap_or_else(|_| Err(worker_ended()))
        };
        let (looking, mut looked) = oneshot::channel();
        let mut say_late = Some((say_late, looking));
        let looked = |cx: &mut Context<'_>| {
            if let Some((say_late, looking)) = say_late.take() {
                // Without a receiver, it is dropped, too.
                let _ = say_late.send(looking);
            }
            Pin::new(&mut looked).poll(cx).map(|_| ())
        };
        match wait::timeout(waiting, timeout, looked) {
            Ok(response) => Ok(Response::new(
                response,
                timeout,
                look,
                Some(Arc::clone(&self.worker)),
            )),
            Err(Waited::TimedOut(cause)) => Err(error::request(cause).with_url(url)),
            Err(Waited::Failed(error)) => Err(error.with_url(url)),
        }
    }
}

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
