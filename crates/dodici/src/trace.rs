//! Spans and events for the `tracing` crate, behind the feature of that name. Without it,
//! everything here returns its arguments unchanged and costs nothing.
//!
//! - [`Attempt`]: a span around each connection attempt, from the lookup to the handshake.
//! - [`events`]: a pool's connection events.
//! - [`Trace`]: a span for each request, with an event for its head, for each replay, and for its
//!   end.
//!
//! `origin` calls all three when a pool, a connection and a request are created; the wires do not
//! use them. Recorded are origins, numbers, times and errors: no paths, headers or bodies.

pub(crate) use imp::{Attempt, Trace, events};

#[cfg(not(feature = "tracing"))]
mod imp {
    use std::sync::Arc;

    use dodici_pool::{ConnId, Error, Origin};

    use crate::sink::{EventSink, Sink};

    pub(crate) struct Attempt;

    impl Attempt {
        pub(crate) fn new(_: &Origin, _: ConnId) -> Self {
            Self
        }

        pub(crate) fn around<F: Future>(self, attempt: F) -> F {
            attempt
        }
    }

    pub(crate) fn events(_: &Origin, events: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        events
    }

    #[derive(Default)]
    pub(crate) struct Trace;

    impl Trace {
        pub(crate) fn new(_: &Origin, sink: Box<dyn Sink>) -> (Self, Box<dyn Sink>) {
            (Self, sink)
        }

        pub(crate) fn lost(&self, _: &str, _: Option<&Error>, _: bool) {}
    }
}

#[cfg(feature = "tracing")]
mod imp {
    use std::sync::Arc;
    use std::time::Duration;

    use dodici_pool::{ConnId, Error, Event, HeaderBlock, Origin, ResponseHead};
    use tokio::time::Instant;
    use tracing::field::{Empty, display};
    use tracing::instrument::Instrumented;
    use tracing::{Instrument, Span, debug, debug_span, trace};

    use crate::sink::{EventSink, ExchangeInfo, Sink, pass_on};

    /// The target of spans and events of connections.
    const CONNECTION: &str = "dodici::connection";

    /// The target of spans and events of requests.
    const REQUEST: &str = "dodici::request";

    /// The span of a connection attempt.
    pub(crate) struct Attempt(Span);

    impl Attempt {
        pub(crate) fn new(origin: &Origin, conn: ConnId) -> Self {
            Self(debug_span!(
                target: CONNECTION,
                parent: None,
                "connect",
                %origin,
                %conn,
                phase = Empty,
                error = Empty,
            ))
        }

        pub(crate) fn around<F: Future>(self, attempt: F) -> Instrumented<F> {
            attempt.instrument(self.0)
        }
    }

    pub(crate) fn events(origin: &Origin, events: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        Arc::new(Events {
            origin: origin.clone(),
            events,
        })
    }

    /// Records a pool's events.
    struct Events {
        origin: Origin,
        events: Arc<dyn EventSink>,
    }

    impl EventSink for Events {
        fn event(&self, event: Event) {
            self.write_down(&event);
            self.events.event(event);
        }
    }

    impl Events {
        fn write_down(&self, event: &Event) {
            let origin = &self.origin;
            match event {
                Event::Connected { conn, info } => debug!(
                    target: CONNECTION,
                    %origin,
                    %conn,
                    protocol = ?info.protocol,
                    remote = info.remote.map(display),
                    resumed = info.tls.as_ref().map(|tls| tls.resumed),
                    dns = ?info.timings.dns,
                    tcp = ?info.timings.tcp,
                    tls = ?info.timings.tls,
                    total = ?info.timings.total,
                    "connected",
                ),
                Event::ConnectFailed { conn, error } => {
                    // That of the attempt, which is still entered.
                    let attempt = Span::current();
                    attempt.record("phase", display(error.phase()));
                    attempt.record("error", display(error));
                    debug!(
                        target: CONNECTION,
                        %origin,
                        %conn,
                        phase = %error.phase(),
                        %error,
                        "connecting failed",
                    );
                }
                Event::ConnectGivenUp { conn } => {
                    debug!(target: CONNECTION, %origin, %conn, "connecting given up");
                }
                Event::Disconnected { conn, info } => debug!(
                    target: CONNECTION,
                    %origin,
                    %conn,
                    reason = %info.reason,
                    error = info.error.as_ref().map(display),
                    requests = info.requests,
                    bytes_read = info.bytes_read,
                    bytes_written = info.bytes_written,
                    age = ?info.age,
                    "disconnected",
                ),
                Event::Concurrency { conn, streams } => {
                    trace!(target: CONNECTION, %origin, %conn, streams, "concurrency");
                }
                Event::Pong { conn, round_trip } => {
                    trace!(target: CONNECTION, %origin, %conn, ?round_trip, "pong");
                }
                Event::Drain => trace!(target: CONNECTION, %origin, "drain"),
                Event::Closed => debug!(target: CONNECTION, %origin, "closed"),
                _ => {}
            }
        }
    }

