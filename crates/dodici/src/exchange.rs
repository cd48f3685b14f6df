//! One exchange: one attempt of a request on one connection, from writing its head to the end of
//! the response.
//!
//! The whole exchange is one poll function ([`Exchange::poll`]) over explicit phases, run by the
//! connection's task. It drives hyper, tells the sink what came, keeps the deadlines, and says in
//! [`Finish`] what becomes of connection and request. It knows nothing of the pool.

mod h2;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    CloseReason, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Replay, Request,
    RequestKind, UnexpectedContinue,
};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::Pieces;
use crate::clock::{Timer, Verdict, after, past_the_reactor};
use crate::command::{Attention, Command, PULL_WINDOW, Settle};
use crate::conn::{ByteStream, H1Conn, poll_response};
use crate::sink::{ExchangeInfo, Sink};
pub(crate) use h2::{StreamExchange, StreamFinish, StreamStep};

/// A request on its way: what to send, whom to tell, how to be told.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) settle: Settle,
    pub(crate) command: Arc<Command>,
    /// Fresh connections that died before this request was written to them.
    pub(crate) fresh_failures: u8,
    /// How often it was written in vain: to a connection that died before an answer, or to a peer
    /// that said that it did not process it.
    pub(crate) replays: u8,
}

/// As often as this a request is written to a connection that dies without a word. More than one:
/// a server that closes one idle connection often closes its neighbours in the same moment.
const MAX_REPLAYS: u8 = 5;

impl Job {
    pub(crate) fn new(request: Request, settle: Settle, command: Arc<Command>) -> Self {
        Self {
            request,
            settle,
            command,
            fresh_failures: 0,
            replays: 0,
        }
    }

    /// Whether this request may be written again, to another connection, after `error` ended one
    /// that had served before and brought `received` bytes in answer to it.
    ///
    /// A peer closes an idle connection whenever it likes, and a request can cross that close on
    /// the wire (RFC 9112, section 9.3.1): whoever sent it cannot know whether it was executed, and
    /// only an idempotent one bears being executed twice.
    pub(crate) fn may_be_replayed(&self, error: &Error, reused: bool, received: u64) -> bool {
        reused
            && received == 0
            && self.replays < MAX_REPLAYS
            && error.replay() == Replay::IfIdempotentAndReused
            && self.request.idempotent
            && matches!(self.request.kind, RequestKind::Plain | RequestKind::Head)
            && !self.request.body.is_pulled()
    }
}

/// How an exchange left its connection and its request.
pub(crate) enum Finish {
    /// The response is complete, which the sink is not told yet; the connection can serve again.
    Reusable(Option<Duration>),
    /// The response is complete, which the sink is not told yet; the connection cannot serve again.
    Done(CloseReason),
    /// The request failed and the connection is lost. The sink is not told yet.
    Failed(CloseReason, Error),
    /// No byte was sent: the request can go to another connection.
    Unsent(CloseReason, Error),
    /// The connection became a byte stream. The sink is not told yet.
    Upgraded,
}

/// The task's other reasons to stop, looked at on every poll.
pub(crate) trait Interrupt {
    /// The pool wants the connection closed at once.
    fn interrupted(&self) -> Option<(CloseReason, Error)>;
}

/// Runs one exchange. Dropping the future leaves the connection unusable.
pub(crate) async fn run(
    conn: &mut H1Conn,
    job: &mut Job,
    config: &ExchangeConfig,
    info: ExchangeInfo,
    timer: &mut Timer,
    interrupt: &impl Interrupt,
) -> Finish {
    let response = pin!(conn.start(&job.request, &job.command));
    if job.request.body.is_pulled()
        && !job.request.expect_continue
        && let Some(sink) = job.settle.sink()
    {
        ask_first(sink, &job.command);
    }
    let head_wait = HeadWait::new(job.request.headers_timeout, config);
    let mut exchange = Exchange {
        response: Some(response),
        body: None,
        conn,
        job,
        config,
        info,
        timer,
        interrupt,
        head_told: false,
        primed: false,
        stopped: false,
        received: 0,
        pieces: Pieces::default(),
        deadline: after(head_wait.timeout()),
        head_wait,
        continue_deadline: None,
        grace: None,
    };
    if exchange.job.request.expect_continue {
        exchange.continue_deadline = after(Some(config.continue_timeout));
    }
    std::future::poll_fn(|cx| exchange.poll(cx)).await
}

