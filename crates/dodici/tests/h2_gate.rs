//! Servers that constantly go away, refuse and reset: every request settles once, none is
//! lost, none is executed twice. (R7, S37, S38)
//!
//! `DODICI_GATE_REQUESTS` sets the number of requests; `just soak-h2` runs the long form.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dodici::ErrorKind;
use dodici_testkit::client::{get, post};
use dodici_testkit::config::http2;
use dodici_testkit::figures::figure;
use dodici_testkit::h2::{code, setting};
use dodici_testkit::{Client, Conn, H2Peer, ScriptedPeer, Terminal, Watched, within};

/// Requests of the short form, whatever machine it runs on.
const SHORT: usize = 5_000;

/// Requests in flight.
const IN_FLIGHT: usize = 64;

fn requests() -> usize {
    std::env::var("DODICI_GATE_REQUESTS").map_or(SHORT, |text| text.parse().unwrap())
}

/// Repeatable pseudo-random numbers.
#[derive(Default)]
struct Dice(AtomicU64);

impl Dice {
    /// True once in `sides` calls, on average.
    fn hits(&self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    fn below(&self, sides: u64) -> u64 {
        let mut state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) % sides
    }
}

/// How often each id was executed.
type Executed = Watched<HashMap<String, u32>>;

/// Sends GOAWAY after `streams` requests, and refuses one in `refused`.
async fn restless(conn: Conn, streams: usize, refused: u64, dice: &Dice, executed: &Executed) {
    let settings = [(setting::MAX_CONCURRENT_STREAMS, 100)];
    let Some(mut peer) = H2Peer::try_accept(conn, &settings).await else {
        return;
    };
    for n in 1.. {
        let Some(request) = peer.next_request().await else {
            return;
        };
        if dice.hits(refused) {
            peer.reset(request.stream, code::REFUSED_STREAM).await;
            continue;
        }
        let id = String::from_utf8(request.body).unwrap();
        executed.update(|all| *all.entry(id.clone()).or_default() += 1);
        peer.respond(request.stream, id).await;
        if n >= streams {
            peer.goaway(request.stream, code::NO_ERROR).await;
            // Later requests are not processed.
            return peer.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_goaway_and_refused_streams_lose_and_repeat_no_request() {
    let count = requests();
    let streams = (count / 20).min(1_000);
    let (dice, executed) = (Arc::new(Dice::default()), Executed::default());
    let log = executed.clone();
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let (dice, executed) = (Arc::clone(&dice), executed.clone());
        async move { restless(conn, streams, 100, &dice, &executed).await }
    });
    let client = Client::new(peer.port(), http2());
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= count as u64 {
                        return;
                    }
                    let id = n.to_string();
                    let call = client.post("/", &id, &id);
                    let seen = within("response", call.ended()).await;
                    assert_eq!(seen.body, id.as_bytes());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let connects = client.events.connects();
    let (executed, repeated) = log.read(|all| {
        let repeated = all.values().filter(|times| **times > 1).count();
        (all.len(), repeated)
    });
    assert_eq!(executed, count);
    assert_eq!(repeated, 0, "executed twice");
    assert!(connects >= count / streams / 2, "{connects} connections");
    assert!(
        connects <= 3 * count / streams + 10,
        "{connects} connections"
    );
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0));
    client.pool.close();
    within("close", client.events.closed()).await;
    assert_eq!(client.events.disconnects(), connects);
    peer.finish().await;
    let subject = "GOAWAY and REFUSED_STREAM";
    let lost = count - executed;
    let value = format!("{count} sent, {lost} lost, {repeated} executed twice, 0 unsettled");
    figure(subject, "requests", value);
    let seconds = begun.elapsed().as_secs_f64();
    figure(
        subject,
        "connections",
        format!("{connects} in {seconds:.1} s"),
    );
}

