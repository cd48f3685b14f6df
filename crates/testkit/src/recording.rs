//! Recorders: one request's callbacks ([`RecordingSink`], read through [`Recording`]) and a
//! pool's events ([`Recorder`], in `events`).
//!
//! Both stamp what they record from one process-wide counter, so that a test can say "the request
//! failed before the disconnect event". The recording sink is also the wrapper that proves
//! exactly-once settlement: a callback that breaks the order of a sink, a second terminal call,
//! or a sink dropped without one fails the test.

mod events;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dodici_pool::{
    ConnId, Error, ErrorKind, HeaderBlock, RequestTimings, ResponseHead, piece_cost,
};
use parking_lot::Mutex;

pub use self::events::Recorder;
use crate::shapes::{Expected, Fields};
use crate::watched::Watched;

/// The next stamp. Stamps of causally ordered calls are ordered the same way.
fn next_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Terminal {
    /// Completely, with these trailers; after an upgrade: the peer's FIN.
    End(HeaderBlock),
    /// With an error.
    Error(Error),
}

/// What a sink has received so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Informational responses.
    pub informational: Vec<ResponseHead>,
    /// Final head, or the head of the upgrade.
    pub head: Option<ResponseHead>,
    /// Connection that served it, and whether that had served before.
    pub connection: Option<(ConnId, bool)>,
    /// Whether `upgrade` was called instead of `head`.
    pub upgraded: bool,
    /// The body, or the bytes after an upgrade.
    pub body: Vec<u8>,
    /// Size of each chunk.
    pub chunks: Vec<usize>,
    /// Size of each pull.
    pub pulls: Vec<u32>,
    /// The timings, each time they were reported.
    pub timings: Vec<RequestTimings>,
    /// The end, with its stamp.
    pub terminal: Option<(u64, Terminal)>,
    /// Broken rules, in words.
    violations: Vec<String>,
    dropped: bool,
}

impl Seen {
    /// What the delivered pieces have cost of the request's window.
    pub fn cost(&self) -> u64 {
        self.chunks
            .iter()
            .map(|len| u64::from(piece_cost(*len)))
            .sum()
    }

    fn expect_open(&mut self, call: &str) {
        if let Some((_, terminal)) = &self.terminal {
            self.violations.push(format!("{call} after {terminal:?}"));
        }
    }

    fn expect_no_head(&mut self, call: &str) {
        self.expect_open(call);
        if self.head.is_some() {
            self.violations.push(format!("{call} after the head"));
        }
    }

    fn set_head(&mut self, head: &ResponseHead, conn: ConnId, reused: bool) {
        self.head = Some(head.clone());
        self.connection = Some((conn, reused));
    }

    fn settle(&mut self, terminal: Terminal) {
        self.expect_open(match terminal {
            Terminal::End(_) => "end",
            Terminal::Error(_) => "error",
        });
        if matches!(terminal, Terminal::End(_)) && self.head.is_none() {
            self.violations.push("end without a head".to_owned());
        }
        self.terminal
            .get_or_insert_with(|| (next_stamp(), terminal));
    }
}

/// Who returns credit for delivered bytes.
#[derive(Default)]
struct CreditLine {
    hook: Option<Arc<dyn Fn(u32) + Send + Sync>>,
    owed: u32,
}

struct Shared {
    seen: Watched<Seen>,
    credit: Mutex<CreditLine>,
    auto: bool,
}

/// The test's view of one request. Dropping it, or waiting on it, fails the test if a rule of
/// sinks was broken.
pub struct Recording(Arc<Shared>);

/// The engine's side of a [`Recording`].
pub struct RecordingSink {
    shared: Arc<Shared>,
    in_place: bool,
}

impl Recording {
    /// A pair that returns credit for every delivered byte immediately, as soon as
    /// [`Recording::attach_credit`] was called.
    pub fn new() -> (Self, RecordingSink) {
        Self::pair(true)
    }

    /// A pair that returns no credit; the test does.
    pub fn manual() -> (Self, RecordingSink) {
        Self::pair(false)
    }

    fn pair(auto: bool) -> (Self, RecordingSink) {
        let shared = Arc::new(Shared {
            seen: Watched::default(),
            credit: Mutex::new(CreditLine::default()),
            auto,
        });
        let sink = RecordingSink {
            shared: Arc::clone(&shared),
            in_place: false,
        };
        (Self(shared), sink)
    }

