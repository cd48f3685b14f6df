//! QUIC below HTTP/3: Retry, Version Negotiation, resets, silence, loss, other addresses.

use std::time::Duration;

use dodici::{CloseReason, ErrorKind};
use dodici_testkit::h3::quic::Greeting;
use dodici_testkit::h3::relay::{Fate, Way, version_negotiation};
use dodici_testkit::{Client, H3Origin, Signal, UdpRelay, Watched, within};

use crate::support::{Standstill, client, config, listen, single, tls};

#[tokio::test]
async fn an_attempt_that_is_answered_with_retry_is_made_again() {
    let peer = listen()
        .greet(|attempt| match attempt {
            0 => Greeting::Retry,
            _ => Greeting::Accept,
        })
        .always("ok");
    let client = client(peer.port(), config());
    let seen = within("answer", client.get("/").ended()).await;
    assert_eq!(seen.body, b"ok");
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    assert_eq!(peer.finish().await.attempts, 2);
}

#[tokio::test]
async fn a_server_that_refuses_connections_fails_the_request() {
    let peer = listen().greet(|_| Greeting::Refuse).always("ok");
    let client = client(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert!(!error.message().is_empty());
    assert_eq!(client.events.connects(), 0);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_server_that_is_silent_fails_the_request_with_the_connect_timeout() {
    let peer = listen().greet(|_| Greeting::Ignore).always("ok");
    let mut config = config();
    config.connect.timeout = Some(Duration::from_millis(100));
    let client = client(peer.port(), config);
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout, "{error:?}");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_the_request() {
    let mut config = config();
    // Where the system does not tell.
    config.connect.timeout = Some(Duration::from_secs(5));
    // Reserved, and served by nobody.
    let client = client(1, config);
    let error = within("error", client.get("/").error()).await;
    let kinds = [ErrorKind::Connect, ErrorKind::ConnectTimeout];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    client.shut_down().await;
}

/// The system says so when the first datagram is sent.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_where_nobody_listens_is_noticed_before_any_timer() {
    let standstill = Standstill::begin();
    let begun = tokio::time::Instant::now();
    // Reserved, and served by nobody.
    let client = client(1, config());
    let error = client.get("/").error().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    standstill.end().await;
    client.shut_down().await;
}

#[tokio::test]
async fn a_server_of_other_versions_fails_the_request() {
    let peer = listen().versions(&[0x0a0a_0a0a]).always("ok");
    let client = client(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert!(error.message().contains("version"), "{error}");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn version_negotiation_after_the_first_answer_is_ignored() {
    let peer = listen().always("ok");
    let relay = UdpRelay::to(peer.address()).await;
    let answered = Watched::<bool>::default();
    relay.decide(move |datagram| match datagram.way {
        Way::Down => {
            answered.update(|answered| *answered = true);
            Fate::Pass
        }
        Way::Up if answered.read(|answered| *answered) => {
            let forged = version_negotiation(datagram.bytes, &[0x1a2a_3a4a]);
            forged.map_or(Fate::Pass, Fate::PassAndAnswer)
        }
        Way::Up => Fate::Pass,
    });
    let client = client(relay.port(), config());
    let seen = within("answer", client.get("/").ended()).await;
    assert_eq!(seen.body, b"ok");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_connection_that_the_server_has_forgotten_is_replaced() {
    let peer = listen().always("one");
    let other = listen().always("two");
    let relay = UdpRelay::to(peer.address()).await;
    let client = client(relay.port(), single());
    let seen = within("one", client.get("/").ended()).await;
    assert_eq!(seen.body, b"one");
    relay.redirect(other.address());
    // The first may fail with the connection that is reset; then there is a new one.
    let first = within("settled", client.post("/", "id", "x").settled()).await;
    if let Ok(body) = crate::support::outcome(&first) {
        assert_eq!(body, b"two");
    } else {
        assert_eq!(first.body, b"");
    }
    let seen = within("two", client.get("/").ended()).await;
    assert_eq!(seen.body, b"two");
    assert_eq!(client.events.connects(), 2);
    client.shut_down().await;
    peer.finish().await;
    other.finish().await;
}

#[tokio::test]
async fn an_idle_connection_that_the_server_lets_expire_is_replaced() {
    let peer = listen()
        .transport(|transport| {
            let short = Duration::from_secs(1).try_into().unwrap();
            transport.max_idle_timeout(Some(short));
        })
        .always("ok");
    let client = client(peer.port(), single());
    for count in 1..=2 {
        let seen = within("answer", client.get("/").ended()).await;
        assert_eq!(seen.body, b"ok");
        within("its end", client.disconnected(count)).await;
    }
    assert_eq!(client.events.connects(), 2);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn requests_on_a_connection_that_falls_silent_fail_with_its_idle_timeout() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        while let Some((mut stream, request)) = peer.next_request().await {
            if request.path() != "/never" {
                stream.respond(200, &[], "ok").await;
            }
        }
    });
    let relay = UdpRelay::to(peer.address()).await;
    let mut config = single();
    config.http3.idle_timeout = Some(Duration::from_secs(2));
    config.http3.ping_interval = None;
    let client = client(relay.port(), config);
    within("answer", client.get("/").ended()).await;
    let calls = [client.get("/never"), client.post("/never", "id", "x")];
    let asked = peer.wait(|log| (log.connections[0].requests >= 3).then_some(()));
    within("requests", asked).await;
    relay.sever();
    for call in &calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Socket, "{error:?}");
    }
    within("disconnect", client.disconnected(1)).await;
    relay.mend();
    within("next", client.get("/").ended()).await;
    assert_eq!(client.events.connects(), 2);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_connection_with_a_request_sends_pings() {
    let answer = Signal::new();
    let asked = answer.clone();
    let peer = listen().run(move |mut peer| {
        let asked = asked.clone();
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            asked.raised().await;
            stream.respond(200, &[], "late").await;
        }
    });
    let relay = UdpRelay::to(peer.address()).await;
    let mut config = single();
    config.http3.ping_interval = Some(Duration::from_millis(20));
    let client = client(relay.port(), config);
    let call = client.get("/");
    let asked = peer.wait(|log| (log.connections.first()?.requests == 1).then_some(()));
    within("the request", asked).await;
    // Nothing else is to be sent.
    let before = relay.arrived().up;
    let pings = relay.wait(|arrived| (arrived.up > before + 20).then_some(()));
    within("pings", pings).await;
    answer.raise();
    let seen = within("answer", call.ended()).await;
    assert_eq!(seen.body, b"late");
    client.shut_down().await;
    peer.finish().await;
}