/// Asks for the first bytes of a pulled body.
fn ask_first(sink: &mut (dyn Sink + 'static), command: &Command) {
    let bytes = command.first_pull();
    if bytes > 0 {
        sink.pull(bytes);
    }
}

pub(crate) fn override_timeout(
    request: Option<Duration>,
    default: Option<Duration>,
) -> Option<Duration> {
    request.or(default).filter(|timeout| !timeout.is_zero())
}

/// How long a response's head may take.
#[derive(Clone, Copy, Default)]
pub(crate) struct HeadWait {
    timeout: Option<Duration>,
    /// A `100 Continue` came that nobody asked for, behind which the answer has so much time.
    unasked: Option<Duration>,
}

impl HeadWait {
    pub(crate) fn new(request: Option<Duration>, config: &ExchangeConfig) -> Self {
        Self {
            timeout: override_timeout(request, config.headers_timeout),
            unasked: None,
        }
    }

    pub(crate) fn timeout(self) -> Option<Duration> {
        match (self.timeout, self.unasked) {
            (Some(timeout), Some(unasked)) => Some(timeout.min(unasked)),
            (timeout, unasked) => timeout.or(unasked),
        }
    }

    /// An informational head came. Whether the wait is another one now, and starts anew.
    pub(crate) fn hear(&mut self, status: u16, config: &ExchangeConfig) -> bool {
        match config.unexpected_continue {
            UnexpectedContinue::Await(time) if status == 100 && self.unasked.is_none() => {
                self.unasked = Some(time);
                true
            }
            _ => false,
        }
    }

    /// The wait was too long.
    pub(crate) fn error(self) -> (CloseReason, Error) {
        let (reason, kind, text) = if self.unasked.is_some() && self.unasked == self.timeout() {
            (
                CloseReason::ProtocolError,
                ErrorKind::Socket,
                "bad response",
            )
        } else {
            let text = "Headers Timeout Error";
            (CloseReason::Timeout, ErrorKind::HeadersTimeout, text)
        };
        let error = Error::new(kind, Phase::Headers, text);
        (reason, error.with_replay(Replay::Never))
    }
}

struct Exchange<'a, F, I> {
    /// Until hyper has the head.
    response: Option<Pin<&'a mut F>>,
    /// From then on.
    body: Option<Incoming>,
    conn: &'a mut H1Conn,
    job: &'a mut Job,
    config: &'a ExchangeConfig,
    info: ExchangeInfo,
    timer: &'a mut Timer,
    interrupt: &'a I,
    /// The sink knows the final head.
    head_told: bool,
    /// The body has been polled once, which is what makes hyper read it.
    primed: bool,
    /// The reader took nothing for a while; its silence must not count as the server's.
    stopped: bool,
    received: u64,
    /// Decoded and not told yet, while more may be there.
    pieces: Pieces,
    deadline: Option<Instant>,
    head_wait: HeadWait,
    continue_deadline: Option<Instant>,
    /// The response is complete; until when the end of the request's body is waited for.
    grace: Option<Instant>,
}

