//! Async requests.

use std::fmt;
use std::time::Duration;

use http::header::HeaderMap;
use http::{Extensions, Version};

use crate::body::Body;
use crate::request_api::request_api;
use crate::{Method, Url, error};

request_api!(request: Body, "dodici_reqwest");

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
