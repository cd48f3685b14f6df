//! HTTP/3 where a server offers it (Alt-Svc, RFC 7838; HTTPS records, RFC 9460): hearing of it, and opening connections with
//! it beside TCP.
//!
//! An offer that arrives while a pool has other connections starts a *trial* beside them: no request
//! waits for it. If it succeeds, its connection is the pool's next one, and the others take no more
//! requests. Later connections are raced: HTTP/3 has a head start, and what is connected first
//! wins; only then is a request written. See [`Alternatives`] for what is remembered.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dodici_pool::{
    AltSvc, Alternative, Alternatives, CloseReason, ConnId, ConnectInfo, Error, HEAD_START,
    Protocol, ResponseHead,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::{PoolInner, now};
use crate::connect::{Connector, Link, Quic};
use crate::sink::{ExchangeInfo, Sink, pass_on};

/// How long the connection of a trial is kept for the pool's next one. Long enough for a request that
/// is being dispatched, short enough that no server has given it up.
const KEPT: Duration = Duration::from_secs(1);

type Connected = (Box<Quic>, ConnectInfo);
type Connecting = Pin<Box<dyn Future<Output = Result<Connected, Error>> + Send>>;

/// What a pool knows of HTTP/3 for its origin.
pub(super) struct Discovery {
    /// Of all pools of the engine.
    known: Arc<Mutex<Alternatives>>,
    trial: Mutex<Trial>,
}

enum Trial {
    None,
    Running,
    Done(Box<Connected>),
}

impl Discovery {
    pub(super) fn new(known: Arc<Mutex<Alternatives>>) -> Self {
        Self {
            known,
            trial: Mutex::new(Trial::None),
        }
    }

    fn take_done(&self) -> Option<Box<Connected>> {
        let mut trial = self.trial.lock();
        match std::mem::replace(&mut *trial, Trial::None) {
            Trial::Done(connected) => Some(connected),
            other => {
                *trial = other;
                None
            }
        }
    }

    /// Whether a trial may begin, which then is the caller's.
    fn begins(&self) -> bool {
        let mut trial = self.trial.lock();
        let begins = matches!(*trial, Trial::None);
        if begins {
            *trial = Trial::Running;
        }
        begins
    }

    fn is_trying(&self) -> bool {
        matches!(*self.trial.lock(), Trial::Running)
    }

    /// The alternative to try: one that is known, or that the origin's HTTPS records name.
    async fn way(
        &self,
        pool: &PoolInner,
        connector: &Connector,
    ) -> Option<(Alternative, Duration)> {
        let known = || self.known.lock().of(&pool.origin, now());
        if let Some(way) = known() {
            return Some(way);
        }
        let asked = connector.ask_alternatives(&pool.origin)?;
        let offers = timeout(HEAD_START, asked).await.unwrap_or_default();
        if !offers.is_empty() {
            let offers = AltSvc::Alternatives(offers);
            self.known.lock().learn(&pool.origin, offers, now());
        }
        known()
    }

    fn judge(&self, alternative: &Alternative, begun: Instant, result: Result<(), &Error>) {
        let mut known = self.known.lock();
        match result {
            Ok(()) => known.worked(alternative, begun.elapsed(), now()),
            Err(_) => known.failed(alternative, now()),
        }
    }
}

/// Opens a connection of a pool that discovers HTTP/3.
pub(super) async fn open(
    pool: &Arc<PoolInner>,
    discovery: &Discovery,
    connector: &Arc<Connector>,
) -> Result<(Link, ConnectInfo), Error> {
    if let Some(connected) = discovery.take_done() {
        let (quic, info) = *connected;
        return Ok((Link::Quic(quic), info));
    }
    let way = match connector.offers_http3() && !discovery.is_trying() {
        true => discovery.way(pool, connector).await,
        false => None,
    };
    let Some((alternative, head_start)) = way else {
        return over_tcp(connector).await;
    };
    let begun = Instant::now();
    let mut quic = attempt(Arc::clone(connector), alternative.clone());
    let won = match timeout(head_start, &mut quic).await {
        Ok(early) => early,
        Err(_elapsed) => {
            let tcp = over_tcp(connector);
            tokio::pin!(tcp);
            tokio::select! {
                biased;
                result = &mut quic => result,
                result = &mut tcp => match result {
                    Ok(connected) => {
                        // Its verdict is still of use.
                        if discovery.begins() {
                            try_beside(pool, alternative, quic, begun);
                        }
                        return Ok(connected);
                    }
                    // TCP's error is the one that users know.
                    Err(error) => {
                        let late = quic.await;
                        discovery.judge(&alternative, begun, late.as_ref().map(drop));
                        let (quic, info) = late.map_err(|_| error)?;
                        return Ok((Link::Quic(quic), info));
                    }
                },
            }
        }
    };
    discovery.judge(&alternative, begun, won.as_ref().map(drop));
    match won {
        Ok((quic, info)) => Ok((Link::Quic(quic), info)),
        Err(_) => over_tcp(connector).await,
    }
}

