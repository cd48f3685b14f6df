//! The blocking client: a thread with a runtime, and an async client on it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::thread;
use std::time::Duration;

use dodici::LastLook;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::wait::{self, Waited};
use crate::error;
use crate::util::opaque;

/// A blocking client.
///
/// It keeps connections open for reuse, so create it once and reuse it: a
/// clone is the same client.
///
/// ```no_run
/// use dodici_reqwest::blocking::Client;
///
/// # fn run() -> Result<(), dodici_reqwest::Error> {
/// let client = Client::new();
/// let body = client.get("https://example.com/").send()?.text()?;
/// println!("{body}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) worker: Arc<Worker>,
    pub(super) timeout: Option<Duration>,
}

type Answer = crate::Result<crate::Response>;

/// A request for the thread.
pub(super) struct Work {
    pub(super) request: crate::Request,
    pub(super) look: LastLook,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The waiting thread signals its timeout here. The worker then polls once more, delivers what
    /// had arrived, and drops the rest.
    pub(super) late: oneshot::Receiver<oneshot::Sender<()>>,
}

/// The thread behind a client and its responses. It ends with the last of them.
pub(super) struct Worker {
    pub(super) work: Option<mpsc::UnboundedSender<Work>>,
    thread: Option<thread::JoinHandle<()>>,
    client: crate::Client,
    runtime: Handle,
}

impl Client {
    pub(super) fn start(
        builder: crate::ClientBuilder,
        timeout: Option<Duration>,
    ) -> crate::Result<Self> {
        let client = builder.build()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(error::builder)?;
        let handle = runtime.handle().clone();
        let (work, mut queue) = mpsc::unbounded_channel::<Work>();
        let on_thread = client.clone();
        let thread = thread::Builder::new()
            .name("dodici-reqwest".into())
            .spawn(move || {
                runtime.block_on(async move {
                    while let Some(work) = queue.recv().await {
                        drop(tokio::spawn(run(on_thread.clone(), work)));
                    }
                });
            })
            .map_err(error::builder)?;
        Ok(Self {
            worker: Arc::new(Worker {
                work: Some(work),
                thread: Some(thread),
                client,
                runtime: handle,
            }),
            timeout,
        })
    }

    pub(crate) fn asynchronous(&self) -> &crate::Client {
        &self.worker.client
    }

    /// Runs a future on the thread, and waits for its result for at most the client's timeout.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> crate::Result<T> {
        let running = self.worker.runtime.spawn(future);
        wait::timeout(running, self.timeout, |_| Poll::Ready(())).map_err(|waited| match waited {
            Waited::TimedOut(cause) => error::request(cause),
            Waited::Failed(_) => worker_ended(),
        })
    }
}

/// Runs a request until it has a response, or its caller is gone.
async fn run(client: crate::Client, work: Work) {
    let Work {
        request,
        look,
        mut answer,
        mut late,
    } = work;
    let mut request = pin!(client.execute(request));
    let (mut is_late, mut looking) = (false, None);
    let result = std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = request.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        if answer.poll_closed(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !is_late {
            // Without a timeout there is no signal.
            looking = ready!(Pin::new(&mut late).poll(cx)).ok();
            is_late = true;
        }
        if looking.is_some() {
            ready!(look.poll(cx));
            if let Poll::Ready(result) = request.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            looking = None;
        }
        Poll::Pending
    })
    .await;
    if let Some(result) = result {
        // The waiting thread may have given up in the meantime.
        let _ = answer.send(result);
    }
}

pub(super) fn worker_ended() -> crate::Error {
    error::request("the client's thread has ended")
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The thread ends when its queue is closed and empty.
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook, and failed the requests on that thread.
            let _ = thread.join();
        }
    }
}

opaque!(Client);
