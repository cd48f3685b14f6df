//! What a client reports to the `tracing` crate, behind the feature of that name; without it nothing is
//! left of this module.
//!
//! The engine reports connections and requests itself, inside the spans that are created here.
//! Origins, methods and statuses are recorded; no path, header or body is.

pub(crate) use imp::{Hop, redirected, retried};

#[cfg(not(feature = "tracing"))]
mod imp {
    use http::StatusCode;
    use http::request::Parts;

    use crate::Url;

    pub(crate) struct Hop;

    impl Hop {
        pub(crate) fn new(_: &Parts) -> Self {
            Self
        }

        pub(crate) fn around<F>(self, sending: F) -> F {
            sending
        }
    }

    pub(crate) fn retried(_: u32, _: Option<StatusCode>) {}

    pub(crate) fn redirected(_: StatusCode, _: &Url) {}
}

#[cfg(feature = "tracing")]
mod imp {
    use http::request::Parts;
    use http::{Response, StatusCode};
    use tracing::field::Empty;
    use tracing::{Instrument, Span, debug, debug_span};

    use crate::Url;

    const TARGET: &str = "dodici_reqwest";

    /// A span around what sends a request to one origin: the whole, or what follows a redirect.
    pub(crate) struct Hop(Span);

    impl Hop {
        pub(crate) fn new(request: &Parts) -> Self {
            let uri = &request.uri;
            Self(debug_span!(
                target: TARGET,
                "hop",
                method = %request.method,
                scheme = uri.scheme_str(),
                host = uri.host(),
                port = uri.port_u16(),
                status = Empty,
            ))
        }

        pub(crate) async fn around<B, F>(self, sending: F) -> crate::Result<Response<B>>
        where
            F: Future<Output = crate::Result<Response<B>>>,
        {
            let answer = sending.instrument(self.0.clone()).await;
            if let Ok(response) = &answer {
                self.0.record("status", response.status().as_u16());
            }
            answer
        }
    }

    /// The client's policy sends a request again after this answer, if there was one.
    pub(crate) fn retried(retries: u32, status: Option<StatusCode>) {
        let status = status.map(|status| status.as_u16());
        debug!(target: TARGET, retries, status, "retried");
    }

    /// A redirect to this URL is followed.
    pub(crate) fn redirected(status: StatusCode, next: &Url) {
        let origin = next.origin().ascii_serialization();
        debug!(target: TARGET, status = status.as_u16(), %origin, "redirected");
    }
}
