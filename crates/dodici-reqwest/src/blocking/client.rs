//! The blocking client: a thread with a runtime, and an asynchronous client on it.

use std::fmt;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::ClientBuilder;
use super::request::{Request, RequestBuilder};
use super::response::Response;
use super::wait::{self, Waited};
use crate::client_api::client_api;
use crate::{IntoUrl, Method, error};

/// A blocking client.
///
/// It keeps connections to the servers it has spoken to, so it is made once and used again: a
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
    worker: Arc<Worker>,
    timeout: Option<Duration>,
}

type Answer = crate::Result<crate::Response>;

struct Work {
    request: crate::Request,
    answer: oneshot::Sender<Answer>,
}

/// The thread behind a client and its responses. It ends with the last of them.
pub(super) struct Worker {
    work: Option<mpsc::UnboundedSender<Work>>,
    thread: Option<thread::JoinHandle<()>>,
    client: crate::Client,
}

client_api!("If TLS or the thread cannot be set up.");

impl Client {
    /// Sends a request and waits for the response's head.
    ///
    /// # Errors
    /// Whatever keeps the request from being answered.
    pub fn execute(&self, request: Request) -> crate::Result<Response> {
        let timeout = request.timeout().copied().or(self.timeout);
        let url = request.url().clone();
        let (request, body) = request.into_async();
        let (answer, answered) = oneshot::channel();
        let queued = match &self.worker.work {
            Some(queue) => queue.send(Work { request, answer }).is_ok(),
            None => false,
        };
        if !queued {
            return Err(worker_ended());
        }
        let waiting = async {
            // What reads the body may block: it runs here, not on the worker.
            if let Some(body) = body {
                body.send().await?;
            }
            answered.await.unwrap_or_else(|_| Err(worker_ended()))
        };
        match wait::timeout(waiting, timeout) {
            Ok(response) => Ok(Response::new(
                response,
                timeout,
                Some(Arc::clone(&self.worker)),
            )),
            Err(Waited::TimedOut(cause)) => Err(error::request(cause).with_url(url)),
            Err(Waited::Failed(error)) => Err(error.with_url(url)),
        }
    }

    pub(super) fn start(
        builder: crate::ClientBuilder,
        timeout: Option<Duration>,
    ) -> crate::Result<Self> {
        let client = builder.build()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(error::builder)?;
        let (work, mut queue) = mpsc::unbounded_channel::<Work>();
        let on_thread = client.clone();
        let thread = thread::Builder::new()
            .name("dodici-reqwest".into())
            .spawn(move || {
                runtime.block_on(async move {
                    while let Some(Work { request, answer }) = queue.recv().await {
                        drop(tokio::spawn(run(on_thread.execute(request), answer)));
                    }
                });
            })
            .map_err(error::builder)?;
        Ok(Self {
            worker: Arc::new(Worker {
                work: Some(work),
                thread: Some(thread),
                client,
            }),
            timeout,
        })
    }

    pub(crate) fn asynchronous(&self) -> &crate::Client {
        &self.worker.client
    }
}

/// Runs a request until it is answered, or nobody waits for it any more.
async fn run(request: impl Future<Output = Answer>, mut answer: oneshot::Sender<Answer>) {
    let mut request = std::pin::pin!(request);
    let result = std::future::poll_fn(|cx| match request.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => {
            ready!(answer.poll_closed(cx));
            Poll::Ready(None)
        }
    })
    .await;
    if let Some(result) = result {
        // Whoever waited may have given up meanwhile.
        let _ = answer.send(result);
    }
}

fn worker_ended() -> crate::Error {
    error::request("the client's thread has ended")
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The thread ends when its queue is closed and empty.
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its hook, and failed the requests that it ran.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