impl<F, I> Exchange<'_, F, I>
where
    F: Future<
        Output = Result<
            http::Response<Incoming>,
            hyper::client::conn::TrySendError<http::Request<crate::body::OutgoingBody>>,
        >,
    >,
    I: Interrupt,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Finish> {
        let mut polled = self.poll_rounds(cx);
        loop {
            match polled {
                Some(polled) => return polled,
                None => {
                    polled = past_the_reactor(|| self.poll_rounds(cx));
                    self.job.command.looked();
                }
            }
        }
    }

    /// `None` where a deadline, or the caller, asks for a look at the socket.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Option<Poll<Finish>> {
        loop {
            if self.grace.is_some() {
                return Some(self.poll_grace(cx));
            }
            let attention = self.job.command.attention();
            if attention == Attention::Look {
                return None;
            }
            if attention == Attention::Cancelled {
                // What the caller handed over before it gave up leaves first, as far as the socket
                // takes it at once: bytes that were written to a socket of Node's do.
                if self.job.command.has_chunks() {
                    let _ = self.conn.poll_drive(cx);
                }
                let error = Error::new(ErrorKind::Aborted, self.phase(), "Request aborted");
                return Some(self.fail(CloseReason::Aborted, error));
            }
            if let Some((reason, error)) = self.interrupt.interrupted() {
                return Some(self.fail(reason, error));
            }
            if let Some(error) = self.job.command.failure() {
                return Some(self.fail(CloseReason::Aborted, error));
            }
            // Reading comes before the deadlines: what arrived in time is never a timeout.
            let done = self.conn.poll_drive(cx).is_ready();
            let progress = self.conn.progress();
            let mut restart = progress.wrote;
            for head in &progress.informational {
                restart |= self.head_wait.hear(head.status, self.config);
                if head.status != 100
                    && let Some(sink) = self.job.settle.sink()
                {
                    sink.informational(head);
                }
            }
            if restart {
                self.restart_headers_deadline();
                if let Some(sink) = self.job.settle.sink() {
                    sink.written();
                }
            }
            if progress.continued || (self.continue_deadline.is_some() && self.head_is_there()) {
                self.let_body_go();
                continue;
            }
            if progress.upgraded {
                // The stream's first byte comes behind the last one of the request.
                if self.conn.has_left() {
                    return Some(Poll::Ready(Finish::Upgraded));
                }
                if progress.failed || progress.refused || done {
                    let (reason, error) = self.conn.take_failure(self.phase());
                    return Some(self.fail(reason, error));
                }
                return self.poll_deadlines(cx);
            }
            self.tell_head();
            self.ask_for_body();
            match self.poll_body(cx) {
                Step::Again => continue,
                Step::Finished(finish) => return Some(Poll::Ready(finish)),
                Step::Wait => tell(self.job, self.pieces.take()),
            }
            // A complete message is delivered to its end, whatever happened behind it. If hyper gave
            // its body up although the guard had found it complete, nothing more would come.
            let lost = self.response.is_none() && self.body.is_none();
            if lost || ((progress.failed || done) && !progress.ended) {
                let (reason, error) = self.conn.take_failure(self.phase());
                let whole = !self.job.request.body.is_pulled() || self.job.command.is_untouched();
                if whole && !self.conn.sent_any() && !self.head_told {
                    return Some(Poll::Ready(Finish::Unsent(reason, error)));
                }
                return Some(self.fail(reason, error));
            }
            return self.poll_deadlines(cx);
        }
    }

    fn phase(&self) -> Phase {
        if self.head_told {
            Phase::Body
        } else {
            Phase::Headers
        }
    }

    fn fail(&self, reason: CloseReason, error: Error) -> Poll<Finish> {
        let error = if error.socket().is_none() {
            self.conn.describe(error)
        } else {
            error
        };
        Poll::Ready(Finish::Failed(reason, error))
    }

    fn head_is_there(&self) -> bool {
        self.head_told || self.conn.with_head(|_| {})
    }

    /// `100 Continue` came, or a final head, or the wait was long enough.
    fn let_body_go(&mut self) {
        self.continue_deadline = None;
        if self.job.command.release_hold()
            && self.job.request.body.is_pulled()
            && let Some(sink) = self.job.settle.sink()
        {
            ask_first(sink, &self.job.command);
        }
    }

    fn tell_head(&mut self) {
        if self.head_told {
            return;
        }
        let Self {
            conn, job, info, ..
        } = self;
        let told = conn.with_head(|head| {
            if let Some(sink) = job.settle.sink() {
                sink.head(head, info);
            }
        });
        if told {
            self.head_told = true;
            self.restart_body_deadline();
        }
    }

    fn ask_for_body(&mut self) {
        if !self.job.request.body.is_pulled() {
            return;
        }
        let pull = self.job.command.take_pull();
        if pull > 0
            && let Some(sink) = self.job.settle.sink()
        {
            sink.pull(pull);
        }
    }

    /// Moves body chunks from hyper to the sink as long as there is credit.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Step {
        if let Some(response) = &mut self.response {
            match poll_response(response.as_mut(), cx) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(body) => {
                    self.response = None;
                    self.body = body;
                }
            }
        }
        let Some(body) = &mut self.body else {
            return Step::Wait;
        };
        let mut moved = false;
        loop {
            if !self.job.command.has_credit() {
                self.stopped = true;
                return Step::Wait;
            }
            if self.pieces.len() >= self.job.command.room() {
                // One piece would be the last that the reader has room for.
                tell(self.job, self.pieces.take());
                continue;
            }
            if std::mem::take(&mut self.stopped) {
                self.deadline = None;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                // hyper reads on only once its receiver has been polled, and has room again only
                // once a chunk was taken: drive it once more after either.
                Poll::Pending if moved || !self.primed => {
                    self.primed = true;
                    return Step::Again;
                }
                Poll::Pending => return Step::Wait,
                Poll::Ready(None) => {
                    tell(self.job, self.pieces.take());
                    return self.end(cx);
                }
                Poll::Ready(Some(Err(_))) => {
                    // The link or the driver says why.
                    self.body = None;
                    return Step::Wait;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else {
                        continue;
                    };
                    if chunk.is_empty() {
                        continue;
                    }
                    moved = true;
                    self.received += chunk.len() as u64;
                    if self
                        .config
                        .max_response_size
                        .is_some_and(|max| self.received > max)
                    {
                        return too_large();
                    }
                    self.deadline = None;
                    tell(self.job, self.pieces.push(chunk));
                }
            }
        }
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Step {
        self.body = None;
        let finish = if self.job.request.reset {
            Finish::Done(CloseReason::NotReusable)
        } else {
            match self.conn.reusable(cx) {
                Ok(hint) => Finish::Reusable(hint),
                Err(CloseReason::NotReusable)
                    if self.config.body_grace.is_some() && self.conn.waits_for_body() =>
                {
                    self.grace = after(self.config.body_grace);
                    return Step::Again;
                }
                Err(reason) => Finish::Done(reason),
            }
        };
        Step::Finished(finish)
    }

    /// The response is complete, and nothing can make it fail any more.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<Finish> {
        let over = self.job.command.is_cancelled()
            || self.job.command.failure().is_some()
            || self.interrupt.interrupted().is_some()
            || self.conn.poll_drive(cx).is_ready();
        self.ask_for_body();
        match self.conn.reusable(cx) {
            Ok(hint) => Poll::Ready(Finish::Reusable(hint)),
            Err(CloseReason::NotReusable)
                if !over
                    && self.conn.waits_for_body()
                    && !self.timer.poll_reached(cx, self.grace) =>
            {
                Poll::Pending
            }
            Err(reason) => Poll::Ready(Finish::Done(reason)),
        }
    }

    // --- deadlines ---

    fn restart_headers_deadline(&mut self) {
        if !self.head_told {
            self.deadline = after(self.head_wait.timeout());
        }
    }

    fn restart_body_deadline(&mut self) {
        let timeout = override_timeout(self.job.request.body_timeout, self.config.body_timeout);
        self.deadline = after(timeout);
    }

    /// `None` where a look at the socket comes first.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Option<Poll<Finish>> {
        if self.head_told {
            if !self.job.command.has_credit() {
                // A reader that takes nothing makes no silent server: its next credit, or the end
                // of its pause, wakes this task, and the time starts anew then.
                self.deadline = None;
            } else if self.deadline.is_none() {
                // A chunk came, or the reader goes on, since the deadline was last set.
                self.restart_body_deadline();
            }
        }
        match self.timer.judge(cx, self.continue_deadline) {
            Verdict::Waits => {}
            Verdict::Look => return None,
            Verdict::Passed => {
                self.let_body_go();
                cx.waker().wake_by_ref();
                return Some(Poll::Pending);
            }
        }
        loop {
            match self.timer.judge(cx, self.deadline) {
                Verdict::Waits => return Some(Poll::Pending),
                Verdict::Look => return None,
                Verdict::Passed => {}
            }
            if !self.head_told {
                // A caller that is slow to deliver its body is not a silent server.
                if self.job.request.body.is_pulled() && self.job.command.is_starved() {
                    self.restart_headers_deadline();
                    continue;
                }
                let (reason, error) = self.head_wait.error();
                return Some(self.fail(reason, error));
            }
            let error = Error::new(ErrorKind::BodyTimeout, Phase::Body, "Body Timeout Error");
            return Some(self.fail(CloseReason::Timeout, error));
        }
    }
}

