//! 0-RTT: which requests are sent before the handshake is complete, and what becomes of them if the
//! server does not want them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dodici::OriginConfig;
use dodici_testkit::certs::TlsDemands;
use dodici_testkit::client::post;
use dodici_testkit::h3::read_varint;
use dodici_testkit::h3::relay::{Fate, Way};
use dodici_testkit::{Client, H3Origin, QuicPeer, ServerTls, UdpRelay, with, within};

use crate::support::{Trust, text};

fn server(trust: &Trust) -> ServerTls {
    let demands = with(TlsDemands::http3(), |demands| demands.early_data = true);
    ServerTls::with(&trust.leaf, &demands)
}

/// A connection for each request, with early data.
fn config(trust: &Trust) -> OriginConfig {
    with(trust.single(), |config| {
        config.http3.early_data = true;
        config.pool.max_requests_per_connection = NonZeroU32::new(1);
    })
}

/// Packets of early data (RFC 9000, section 17.2.3) in a datagram.
fn early_packets(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [first, _, _, _, _, rest @ ..] = bytes
        && first & 0x80 != 0
    {
        let kind = first >> 4 & 3;
        count += usize::from(kind == 1);
        let skip = |rest: &mut &[u8], length: usize| *rest = &rest[length..];
        let mut rest = rest;
        for _ in 0..2 {
            let id = 1 + usize::from(rest[0]);
            skip(&mut rest, id);
        }
        if kind == 0 {
            let (token, used) = read_varint(rest).unwrap();
            skip(&mut rest, used + token as usize);
        }
        let (length, used) = read_varint(rest).unwrap();
        skip(&mut rest, used + length as usize);
        bytes = rest;
    }
    count
}

/// A relay that counts packets of early data.
async fn counting(origin: &H3Origin) -> (UdpRelay, Arc<AtomicUsize>) {
    let relay = UdpRelay::to(origin.address()).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    relay.decide(move |datagram| {
        if datagram.way == Way::Up {
            counted.fetch_add(early_packets(datagram.bytes), Ordering::SeqCst);
        }
        Fate::Pass
    });
    (relay, count)
}

async fn get(client: &Client) {
    let seen = within("response", client.get("/bytes/5").ended()).await;
    assert_eq!((seen.status(), seen.body.len()), (200, 5));
}

/// Sends requests until one was sent early: a session may arrive after the response.
async fn warm_up(client: &Client, count: &AtomicUsize) {
    for _ in 0..10 {
        get(client).await;
        if count.load(Ordering::SeqCst) > 0 {
            return;
        }
    }
    panic!("nothing was sent early");
}

#[tokio::test]
async fn safe_requests_of_a_resumed_connection_are_sent_early_and_others_wait() {
    let trust = Trust::new();
    let origin = H3Origin::start(&server(&trust));
    let (relay, count) = counting(&origin).await;
    let client = Client::tls(relay.port(), config(&trust));
    get(&client).await;
    assert_eq!(count.load(Ordering::SeqCst), 0, "there was no session");
    warm_up(&client, &count).await;
    // Its connection is early as well, but it waits.
    let seen = within("echo", client.send(post("/echo", "1", "body")).ended()).await;
    assert_eq!(text(&seen.body), "body");
    assert_eq!(origin.executions("1"), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn early_requests_that_a_server_refuses_are_sent_again() {
    let trust = Trust::new();
    let origin = H3Origin::start(&server(&trust));
    let (relay, count) = counting(&origin).await;
    let client = Client::tls(relay.port(), config(&trust));
    warm_up(&client, &count).await;
    let before = count.load(Ordering::SeqCst);
    // Another server with the same certificate, which does not know the session.
    let other = H3Origin::start(&server(&trust));
    relay.redirect(other.address());
    get(&client).await;
    assert!(
        count.load(Ordering::SeqCst) > before,
        "it was not sent early"
    );
    get(&client).await;
    client.shut_down().await;
    origin.finish().await;
    other.finish().await;
}

#[tokio::test]
async fn nothing_is_sent_early_unless_it_is_asked_for() {
    let trust = Trust::new();
    let origin = H3Origin::start(&server(&trust));
    let (relay, count) = counting(&origin).await;
    let mut config = config(&trust);
    config.http3.early_data = false;
    let client = Client::tls(relay.port(), config);
    for _ in 0..3 {
        get(&client).await;
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn a_server_that_finds_a_request_too_early_gets_it_again() {
    let trust = Trust::new();
    let peer = QuicPeer::listen(server(&trust)).run(|mut peer| async move {
        peer.begin(&[]).await;
        let is_first = peer.index() == 0;
        let Some((mut stream, _)) = peer.next_request().await else {
            return;
        };
        if is_first {
            stream.respond(200, &[], "first").await;
            peer.closed().await;
            return;
        }
        stream.respond(425, &[], "").await;
        if let Some((mut stream, _)) = peer.next_request().await {
            stream.respond(200, &[], "again").await;
        }
        peer.closed().await;
    });
    let mut config = trust.single();
    config.http3.early_data = true;
    let client = Client::tls(peer.port(), config);
    let seen = within("response", client.get("/").ended()).await;
    assert_eq!(text(&seen.body), "first");
    // Until there is a session, nothing is early, and a 425 is a response.
    for connections in 1..10 {
        let conn = client.events.open_connections()[0];
        client.pool.destroy_connection(conn);
        client.disconnected(connections).await;
        let seen = within("response", client.get("/").ended()).await;
        if seen.status() == 200 {
            assert_eq!(text(&seen.body), "again");
            client.shut_down().await;
            peer.finish().await;
            return;
        }
    }
    panic!("it was not sent again");
}