/// A large body each way, through this relay.
async fn both_ways(client: &Client) {
    const SIZE: usize = 2 << 20;
    let down = client.get(&format!("/bytes/{SIZE}"));
    let body = "x".repeat(SIZE);
    let up = client.post("/digest", "id", &body);
    let seen = within("download", down.ended()).await;
    assert_eq!(seen.body, dodici_testkit::message::pattern(SIZE));
    let seen = within("upload", up.ended()).await;
    let sum = dodici_testkit::message::checksum(body.as_bytes());
    assert_eq!(seen.body, format!("{SIZE} {sum:016x} 0").as_bytes());
}

#[tokio::test]
async fn another_address_of_the_client_does_not_end_its_connection() {
    let origin = H3Origin::start(&tls());
    let relay = UdpRelay::to(origin.address()).await;
    let client = client(relay.port(), single());
    both_ways(&client).await;
    relay.rebind();
    both_ways(&client).await;
    let rebinding = async {
        loop {
            let passed = relay.arrived().up;
            let more = relay.wait(|arrived| (arrived.up > passed + 100).then_some(()));
            more.await;
            relay.rebind();
        }
    };
    tokio::select! {
        () = both_ways(&client) => {}
        () = rebinding => {}
    }
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn lost_repeated_and_damaged_datagrams_lose_no_byte() {
    let origin = H3Origin::start(&tls());
    let relay = UdpRelay::to(origin.address()).await;
    relay.decide(|datagram| match datagram.index % 50 {
        7 | 31 => Fate::Lose,
        13 => Fate::Repeat,
        23 => {
            let mut bytes = datagram.bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            Fate::Replace(bytes)
        }
        29 => Fate::PassAndAnswer(vec![0x40; 50]),
        41 => Fate::PassAndAnswer(vec![0xff; 1200]),
        43 => Fate::PassAndAnswer(Vec::new()),
        _ => Fate::Pass,
    });
    let client = client(relay.port(), single());
    both_ways(&client).await;
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn closing_the_pool_says_so_to_the_server() {
    let peer = listen().always("ok");
    let client = client(peer.port(), single());
    within("answer", client.get("/").ended()).await;
    client.pool.close();
    within("closed", client.events.closed()).await;
    let end = within("end", peer.end(0)).await;
    let expected = dodici_testkit::h3::log::End::Http(dodici_testkit::h3::code::NO_ERROR);
    assert_eq!(end, expected);
    let reasons = client.reasons();
    assert!(!reasons.contains(&CloseReason::Timeout), "{reasons:?}");
    peer.finish().await;
}
