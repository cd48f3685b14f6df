//! A reader that pauses, or gives no credit: nothing is delivered, no body timeout runs, and both
//! resume when it does.

use std::time::Duration;

use dodici::{ErrorKind, OriginConfig, piece_cost};
use dodici_testkit::client::get;
use dodici_testkit::config::no_timers;
use dodici_testkit::{Client, ScriptedPeer, Signal};
use tokio::time::{Instant, sleep};

const BODY_TIMEOUT: Duration = Duration::from_secs(20);
const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";

/// Only the body timeout, so that paused time jumps to exactly that one.
fn only_body_timer() -> OriginConfig {
    no_timers(|config| config.exchange.body_timeout = Some(BODY_TIMEOUT))
}

/// A peer that sends the first half of a body, and the second when told.
async fn halves(more: &Signal) -> ScriptedPeer {
    let more = more.clone();
    ScriptedPeer::tcp().await.run(move |mut conn| {
        let more = more.clone();
        async move {
            conn.read_head().await;
            conn.send(FIRST).await;
            more.raised().await;
            conn.send(" last").await;
            conn.closed().await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn no_body_timeout_runs_while_the_reader_is_paused() {
    let more = Signal::new();
    let peer = halves(&more).await;
    let client = Client::new(peer.port(), only_body_timer());
    let call = client.get("/");
    call.wait(|seen| (seen.body == b"first").then_some(()))
        .await;
    call.handle.pause(true);
    sleep(100 * BODY_TIMEOUT).await;
    assert!(!call.is_settled());
    call.handle.pause(false);
    let resumed = Instant::now();
    assert_eq!(call.error().await.kind(), ErrorKind::BodyTimeout);
    assert_eq!(resumed.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    more.raise();
    drop(client);
    peer.join().await;
}

#[tokio::test(start_paused = true)]
async fn no_body_timeout_runs_while_the_reader_gives_no_credit() {
    let more = Signal::new();
    let peer = halves(&more).await;
    let mut config = only_body_timer();
    config.exchange.window = 5;
    let client = Client::new(peer.port(), config);
    let call = client.send_paused(get("/"));
    call.wait(|seen| (seen.body == b"first").then_some(()))
        .await;
    sleep(100 * BODY_TIMEOUT).await;
    assert!(!call.is_settled());
    call.handle.credit(piece_cost(5));
    let credited = Instant::now();
    assert_eq!(call.error().await.kind(), ErrorKind::BodyTimeout);
    assert_eq!(credited.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    more.raise();
    drop(client);
    peer.join().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_reader_gets_nothing_until_it_resumes() {
    let more = Signal::new();
    let peer = halves(&more).await;
    let client = Client::new(peer.port(), only_body_timer());
    let call = client.get("/");
    call.wait(|seen| (seen.body == b"first").then_some(()))
        .await;
    call.handle.pause(true);
    more.raise();
    // Whole exchanges elsewhere: time in which the rest could arrive.
    for _ in 0..3 {
        let other = halves(&more).await;
        let client = Client::new(other.port(), only_body_timer());
        client.get("/").ended().await;
        drop(client);
        other.join().await;
    }
    assert_eq!(call.seen().body, b"first");
    // Credit alone does not end a pause.
    call.handle.credit(1);
    sleep(BODY_TIMEOUT).await;
    assert_eq!(call.seen().body, b"first");
    call.handle.pause(false);
    assert_eq!(call.ended().await.body, b"first last");
    drop(client);
    peer.join().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_the_head_delivers_the_head_and_no_byte_more() {
    let more = Signal::new();
    more.raise();
    let peer = halves(&more).await;
    let client = Client::new(peer.port(), only_body_timer());
    let call = client.get("/");
    call.handle.pause(true);
    call.wait(|seen| seen.head.as_ref().map(drop)).await;
    sleep(2 * BODY_TIMEOUT).await;
    assert_eq!(call.seen().body, b"");
    call.handle.pause(false);
    assert_eq!(call.ended().await.body, b"first last");
    drop(client);
    peer.join().await;
}
