//! An exchange that has an HTTP/1.1 connection to itself, driven by hyper.
//!
//! The exchange is one poll function ([`Exchange::poll`]), run by the connection's task
//! (`origin::pipeline`). It drives hyper, delivers what arrives to the sink, asks [`Rules`] what
//! follows, and reports in [`Finish`] what happens to connection and request. Must not know the
//! pool.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dodici_pool::{BodyKind, CloseReason, Error, ExchangeConfig};

use super::Job;
use super::rules::{Length, Rules, Stage, Wire};
use crate::body::Pieces;
use crate::clock::{Moment, Timer, Verdict, past_the_reactor};
use crate::command::Attention;
use crate::conn::{Answer, HyperConn, Inbound, Piece, Started};
use crate::sink::ExchangeInfo;

/// How an exchange left its connection and its request.
pub(crate) enum Finish {
    /// The response is complete, not reported to the sink yet; the connection can be reused.
    Reusable(Option<Duration>),
    /// The response is complete, not reported to the sink yet; the connection cannot be reused.
    Done(CloseReason),
    /// The request failed and the connection is lost. Not reported to the sink yet.
    Failed(CloseReason, Error),
    /// No byte was sent: the request can go to another connection.
    Unsent(CloseReason, Error),
    /// The connection became a byte stream. Not reported to the sink yet.
    Upgraded,
}

/// The task's other reasons to stop, checked on every poll.
pub(crate) trait Interrupt {
    /// The pool wants the connection closed immediately. `traffic`: the bytes read and written so far,
    /// for those who ask.
    fn interrupted(&self, traffic: impl FnOnce() -> (u64, u64)) -> Option<(CloseReason, Error)>;
}

/// Runs one exchange. Dropping the future leaves the connection unusable.
pub(crate) async fn run(
    conn: &mut HyperConn,
    job: &mut Job,
    config: &ExchangeConfig,
    info: ExchangeInfo,
    timer: &mut Timer,
    interrupt: &impl Interrupt,
) -> Finish {
    let before = conn.traffic();
    let response = pin!(conn.start(&job.request, &job.command));
    let now = Moment::default();
    let mut rules = Rules::new(Wire::Http1, &job.request, config);
    rules.begin(&now);
    if job.request.expect_continue {
        rules.hold_body(config.continue_timeout, &now);
    } else {
        job.ask_first();
    }
    let mut exchange = Exchange {
        answer: Answer::Head(response),
        conn,
        job,
        config,
        info,
        timer,
        interrupt,
        rules,
        pieces: Pieces::default(),
        before,
    };
    std::future::poll_fn(|cx| exchange.poll(cx)).await
}

struct Exchange<'a, F, I> {
    answer: Answer<'a, F>,
    conn: &'a mut HyperConn,
    job: &'a mut Job,
    config: &'a ExchangeConfig,
    info: ExchangeInfo,
    timer: &'a mut Timer,
    interrupt: &'a I,
    rules: Rules,
    /// Decoded, not delivered while more may be available.
    pieces: Pieces,
    /// Bytes received and sent on the connection before.
    before: (u64, u64),
}