    /// Sets how credit is returned, and returns that for what was delivered before. No effect
    /// on a manual recording.
    pub fn attach_credit(&self, hook: impl Fn(u32) + Send + Sync + 'static) {
        let hook = Arc::new(hook);
        let owed = {
            let mut line = self.0.credit.lock();
            line.hook = Some(hook.clone());
            std::mem::take(&mut line.owed)
        };
        if owed > 0 {
            hook(owed);
        }
    }

    /// A copy of what was recorded so far.
    pub fn seen(&self) -> Seen {
        self.0.seen.read(Seen::clone)
    }

    /// Whether the request has ended.
    pub fn is_settled(&self) -> bool {
        self.0.seen.read(|seen| seen.terminal.is_some())
    }

    /// Resolves with the first `Some` that `look` finds. Fails the test if the request ends
    /// and `look` still finds nothing.
    pub async fn wait<R>(&self, mut look: impl FnMut(&Seen) -> Option<R>) -> R {
        let found = self
            .0
            .seen
            .wait(|seen| match look(seen) {
                Some(found) => Some(Ok(found)),
                None if seen.dropped || seen.terminal.is_some() => Some(Err(seen.clone())),
                None => None,
            })
            .await;
        self.check();
        found.unwrap_or_else(|seen| panic!("the request ended, but only this was seen: {seen:?}"))
    }

    /// Resolves once the request has ended, with everything recorded.
    pub async fn settled(&self) -> Seen {
        self.0
            .seen
            .wait(|seen| (seen.terminal.is_some() || seen.dropped).then_some(()))
            .await;
        self.check();
        self.seen()
    }

    /// Resolves once the engine has dropped the sink, after which no further call is possible:
    /// the moment at which exactly-once is proven.
    pub async fn released(&self) -> Seen {
        self.0.seen.wait(|seen| seen.dropped.then_some(())).await;
        self.check();
        self.seen()
    }

    /// The error the request ended with.
    ///
    /// # Panics
    /// If it succeeded.
    pub async fn error(&self) -> Error {
        match self.settled().await.terminal {
            Some((_, Terminal::Error(error))) => error,
            other => panic!("expected an error, not {other:?}"),
        }
    }

    /// Everything recorded of a request that succeeded.
    ///
    /// # Panics
    /// If it ended with an error.
    pub async fn ended(&self) -> Seen {
        let seen = self.settled().await;
        match &seen.terminal {
            Some((_, Terminal::End(_))) => seen,
            other => panic!("expected a complete response, not {other:?}"),
        }
    }

    /// Fails the test if a rule of sinks has been broken.
    pub fn check(&self) {
        let violations = self
            .0
            .seen
            .update(|seen| std::mem::take(&mut seen.violations));
        assert!(
            violations.is_empty(),
            "a sink's rules were broken: {}",
            violations.join("; ")
        );
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recording").field(&self.seen()).finish()
    }
}

impl fmt::Debug for RecordingSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingSink").finish_non_exhaustive()
    }
}

impl RecordingSink {
    /// Lends memory for large bodies instead of taking chunks.
    #[must_use]
    pub fn in_place(self, in_place: bool) -> Self {
        let mut sink = self;
        sink.in_place = in_place;
        sink
    }

    /// Records an informational response.
    pub fn on_informational(&mut self, head: &ResponseHead) {
        self.shared.seen.update(|seen| {
            seen.expect_no_head("informational");
            seen.informational.push(head.clone());
        });
    }

    /// Records the final head.
    pub fn on_head(&mut self, head: &ResponseHead, conn: ConnId, reused: bool) {
        self.shared.seen.update(|seen| {
            seen.expect_no_head("head");
            seen.set_head(head, conn, reused);
        });
    }

    /// Records a body chunk, and returns credit if that is automatic.
    pub fn on_data(&mut self, chunk: &Bytes) {
        self.shared.seen.update(|seen| {
            seen.expect_open("data");
            if seen.head.is_none() {
                seen.violations.push("data before the head".to_owned());
            }
            // After an upgrade, it means that the peer has closed its side.
            if chunk.is_empty() && !seen.upgraded {
                seen.violations.push("an empty chunk".to_owned());
            }
            seen.body.extend_from_slice(chunk);
            seen.chunks.push(chunk.len());
        });
        if self.shared.auto && !chunk.is_empty() {
            let len = piece_cost(chunk.len());
            let hook = {
                let mut line = self.shared.credit.lock();
                if line.hook.is_none() {
                    line.owed += len;
                }
                line.hook.clone()
            };
            if let Some(hook) = hook {
                hook(len);
            }
        }
    }