/// When a request is cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GiveUp {
    AtOnce,
    Soon,
    BehindTheHead,
    InTheBody,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s37_aborts_in_every_phase_leave_nothing_behind() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async {
        let settings = [(setting::MAX_CONCURRENT_STREAMS, 100)];
        let Some(mut peer) = H2Peer::try_accept(conn, &settings).await else {
            return;
        };
        while let Some(stream) = peer.next_head().await {
            peer.head(stream, 200, &[], false).await;
            peer.data(stream, [b'x'; 150], false).await;
        }
    });
    // The minimum: 437 responses fill it if those of closed streams stay in
    // it, and the next one violates the protocol. A connection serves 800 before it is replaced.
    let mut config = http2();
    config.http2.connection_window = Some(65_535);
    let client = Client::new(peer.port(), config);
    let dice = Dice::default();
    let begun = Instant::now();
    let mut phases = [0; 4];
    let aborts = requests().next_multiple_of(50);
    for _ in 0..aborts / 50 {
        let calls: Vec<_> = (0..50)
            .map(|n| {
                let call = match n % 2 {
                    0 => client.send(get("/")),
                    _ => client.send_paused(post("/", "id", "body")),
                };
                let phase = dice.below(4) as usize;
                phases[phase] += 1;
                use GiveUp::*;
                ([AtOnce, Soon, BehindTheHead, InTheBody][phase], call)
            })
            .collect();
        for (when, call) in &calls {
            match when {
                GiveUp::AtOnce => {}
                GiveUp::Soon => {
                    for _ in 0..dice.below(4) {
                        tokio::task::yield_now().await;
                    }
                }
                GiveUp::BehindTheHead => {
                    let head = call.wait(|seen| seen.head.is_some().then_some(()));
                    within("head", head).await;
                }
                GiveUp::InTheBody => {
                    let body = call.wait(|seen| (!seen.body.is_empty()).then_some(()));
                    within("body", body).await;
                }
            }
            call.handle.cancel();
        }
        for (_, call) in calls {
            let seen = within("settled", call.settled()).await;
            let Some((_, Terminal::Error(error))) = &seen.terminal else {
                panic!("{:?}", seen.terminal);
            };
            assert_eq!(error.kind(), ErrorKind::Aborted);
        }
    }
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0));
    client.pool.close();
    within("close", client.events.closed()).await;
    assert!(client.events.open_connections().is_empty());
    peer.finish().await;
    let [at_once, soon, head, body] = phases;
    let value = format!("{at_once} at once, {soon} soon, {head} behind the head, {body} midway");
    let subject = "aborts (engine)";
    figure(subject, &format!("{aborts} settled"), value);
    let seconds = begun.elapsed().as_secs_f64();
    let connects = client.events.connects();
    let value = format!("running 0, pending 0; {connects} connections, {seconds:.1} s");
    figure(subject, "left behind", value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_settles_whatever_the_server_does() {
    let dice = Arc::new(Dice::default());
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let dice = Arc::clone(&dice);
        async move {
            let settings = [(setting::MAX_CONCURRENT_STREAMS, 4)];
            let Some(mut peer) = H2Peer::try_accept(conn, &settings).await else {
                return;
            };
            while let Some(request) = peer.next_request().await {
                let stream = request.stream;
                match dice.below(10) {
                    0 => peer.reset(stream, code::CANCEL).await,
                    1 => peer.reset(stream, code::REFUSED_STREAM).await,
                    2 => peer.goaway(stream, code::NO_ERROR).await,
                    3 => peer.goaway(stream - 1, code::NO_ERROR).await,
                    4 => return peer.into_conn().reset(),
                    5 => peer.head(stream, 200, &[], false).await,
                    6 => return,
                    _ => peer.respond(stream, "ok").await,
                }
            }
        }
    });
    let mut config = http2();
    config.exchange.headers_timeout = Some(Duration::from_millis(300));
    config.exchange.body_timeout = Some(Duration::from_millis(300));
    let client = Client::new(peer.port(), config);
    for _ in 0..20 {
        let calls: Vec<_> = (0..20)
            .map(|n| client.post("/", "id", &n.to_string()))
            .collect();
        for call in calls {
            within("settled", call.settled()).await;
        }
    }
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0));
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
}
