//! Whether the peer is alive.

use std::time::Duration;

use dodici::{CloseReason, ErrorKind, Event};
use dodici_testkit::{Client, H3Origin, UdpRelay, within};

use crate::support::Trust;

const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_peer_that_lives_answers_pings() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let mut config = trust.single();
    config.http3.ping_interval = Some(SOON);
    // Longer than the test takes: an answer is noticed when it arrives.
    config.http3.ping_timeout = Duration::from_secs(600);
    let client = Client::tls(origin.port(), config);
    let call = client.get("/hold");
    for n in 1..4 {
        let pong = |event: &Event| matches!(event, Event::Pong { .. });
        within("a pong", client.events.wait_nth(n, pong)).await;
    }
    origin.open_gate();
    within("response", call.ended()).await;
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_given_up() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let relay = UdpRelay::to(origin.address()).await;
    let mut config = trust.single();
    config.http3.ping_interval = Some(SOON);
    // Long enough for an answer from a loaded machine, as long as there is a way.
    config.http3.ping_timeout = Duration::from_secs(3);
    config.http3.idle_timeout = None;
    let client = Client::tls(relay.port(), config);
    let call = client.get("/hold");
    origin.wait_executed(1).await;
    relay.sever();
    let error = within("the end", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    client.disconnected(1).await;
    assert_eq!(client.reasons(), [CloseReason::Timeout]);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn a_client_whose_address_changes_on_the_way_keeps_its_connection() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let relay = UdpRelay::to(origin.address()).await;
    let client = Client::tls(relay.port(), trust.single());
    let call = client.get("/hold");
    origin.wait_executed(1).await;
    relay.rebind();
    let seen = within("response", client.get("/bytes/9").ended()).await;
    assert_eq!(seen.body.len(), 9);
    origin.open_gate();
    let seen = within("the held one", call.ended()).await;
    assert_eq!(seen.body, b"held");
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    origin.finish().await;
}