    /// Records the end.
    pub fn on_end(&mut self, trailers: &HeaderBlock) {
        self.shared
            .seen
            .update(|seen| seen.settle(Terminal::End(trailers.clone())));
    }

    /// Records the failure.
    pub fn on_error(&mut self, error: Error) {
        self.shared
            .seen
            .update(|seen| seen.settle(Terminal::Error(error)));
    }

    /// Records the upgrade.
    pub fn on_upgrade(&mut self, head: &ResponseHead, conn: ConnId, reused: bool) {
        self.shared.seen.update(|seen| {
            seen.expect_no_head("upgrade");
            seen.set_head(head, conn, reused);
            seen.upgraded = true;
        });
    }

    /// Records the timings.
    pub fn on_timings(&mut self, timings: &RequestTimings) {
        self.shared.seen.update(|seen| {
            seen.expect_open("timings");
            seen.timings.push(*timings);
        });
    }

    /// Records that body bytes are requested.
    pub fn on_pull(&mut self, bytes: u32) {
        self.shared.seen.update(|seen| {
            seen.expect_open("pull");
            seen.pulls.push(bytes);
        });
    }
}

impl dodici::Sink for RecordingSink {
    fn informational(&mut self, head: &ResponseHead) {
        self.on_informational(head);
    }

    fn head(&mut self, head: &ResponseHead, info: &dodici::ExchangeInfo) {
        self.on_head(head, info.conn, info.reused);
    }

    fn data(&mut self, chunk: Bytes) {
        self.on_data(&chunk);
    }

    fn reads_in_place(&self) -> bool {
        self.in_place
    }

    fn end(&mut self, trailers: &HeaderBlock) {
        self.on_end(trailers);
    }

    fn error(&mut self, error: Error) {
        self.on_error(error);
    }

    fn upgrade(&mut self, head: &ResponseHead, info: &dodici::ExchangeInfo) {
        self.on_upgrade(head, info.conn, info.reused);
    }

    fn pull(&mut self, bytes: u32) {
        self.on_pull(bytes);
    }

    fn timings(&mut self, timings: &RequestTimings) {
        self.on_timings(timings);
    }
}

impl Drop for RecordingSink {
    fn drop(&mut self) {
        self.shared.seen.update(|seen| {
            if seen.terminal.is_none() {
                seen.violations
                    .push("the sink was dropped without end or error".to_owned());
            }
            seen.dropped = true;
        });
    }
}

impl Seen {
    /// The last timings.
    ///
    /// # Panics
    /// If there are none.
    pub fn last_timings(&self) -> RequestTimings {
        *self.timings.last().expect("the request is timed")
    }

    /// Bytes pulled so far.
    pub fn pulled(&self) -> u64 {
        self.pulls.iter().map(|bytes| u64::from(*bytes)).sum()
    }

    /// Final status.
    ///
    /// # Panics
    /// Before the head.
    pub fn status(&self) -> u16 {
        self.head.as_ref().expect("the head was received").status
    }

    /// Kind of the error it ended with; `None` if it succeeded or has not ended.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        match &self.terminal {
            Some((_, Terminal::Error(error))) => Some(error.kind()),
            _ => None,
        }
    }

    /// Stamp of the end, comparable with [`Recorder::stamp_of`].
    ///
    /// # Panics
    /// Before the end.
    pub fn stamp(&self) -> u64 {
        self.terminal.as_ref().expect("the request has ended").0
    }

    /// Trailers of a request that succeeded.
    ///
    /// # Panics
    /// Otherwise.
    pub fn trailers(&self) -> Fields {
        match &self.terminal {
            Some((_, Terminal::End(trailers))) => fields(trailers),
            other => panic!("expected a complete response, not {other:?}"),
        }
    }

    /// What was recorded, in the form in which shapes state expectations. `until_close` is taken
    /// from `like`, because no callback reports it.
    pub fn as_expected(&self, like: &Expected) -> Expected {
        let head = self.head.as_ref().expect("the head was received");
        Expected {
            informational: self
                .informational
                .iter()
                .map(|head| (head.status, fields(&head.headers)))
                .collect(),
            status: head.status,
            headers: fields(&head.headers),
            body: self.body.clone(),
            trailers: self.trailers(),
            until_close: like.until_close,
        }
    }
}

/// The fields of a block, in order, as latin1 text.
pub fn fields(block: &HeaderBlock) -> Fields {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    block
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[cfg(test)]
mod tests;
