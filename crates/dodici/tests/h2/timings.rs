//! When the parts of a timed request happen over HTTP/2.

use std::time::Instant;

use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::h2::setting;
use dodici_testkit::timings::{in_order, timed};
use dodici_testkit::{Client, H2Peer, Signal, within};

use crate::support::{one_connection, serve, serve_echo};

#[tokio::test]
async fn only_the_first_stream_has_a_new_connection() {
    let peer = serve_echo().await;
    let client = Client::new(peer.port(), one_connection());
    let calls = [(); 5].map(|()| client.send(timed(get("/"))));
    let mut new = 0;
    for call in calls {
        let seen = within("end", call.ended()).await;
        in_order(&seen.last_timings());
        new += u32::from(seen.last_timings().is_new);
    }
    assert_eq!(new, 1);
}

#[tokio::test]
async fn waiting_for_a_stream_is_before_it_is_assigned() {
    let (held, go_on) = (Signal::new(), Signal::new());
    let (tell, told) = (held.clone(), go_on.clone());
    let peer = serve(move |conn| {
        let (held, go_on) = (tell.clone(), told.clone());
        async move {
            let settings = [(setting::MAX_CONCURRENT_STREAMS, 1)];
            let mut peer = H2Peer::accept(conn, &settings).await;
            let first = peer.next_request().await.unwrap();
            held.raise();
            go_on.raised().await;
            peer.respond(first.stream, "1").await;
            let second = peer.next_request().await.unwrap();
            peer.respond(second.stream, "2").await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let first = client.send(timed(get("/1")));
    within("first", held.raised()).await;
    let second = client.send(timed(get("/2")));
    let between = Instant::now();
    go_on.raise();
    let [.., first_byte, _] = in_order(&within("first", first.ended()).await.last_timings());
    let second = within("second", second.ended()).await.last_timings();
    let [_, assigned, ..] = in_order(&second);
    assert!(between <= first_byte && between <= assigned);
}

#[tokio::test]
async fn a_slow_body_is_between_its_head_and_its_end() {
    let head = Signal::new();
    let tell = head.clone();
    let peer = serve(move |conn| {
        let head = tell.clone();
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            head.raise();
            while !peer.next_frame_of(stream).await.unwrap().ends_stream() {}
            peer.respond(stream, "").await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let call = client.send(timed(post_chunked("/")));
    within("head", head.raised()).await;
    let between = Instant::now();
    call.chunk("body");
    call.finish();
    let seen = within("end", call.ended()).await;
    let [_, _, head_sent, body_sent, ..] = in_order(&seen.last_timings());
    assert!(head_sent <= between && between <= body_sent);
}
