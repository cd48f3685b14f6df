//! HTTP/3 where the origin offers it: the way there, and back where it does not work.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use dodici::{CloseReason, Engine, Http3Mode, Origin, OriginConfig, Scheme, Version};
use dodici_testkit::certs::TlsDemands;
use dodici_testkit::client::{code, get};
use dodici_testkit::{
    Authority, Client, H2Peer, H3Origin, Leaf, QuicPeer, ScriptedPeer, ServerTls, UdpRelay, within,
};
use tokio::runtime::Handle;

use crate::support::Trust;

/// An origin on TCP that says in each response where else it is.
pub(crate) async fn offering(leaf: &Leaf, alt_svc: &str) -> ScriptedPeer {
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nalt-svc: {alt_svc}\r\n\r\ntcp");
    ScriptedPeer::tcp()
        .await
        .tls(ServerTls::new(leaf))
        .always(reply)
}

/// The same, on its first connection only.
async fn offering_once(leaf: &Leaf, alt_svc: &str) -> ScriptedPeer {
    let offer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nalt-svc: {alt_svc}\r\n\r\ntcp");
    ScriptedPeer::tcp()
        .await
        .tls(ServerTls::new(leaf))
        .run(move |mut conn| {
            let offer = offer.clone();
            async move {
                let plain = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntcp";
                let reply = if conn.index() == 0 { &*offer } else { plain };
                conn.answer_all(reply.as_bytes(), |_| ()).await;
            }
        })
}

/// Moves the clock.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) fn at(port: u16) -> String {
    format!("h3=\":{port}\"; ma=600")
}

pub(crate) fn discovering(trust: &Trust) -> OriginConfig {
    let mut config = trust.config();
    config.http3.mode = Http3Mode::Discovered;
    config
}

pub(crate) fn client(engine: &Engine, port: u16, config: OriginConfig) -> Client {
    let origin = Origin::new(Scheme::Https, "localhost", port);
    Client::of(engine, origin, config)
}

async fn version(client: &Client) -> Version {
    let seen = within("response", client.send(get("/bytes/3")).ended()).await;
    assert_eq!(seen.body.len(), 3);
    seen.head.as_ref().unwrap().version
}

/// Sends requests, one after the other, until one is answered over HTTP/3. Returns how many were not.
pub(crate) async fn until_http3(client: &Client) -> usize {
    let mut before = 0;
    while version(client).await != Version::Http3 {
        before += 1;
    }
    before
}

#[tokio::test]
async fn requests_move_to_an_alternative_that_is_offered() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let tcp = offering(&trust.leaf, &at(h3.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    let client = client(&engine, tcp.port(), discovering(&trust));
    let before = within("HTTP/3", until_http3(&client)).await;
    assert!(before > 0, "the first request cannot know of it");
    // What is open is used, however many requests follow.
    for _ in 0..20 {
        assert_eq!(version(&client).await, Version::Http3);
    }
    assert_eq!(h3.executed().len(), 21);
    assert!(client.reasons().contains(&CloseReason::Superseded));
    client.shut_down().await;
    h3.finish().await;
    let log = tcp.finish().await;
    let received = log.connections.iter().map(|conn| &conn.received);
    let requests = received.map(|bytes| bytes.windows(4).filter(|at| *at == b"GET ").count());
    assert_eq!(requests.sum::<usize>(), before, "no request went both ways");
}

#[tokio::test]
async fn requests_move_from_http2_as_well() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let alt_svc = at(h3.port());
    let http2 = TlsDemands {
        alpn: &[b"h2"],
        ..TlsDemands::default()
    };
    let tcp = ScriptedPeer::tcp()
        .await
        .tls(ServerTls::with(&trust.leaf, &http2))
        .run(move |conn| {
            let alt_svc = alt_svc.clone();
            async move {
                let Some(mut peer) = H2Peer::try_accept(conn, &[]).await else {
                    return;
                };
                while let Some(request) = peer.next_request().await {
                    let fields = [("alt-svc", &*alt_svc)];
                    peer.head(request.stream, 200, &fields, false).await;
                    peer.data(request.stream, "tcp", true).await;
                }
            }
        });
    let engine = Engine::on_runtime(Handle::current());
    let mut config = discovering(&trust);
    config.connect.tls.alpn = vec![b"h2".to_vec()];
    let client = client(&engine, tcp.port(), config);
    assert_eq!(version(&client).await, Version::Http2);
    within("HTTP/3", until_http3(&client)).await;
    assert_eq!(version(&client).await, Version::Http3);
    client.shut_down().await;
    h3.finish().await;
    tcp.finish().await;
}

