//! What the connections of a pool are doing.
//!
//! Counted on demand only: the state machine knows what each connection is doing, and each connection's
//! task is asked for the rest through its mailbox.

use std::sync::Arc;

use dodici_pool::{Activity, ConnId, ConnectionStatus};
use tokio::sync::oneshot::{Receiver, channel};

use super::mailbox::{Figures, Mailbox};
use super::{Pool, PoolInner, now};

/// A connection, and where its task's answer will be; `None` while it is being opened.
type Asked = (ConnectionStatus, Option<Receiver<Figures>>);

impl Pool {
    /// What each connection is doing now, including byte streams after an upgrade. Connections that end
    /// in the meantime are left out. Their tasks are asked: the runtime has to run.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use dodici::{Activity, Engine, NoEvents, Origin, OriginConfig, Scheme};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = dodici_testkit::TestOrigin::start().await;
    /// # let engine = Engine::on_runtime(tokio::runtime::Handle::current());
    /// # let origin = Origin::new(Scheme::Http, "127.0.0.1", server.port());
    /// let pool = engine.open_pool(origin, OriginConfig::default(), Arc::new(NoEvents))?;
    /// let request = http::Request::get("/bytes/5").body(String::new())?;
    /// pool.send(request).await?.into_body().collect().await?;
    ///
    /// let connections = pool.connections().await;
    /// assert_eq!(connections.len(), 1);
    /// assert_eq!(connections[0].activity, Activity::Idle);
    /// assert_eq!(connections[0].requests, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connections(&self) -> Vec<ConnectionStatus> {
        let mut found = Vec::new();
        for (mut status, answer) in self.0.inquire() {
            let Some(answer) = answer else {
                found.push(status);
                continue;
            };
            let Ok(figures) = answer.await else {
                continue;
            };
            if let Some(place) = figures.place {
                status.age = place.since.elapsed();
                status.protocol = Some(place.protocol);
                status.local = place.local;
                status.remote = place.remote;
            }
            status.requests = figures.requests;
            (status.bytes_read, status.bytes_written) = figures.traffic;
            found.push(status);
        }
        found
    }
}

impl PoolInner {
    /// Asks the task of each connection.
    fn inquire(&self) -> Vec<Asked> {
        let mut wakers = Vec::new();
        let mut ask = |mailbox: &Mailbox| {
            let (to, answer) = channel();
            wakers.extend(mailbox.inquire(to));
            answer
        };
        let mut asked = Vec::new();
        {
            let state = self.state.lock();
            for mut status in state.machine.connections(now()) {
                let Some(mailbox) = state.mailbox(status.conn) else {
                    continue;
                };
                let is_open = mailbox.place.get().is_some();
                if !is_open {
                    status.age = mailbox.since.elapsed();
                }
                let answer = is_open.then(|| ask(mailbox));
                asked.push((status, answer));
            }
            for (conn, mailbox) in &state.streams {
                let mut status = ConnectionStatus::new(*conn, Activity::Upgraded);
                status.open = 1;
                asked.push((status, Some(ask(mailbox))));
            }
        }
        for waker in wakers {
            waker.wake();
        }
        asked
    }
}

/// Shows a byte stream among the connections of its former pool until it is dropped.
pub(super) struct Shown {
    pool: Arc<PoolInner>,
    mailbox: Arc<Mailbox>,
}

impl Shown {
    pub(super) fn new(pool: Arc<PoolInner>, conn: ConnId, mailbox: Arc<Mailbox>) -> Self {
        let entry = (conn, Arc::clone(&mailbox));
        pool.state.lock().streams.push(entry);
        Self { pool, mailbox }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let streams = &mut self.pool.state.lock().streams;
        streams.retain(|(_, mailbox)| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}