/// Tells the sink of a piece of the body, if there is one.
pub(super) fn tell(job: &mut Job, piece: Option<Bytes>) {
    let Some(piece) = piece else {
        return;
    };
    job.command.spend(piece.len());
    if let Some(sink) = job.settle.sink() {
        sink.data(piece);
    }
}

fn too_large() -> Step {
    Step::Finished(Finish::Failed(
        CloseReason::ProtocolError,
        too_large_error(),
    ))
}

pub(crate) fn too_large_error() -> Error {
    Error::new(
        ErrorKind::ResponseExceededMaxSize,
        Phase::Body,
        "Response content exceeded max size",
    )
}

enum Step {
    /// Something moved: look again.
    Again,
    /// Nothing to do until a wake-up.
    Wait,
    Finished(Finish),
}

/// Carries the bytes of an upgraded connection until both sides are done, the caller cancels, or
/// the transport fails. Tells the sink everything, its end included.
pub(crate) async fn run_stream(mut stream: ByteStream, job: &mut Job) {
    job.command.begin_stream();
    if let Some(sink) = job.settle.sink() {
        sink.pull(PULL_WINDOW);
    }
    // Set when the peer has closed its side. The caller is told by an empty chunk, and not by the
    // end, after which nothing could ask it for what it still has to write.
    let mut peer_closed = false;
    let mut write_closed = false;
    std::future::poll_fn(|cx| {
        loop {
            if job.command.is_cancelled() {
                // What was handed over before leaves as far as the socket takes it at once: a last
                // frame that says why must not be lost, and a peer that reads nothing not be
                // waited for.
                if !write_closed {
                    drop(stream.poll_write(cx, &job.command));
                }
                job.settle.error(Error::new(
                    ErrorKind::Aborted,
                    Phase::Upgraded,
                    "Request aborted",
                ));
                return Poll::Ready(());
            }
            if !write_closed && let Poll::Ready(written) = stream.poll_write(cx, &job.command) {
                if let Err(error) = written {
                    job.settle.error(error);
                    return Poll::Ready(());
                }
                write_closed = true;
            }
            if peer_closed && write_closed {
                job.settle.end(&HeaderBlock::new());
                return Poll::Ready(());
            }
            let pull = job.command.take_pull();
            if pull > 0
                && let Some(sink) = job.settle.sink()
            {
                sink.pull(pull);
            }
            if peer_closed || !job.command.has_credit() {
                return Poll::Pending;
            }
            match stream.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) if chunk.is_empty() => {
                    peer_closed = true;
                    if !write_closed && let Some(sink) = job.settle.sink() {
                        sink.data(chunk);
                    }
                }
                Poll::Ready(Ok(chunk)) => tell(job, Some(chunk)),
                Poll::Ready(Err(error)) => {
                    job.settle.error(error);
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
}