#[tokio::test]
async fn another_pool_of_the_engine_knows_of_it() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let tcp = offering(&trust.leaf, &at(h3.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    let first = client(&engine, tcp.port(), discovering(&trust));
    assert_eq!(version(&first).await, Version::Http11);
    first.shut_down().await;
    let second = client(&engine, tcp.port(), discovering(&trust));
    within("HTTP/3", until_http3(&second)).await;
    second.shut_down().await;
    h3.finish().await;
    tcp.finish().await;
}

#[tokio::test]
async fn an_alternative_with_the_certificate_of_another_gets_no_request() {
    let trust = Trust::new();
    let stranger = Authority::new("of another").localhost();
    let h3 = H3Origin::start(&ServerTls::http3(&stranger));
    let tcp = offering(&trust.leaf, &at(h3.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    for _ in 0..5 {
        let client = client(&engine, tcp.port(), discovering(&trust));
        for _ in 0..3 {
            assert_eq!(version(&client).await, Version::Http11);
        }
        client.shut_down().await;
    }
    assert_eq!(h3.executed(), []);
    h3.finish().await;
    tcp.finish().await;
}

#[tokio::test]
async fn where_udp_is_lost_every_request_is_answered_over_tcp() {
    let trust = Trust::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = offering(&trust.leaf, &at(silent.local_addr().unwrap().port())).await;
    let engine = Engine::on_runtime(Handle::current());
    for _ in 0..3 {
        let client = client(&engine, tcp.port(), discovering(&trust));
        let calls: Vec<_> = (0..10).map(|_| client.send(get("/bytes/3"))).collect();
        for call in calls {
            let seen = within("response", call.ended()).await;
            assert_eq!(seen.head.as_ref().unwrap().version, Version::Http11);
        }
        client.shut_down().await;
    }
    silent.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2048];
    assert!(silent.recv(&mut datagram).is_ok(), "it was tried");
    tcp.finish().await;
}

#[tokio::test]
async fn nothing_is_tried_unless_it_is_on_and_the_offer_trustworthy() {
    let trust = Trust::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = offering(&trust.leaf, &at(silent.local_addr().unwrap().port())).await;
    let mut off = discovering(&trust);
    off.http3.mode = Http3Mode::Off;
    let mut unverified = discovering(&trust);
    unverified.connect.tls.verify = false;
    for config in [off, unverified] {
        let engine = Engine::on_runtime(Handle::current());
        for _ in 0..2 {
            let client = client(&engine, tcp.port(), config.clone());
            for _ in 0..3 {
                assert_eq!(version(&client).await, Version::Http11);
            }
            client.shut_down().await;
        }
    }
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 2048]).is_err(), "nothing was sent");
    tcp.finish().await;
}

#[tokio::test]
async fn an_offer_that_has_expired_is_not_used() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let tcp = offering_once(&trust.leaf, &at(h3.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    let first = client(&engine, tcp.port(), discovering(&trust));
    assert_eq!(version(&first).await, Version::Http11);
    first.shut_down().await;
    pass(Duration::from_secs(601)).await;
    let second = client(&engine, tcp.port(), discovering(&trust));
    for _ in 0..3 {
        assert_eq!(version(&second).await, Version::Http11);
    }
    second.shut_down().await;
    assert_eq!(h3.executed(), []);
    h3.finish().await;
    tcp.finish().await;
}

#[tokio::test]
async fn an_offer_is_withdrawn_over_http3_too() {
    let trust = Trust::new();
    let h3 = QuicPeer::listen(trust.server()).run(|mut peer| async move {
        peer.begin(&[]).await;
        while let Some((mut stream, _)) = peer.next_request().await {
            stream.respond(200, &[("alt-svc", "clear")], "udp").await;
        }
    });
    let tcp = offering_once(&trust.leaf, &at(h3.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    let first = client(&engine, tcp.port(), discovering(&trust));
    within("HTTP/3", until_http3(&first)).await;
    // What is open is kept.
    assert_eq!(version(&first).await, Version::Http3);
    first.shut_down().await;
    let second = client(&engine, tcp.port(), discovering(&trust));
    for _ in 0..3 {
        assert_eq!(version(&second).await, Version::Http11);
    }
    second.shut_down().await;
    assert_eq!(h3.finish().await.connections.len(), 1);
    tcp.finish().await;
}

#[tokio::test]
async fn an_alternative_that_failed_is_tried_again_by_the_same_pool() {
    let trust = Trust::new();
    let stranger = Authority::new("of another").localhost();
    let wrong = H3Origin::start(&ServerTls::http3(&stranger));
    let right = H3Origin::start(&trust.server());
    let relay = UdpRelay::to(wrong.address()).await;
    let tcp = offering(&trust.leaf, &at(relay.port())).await;
    let engine = Engine::on_runtime(Handle::current());
    let client = client(&engine, tcp.port(), discovering(&trust));
    assert_eq!(version(&client).await, Version::Http11);
    within(
        "an attempt",
        relay.wait(|seen| (seen.down > 0).then_some(())),
    )
    .await;
    relay.redirect(right.address());
    for _ in 0..3 {
        assert_eq!(version(&client).await, Version::Http11);
    }
    pass(Duration::from_secs(61)).await;
    within("HTTP/3", until_http3(&client)).await;
    assert_eq!(version(&client).await, Version::Http3);
    client.shut_down().await;
    assert_eq!(wrong.executed(), []);
    wrong.finish().await;
    right.finish().await;
    tcp.finish().await;
}

/// TCP is refused before the alternative is known to be dead: the error is TCP's, and the
/// alternative is left out from then on.
#[tokio::test]
async fn an_alternative_that_fails_after_tcp_is_left_out() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let relay = UdpRelay::to(h3.address()).await;
    let tcp = offering_once(&trust.leaf, &at(relay.port())).await;
    let port = tcp.port();
    let engine = Engine::on_runtime(Handle::current());
    let first = client(&engine, port, discovering(&trust));
    within("HTTP/3", until_http3(&first)).await;
    first.shut_down().await;
    tcp.finish().await;
    h3.finish().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    relay.redirect(silent.local_addr().unwrap());
    let mut config = discovering(&trust);
    config.connect.timeout = Some(Duration::from_secs(1));
    for _ in 0..3 {
        let client = client(&engine, port, config.clone());
        let error = within("error", client.send(get("/bytes/3")).error()).await;
        assert_eq!(code(&error), "ECONNREFUSED");
        client.shut_down().await;
    }
    // Each attempt has a socket of its own, and so has what the relay sends for it.
    let received = std::iter::from_fn(|| silent.recv_from(&mut [0; 2048]).ok());
    let attempts: HashSet<_> = received.map(|(_, from)| from).collect();
    assert_eq!(attempts.len(), 1);
}