async fn over_tcp(connector: &Connector) -> Result<(Link, ConnectInfo), Error> {
    let (transport, info) = connector.connect().await?;
    Ok((Link::Stream(transport), info))
}

fn attempt(connector: Arc<Connector>, to: Alternative) -> Connecting {
    Box::pin(async move { connector.connect_quic(Some((&to.host, to.port))).await })
}

/// Takes note of an Alt-Svc field, and begins a trial if that is news.
fn heard(pool: &Arc<PoolInner>, discovery: &Discovery, head: &ResponseHead) {
    let Some(said) = AltSvc::parse(head.headers.get_all("alt-svc"), &pool.origin.host) else {
        return;
    };
    // Without verification, whoever answers would decide where requests go from now on.
    if !pool.config.connect.tls.verify {
        return;
    }
    let way = {
        let mut known = discovery.known.lock();
        known.learn(&pool.origin, said, now());
        known.of(&pool.origin, now())
    };
    if let Some((alternative, _)) = way
        && !others(pool).is_empty()
        && let Ok(connector) = pool.connector()
        && connector.offers_http3()
        // The caller's code goes around connections that the pool asks for.
        && connector.around().is_none()
        && discovery.begins()
    {
        let attempt = attempt(connector, alternative.clone());
        try_beside(pool, alternative, attempt, Instant::now());
    }
}

/// The connections that do not speak HTTP/3.
fn others(pool: &PoolInner) -> Vec<ConnId> {
    let state = pool.state.lock();
    let conns = state.conns.iter().flatten();
    let others = conns.filter(|(_, mailbox)| {
        let place = mailbox.place.get();
        place.is_some_and(|place| place.protocol != Protocol::Http3)
    });
    others.map(|(id, _)| *id).collect()
}

/// A trial: waits for the attempt, and has the pool use its connection.
fn try_beside(pool: &Arc<PoolInner>, to: Alternative, attempt: Connecting, begun: Instant) {
    let weak = Arc::downgrade(pool);
    drop(pool.runtime.spawn(async move {
        let result = attempt.await;
        let Some(pool) = weak.upgrade() else { return };
        let Some(discovery) = &pool.discovery else {
            return;
        };
        discovery.judge(&to, begun, result.as_ref().map(drop));
        let Ok(connected) = result else {
            *discovery.trial.lock() = Trial::None;
            return;
        };
        *discovery.trial.lock() = Trial::Done(Box::new(connected));
        for conn in others(&pool) {
            let machine = &mut pool.state.lock().machine;
            machine.handle_draining(conn, CloseReason::Superseded, now());
        }
        pool.run_actions();
        drop(pool);
        sleep(KEPT).await;
        if let Some(discovery) = weak
            .upgrade()
            .as_ref()
            .and_then(|pool| pool.discovery.as_ref())
        {
            drop(discovery.take_done());
        }
    }));
}

/// The sink, or if the pool discovers HTTP/3, one that listens to heads.
pub(super) fn listening(pool: &Arc<PoolInner>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
    if pool.discovery.is_none() {
        return sink;
    }
    let pool = Arc::downgrade(pool);
    Box::new(Listening { sink, pool })
}

struct Listening {
    sink: Box<dyn Sink>,
    pool: Weak<PoolInner>,
}

impl Listening {
    fn listen(&self, head: &ResponseHead) {
        if let Some(pool) = self.pool.upgrade()
            && let Some(discovery) = &pool.discovery
        {
            heard(&pool, discovery, head);
        }
    }
}

impl Sink for Listening {
    fn head(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        self.listen(head);
        self.sink.head(head, info);
    }

    pass_on!(assigned informational data end error upgrade pull written timings);
}
