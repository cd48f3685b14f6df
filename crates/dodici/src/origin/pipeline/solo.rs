//! An exchange that has an HTTP/1.1 connection to itself.
//!
//! For pulled bodies, `expect: 100-continue`, CONNECT and upgrades: hyper and the link take over
//! the transport for one exchange and return it at rest. Called by the pipeline when nothing
//! is in flight.

use std::pin::pin;
use std::task::Poll;

use dodici_pool::{CloseReason, Error, ErrorKind, HeaderBlock, Outcome, Phase, RequestId};

use super::Pipeline;
use crate::conn::{HyperConn, PipeConn};
use crate::exchange::{self, Finish, Job, Loss};
use crate::origin::mailbox::{Interruptions, Mailbox};
use crate::origin::now;
use crate::sink::ExchangeInfo;

/// How such an exchange left the connection.
pub(super) enum Solo {
    /// It can be reused.
    Goes(Box<PipeConn>),
    /// It cannot. The request is settled or on its way back to the queue.
    Ended(CloseReason, Option<Error>),
    /// It became a byte stream, which was not reported yet; the pool has released the request.
    Upgraded(Box<HyperConn>, Box<Job>),
}

/// Runs one exchange.
pub(super) async fn run(
    pipeline: &mut Pipeline,
    conn: PipeConn,
    request: RequestId,
    mut job: Box<Job>,
) -> Solo {
    let config = &pipeline.pool.config.exchange;
    let Some(rest) = conn.into_rest() else {
        let error = Error::new(ErrorKind::Socket, Phase::Queued, "closed");
        let reason = CloseReason::NotReusable;
        pipeline.give_back_first(request, job, &error, reason);
        return Solo::Ended(reason, Some(error));
    };
    let fresh = std::mem::take(&mut pipeline.fresh);
    let mut conn = match HyperConn::new(rest, config, fresh).await {
        Ok(conn) => conn,
        Err(error) => {
            job.settle.error(error.clone());
            pipeline.forget(request, CloseReason::Panicked);
            return Solo::Ended(CloseReason::Panicked, Some(error));
        }
    };
    let prepared = std::future::poll_fn(|cx| {
        job.command.attach(cx.waker());
        listen(&pipeline.mailbox, cx.waker());
        Poll::Ready(conn.prepare(cx))
    })
    .await;
    let finish = match prepared {
        Err((reason, error)) => Finish::Unsent(reason, error),
        Ok(()) => {
            job.report_assigned(pipeline.id);
            let info = ExchangeInfo::new(pipeline.id, pipeline.lease.requests() > 0);
            job.settle.assigned(info.conn, !info.reused);
            let mailbox = &*pipeline.mailbox;
            let interrupt = Interruptions {
                mailbox,
                requests: pipeline.lease.requests(),
            };
            let timer = &mut pipeline.timer;
            let mut exchange = pin!(exchange::run(
                &mut conn, &mut job, config, info, timer, &interrupt
            ));
            std::future::poll_fn(|cx| {
                // The pool may assign more requests meanwhile, which consumes the waker.
                listen(mailbox, cx.waker());
                exchange.as_mut().poll(cx)
            })
            .await
        }
    };
    let traffic = conn.traffic();
    let received = traffic.0 - pipeline.lease.bytes_read();
    pipeline.lease.set_traffic(traffic);
    match finish {
        Finish::Reusable(hint) => {
            pipeline.lease.count_request();
            let trailers = conn.take_trailers();
            let Some(rest) = conn.into_rest() else {
                return pipeline.end_alone(request, job, &trailers, CloseReason::NotReusable);
            };
            let outcome = Outcome::Reusable { hint };
            {
                let machine = &mut pipeline.pool.state.lock().machine;
                machine.handle_released(pipeline.id, request, outcome, now());
            }
            job.settle.end(&trailers);
            drop(job);
            pipeline.pool.run_actions();
            Solo::Goes(Box::new(PipeConn::new(
                rest,
                &pipeline.pool.config.exchange,
            )))
        }
        Finish::Done(reason) => {
            pipeline.lease.count_request();
            pipeline.end_alone(request, job, &conn.take_trailers(), reason)
        }
        Finish::Failed(reason, error) => {
            let loss = Loss::Sent {
                error: &error,
                reused: pipeline.lease.requests() > 0,
                received,
            };
            if job.goes_again(&loss) {
                pipeline.give_back(request, job);
            } else {
                job.settle.error(error.clone());
                drop(job);
                pipeline.forget(request, reason);
            }
            Solo::Ended(reason, Some(error))
        }
        Finish::Unsent(reason, error) => {
            pipeline.give_back_first(request, job, &error, reason);
            Solo::Ended(reason, Some(error))
        }
        Finish::Upgraded => {
            pipeline.lease.count_request();
            pipeline.forget(request, CloseReason::Upgraded);
            Solo::Upgraded(Box::new(conn), job)
        }
    }
}

impl Pipeline {
    /// The response is complete, and the connection ends with it.
    fn end_alone(
        &self,
        request: RequestId,
        mut job: Box<Job>,
        trailers: &HeaderBlock,
        reason: CloseReason,
    ) -> Solo {
        job.settle.end(trailers);
        drop(job);
        self.forget(request, reason);
        Solo::Ended(reason, None)
    }
}

pub(super) fn listen(mailbox: &Mailbox, waker: &std::task::Waker) {
    mailbox.inner.lock().waker = Some(waker.clone());
}