impl<F, I> Exchange<'_, F, I>
where
    F: Future<Output = Started>,
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

    /// `None` if a deadline, or the caller, requires a check of the socket first.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Option<Poll<Finish>> {
        let now = Moment::default();
        loop {
            if self.rules.stage() == Stage::Ending {
                return Some(self.poll_grace(cx));
            }
            let attention = self.job.command.attention();
            if attention == Attention::Look {
                return None;
            }
            if attention == Attention::Cancelled {
                // What the caller submitted before it cancelled is sent first, as far as the
                // socket accepts it immediately, as with Node's sockets.
                if self.job.command.has_chunks() {
                    let _ = self.conn.poll_drive(cx);
                }
                let (reason, error) = self.job.command.cancellation(self.rules.phase());
                return Some(self.fail(reason, error));
            }
            let traffic = || self.conn.traffic();
            if let Some((reason, error)) = self.interrupt.interrupted(traffic) {
                return Some(self.fail(reason, error));
            }
            if let Some(error) = self.job.command.failure() {
                return Some(self.fail(CloseReason::Aborted, error));
            }
            // Reading comes before the deadlines: what arrived in time is never a timeout.
            let _driven = self.conn.poll_drive(cx);
            let seen = self.conn.seen();
            for head in &seen.informational {
                self.rules.informational(head.status, &now);
                if head.status != 100
                    && let Some(sink) = self.job.settle.sink()
                {
                    sink.informational(head);
                }
            }
            if seen.wrote {
                self.rules.wrote(&now);
                self.job.report_written();
            }
            if self.job.settle.is_timed() {
                self.stamp();
            }
            let waits = self.rules.continue_deadline().is_some();
            if seen.continued || (waits && self.head_is_there()) {
                self.let_body_go();
                continue;
            }
            if self.conn.inbound() == Inbound::Stream {
                // The stream's first byte follows the last one of the request.
                if self.conn.has_left() {
                    return Some(Poll::Ready(Finish::Upgraded));
                }
                if self.conn.has_failed() || self.conn.is_broken() {
                    let (reason, error) = self.conn.take_failure(self.rules.phase());
                    return Some(self.fail(reason, error));
                }
                return self.poll_deadlines(cx, &now);
            }
            if let Err(error) = self.deliver_head(&now) {
                return Some(self.fail(CloseReason::ProtocolError, error));
            }
            self.ask_for_body();
            match self.poll_body(cx, &now) {
                Step::Again => continue,
                Step::Finished(finish) => return Some(Poll::Ready(finish)),
                Step::Wait => self.job.deliver(self.pieces.take()),
            }
            // A complete message is delivered to its end, whatever happened after it. If hyper
            // dropped its body although the guard had found it complete, nothing more would follow.
            let lost = matches!(self.answer, Answer::Gone);
            if lost || (self.conn.has_failed() && self.conn.inbound() != Inbound::End) {
                let (reason, error) = self.conn.take_failure(self.rules.phase());
                if self.job.is_whole() && !self.conn.sent_any() && !self.rules.has_head() {
                    return Some(Poll::Ready(Finish::Unsent(reason, error)));
                }
                return Some(self.fail(reason, error));
            }
            return self.poll_deadlines(cx, &now);
        }
    }

    /// Stamps what was sent and received.
    fn stamp(&mut self) {
        let (received, sent) = self.conn.traffic();
        let Job {
            request,
            settle,
            command,
            ..
        } = &mut *self.job;
        let left = (sent - self.before.1).checked_sub(request.head.len() as u64);
        if let Some(body) = left {
            settle.head_sent();
            let is_all = match &request.body {
                BodyKind::None => true,
                BodyKind::Full(bytes) => body >= bytes.len() as u64,
                BodyKind::Sized(length) => body >= *length,
                BodyKind::Chunked => command.has_ended() && self.conn.has_flushed(),
            };
            if is_all {
                settle.body_sent();
            }
        }
        if received > self.before.0 {
            settle.first_byte();
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
        self.rules.has_head() || self.conn.with_head(|_| {})
    }

    /// `100 Continue` or a final head was received, or the wait has expired.
    fn let_body_go(&mut self) {
        self.rules.release_body(&Moment::default());
        self.job.release_body();
    }

    fn deliver_head(&mut self, now: &Moment) -> Result<(), Error> {
        if self.rules.has_head() {
            return Ok(());
        }
        let Self {
            conn,
            job,
            info,
            rules,
            ..
        } = self;
        info.last = !conn.persists();
        let mut delivered = Ok(());
        if conn.with_head(|head| delivered = job.deliver_head(rules, head, info)) {
            self.rules.head(Length::Any, now);
        }
        delivered
    }

    fn ask_for_body(&mut self) {
        if self.job.request.body.is_pulled() {
            self.job.ask();
        }
    }

    /// Moves body chunks from hyper to the sink as long as there is credit.
    fn poll_body(&mut self, cx: &mut Context<'_>, now: &Moment) -> Step {
        if !self.answer.poll_body(cx) {
            return Step::Wait;
        }
        loop {
            match self.job.poll_takes(cx, &mut self.rules, now) {
                Ok(true) => {}
                Ok(false) => return Step::Wait,
                Err(error) => {
                    return Step::Finished(Finish::Failed(CloseReason::ProtocolError, error));
                }
            }
            if self.pieces.len() >= self.job.command.room() {
                // This piece would fill the reader's room.
                self.job.deliver(self.pieces.take());
                continue;
            }
            match self.answer.poll_piece(cx) {
                Piece::Wait => return Step::Wait,
                Piece::Drive => return Step::Again,
                Piece::End => {
                    self.job.deliver(self.pieces.take());
                    return self.end(cx, now);
                }
                Piece::Data(chunk) => {
                    if let Err(error) = self.rules.data(chunk.len(), now) {
                        return Step::Finished(Finish::Failed(CloseReason::ProtocolError, error));
                    }
                    let piece = if self.job.settle.is_decoding() {
                        // All of it is decoded before the end is reported.
                        Some(chunk)
                    } else {
                        self.pieces.push(chunk)
                    };
                    self.job.deliver(piece);
                }
            }
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, now: &Moment) -> Step {
        let finish = if self.job.request.reset {
            Finish::Done(CloseReason::NotReusable)
        } else {
            match self.conn.reusable(cx) {
                Ok(hint) => Finish::Reusable(hint),
                Err(CloseReason::NotReusable)
                    if self.conn.waits_for_body() && self.rules.wait_for_rest(self.config, now) =>
                {
                    return Step::Again;
                }
                Err(reason) => Finish::Done(reason),
            }
        };
        Step::Finished(finish)
    }

    /// The response is complete, and can no longer fail.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<Finish> {
        let over = self.job.command.is_cancelled()
            || self.job.command.failure().is_some()
            || self.interrupt.interrupted(|| self.conn.traffic()).is_some()
            || self.conn.poll_drive(cx).is_ready();
        self.ask_for_body();
        match self.conn.reusable(cx) {
            Ok(hint) => Poll::Ready(Finish::Reusable(hint)),
            Err(CloseReason::NotReusable)
                if !over
                    && self.conn.waits_for_body()
                    && !self.timer.poll_reached(cx, self.rules.deadline()) =>
            {
                Poll::Pending
            }
            Err(reason) => Poll::Ready(Finish::Done(reason)),
        }
    }

    // --- deadlines ---

    /// `None` if the socket has to be checked first.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>, now: &Moment) -> Option<Poll<Finish>> {
        if self.rules.has_head() {
            // The reader's next credit, or the end of its pause, wakes this task.
            self.rules.delivers(self.job.command.has_credit(), now);
        }
        match self.timer.judge(cx, self.rules.continue_deadline()) {
            Verdict::Waits => {}
            Verdict::Look => return None,
            Verdict::Passed => {
                self.let_body_go();
                cx.waker().wake_by_ref();
                return Some(Poll::Pending);
            }
        }
        loop {
            match self.timer.judge(cx, self.rules.deadline()) {
                Verdict::Waits => return Some(Poll::Pending),
                Verdict::Look => return None,
                Verdict::Passed => {}
            }
            let starving = self.job.is_starved();
            if let Some((reason, error)) = self.rules.expire(starving, &Moment::default()) {
                return Some(self.fail(reason, error));
            }
        }
    }
}

enum Step {
    /// There was progress: check again.
    Again,
    /// Nothing to do until a wake-up.
    Wait,
    Finished(Finish),
}