    /// The span of a request, for replays.
    #[derive(Default)]
    pub(crate) struct Trace(Option<Span>);

    impl Trace {
        /// A span inside the caller's, and a sink that records what `sink` gets; `sink`
        /// itself where nobody listens.
        pub(crate) fn new(origin: &Origin, sink: Box<dyn Sink>) -> (Self, Box<dyn Sink>) {
            let span = debug_span!(
                target: REQUEST,
                "request",
                %origin,
                conn = Empty,
                reused = Empty,
                status = Empty,
            );
            if span.is_disabled() {
                return (Self(None), sink);
            }
            let watched = Watched {
                sink,
                span: span.clone(),
                begun: Instant::now(),
                written: None,
                head: None,
            };
            (Self(Some(span)), Box::new(watched))
        }

        /// A connection lost the request when it was in this state, to this error; `again`: it goes
        /// back to the queue.
        pub(crate) fn lost(&self, state: &str, error: Option<&Error>, again: bool) {
            if let Some(span) = &self.0 {
                let error = error.map(display);
                debug!(target: REQUEST, parent: span, state, error, again, "lost");
            }
        }
    }

    /// Records what the sink of a request gets.
    struct Watched {
        sink: Box<dyn Sink>,
        span: Span,
        begun: Instant,
        /// When its first bytes were sent, from the start.
        written: Option<Duration>,
        /// When the head was received, from the start.
        head: Option<Duration>,
    }

    impl Watched {
        fn answered(&mut self, head: &ResponseHead, info: &ExchangeInfo, what: &'static str) {
            self.head = Some(self.begun.elapsed());
            self.span.record("conn", display(info.conn));
            self.span.record("reused", info.reused);
            self.span.record("status", head.status);
            debug!(
                target: REQUEST,
                parent: &self.span,
                status = head.status,
                conn = %info.conn,
                reused = info.reused,
                stream = info.stream,
                what,
                "answered",
            );
        }

        fn settled(&self, outcome: &'static str, error: Option<&Error>) {
            debug!(
                target: REQUEST,
                parent: &self.span,
                outcome,
                phase = error.map(|error| display(error.phase())),
                error = error.map(display),
                written = ?self.written,
                head = ?self.head,
                total = ?self.begun.elapsed(),
                "settled",
            );
        }
    }

    impl Sink for Watched {
        fn informational(&mut self, head: &ResponseHead) {
            trace!(target: REQUEST, parent: &self.span, status = head.status, "informational");
            self.sink.informational(head);
        }

        fn head(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
            self.answered(head, info, "response");
            self.sink.head(head, info);
        }

        fn end(&mut self, trailers: &HeaderBlock) {
            self.settled("complete", None);
            self.sink.end(trailers);
        }

        fn end_decoded(&mut self, trailers: &HeaderBlock, received: u64) {
            self.settled("complete", None);
            self.sink.end_decoded(trailers, received);
        }

        fn error(&mut self, error: Error) {
            self.settled("failed", Some(&error));
            self.sink.error(error);
        }

        fn upgrade(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
            self.answered(head, info, "upgrade");
            self.sink.upgrade(head, info);
        }

        fn written(&mut self) {
            self.written.get_or_insert_with(|| self.begun.elapsed());
            self.sink.written();
        }

        pass_on!(assigned data pull timings);
    }
}
