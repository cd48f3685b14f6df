//! QUIC connections without HTTP: errors of an attempt, and a change of the local address.

use std::task::Poll;

use dodici_pool::{ConnectConfig, ErrorKind, Http3Config, Http3Mode, Origin, RootSource, Scheme};
use dodici_testkit::{Authority, H3Origin, ServerTls, within};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use crate::connect::Connector;
use crate::connect::quic::{Progress, Quic, Udp};

fn connector(port: u16, authority: &Authority) -> Connector {
    let mut config = ConnectConfig::default();
    config.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    let mut http3 = Http3Config::default();
    http3.mode = Http3Mode::PriorKnowledge;
    let origin = Origin::new(Scheme::Https, "localhost", port);
    let connector = Connector::new(origin, config).unwrap();
    connector.with_http3(&http3).unwrap()
}

/// Drives the connection until this is so.
async fn until(quic: &mut Quic, mut is_so: impl FnMut(&mut Quic) -> bool) {
    std::future::poll_fn(|cx| {
        loop {
            match quic.poll(cx) {
                Progress::Event(_) => {}
                Progress::Failed(error) => panic!("{error}"),
                Progress::Nothing if is_so(quic) => return Poll::Ready(()),
                Progress::Nothing => return Poll::Pending,
            }
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_moves_to_another_local_address() {
    let authority = Authority::new("QUIC");
    let origin = H3Origin::start(&ServerTls::http3(&authority.localhost()));
    let connector = connector(origin.port(), &authority);
    let (mut quic, _) = within("the handshake", connector.connect_quic(None))
        .await
        .unwrap();
    // The server has confirmed the handshake, and has issued ids to move with.
    within(
        "confirmation",
        until(&mut quic, |quic| {
            let received = quic.conn.stats().frame_rx;
            received.handshake_done > 0 && received.new_connection_id > 0
        }),
    )
    .await;
    let (_, peer) = quic.addresses();
    let other = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    other.set_nonblocking(true).unwrap();
    let local: std::net::SocketAddr = ([127, 0, 0, 2], 0).into();
    other.bind(&local.into()).unwrap();
    quic.move_to(Udp::new(other, peer).unwrap(), Instant::now());
    // It challenges the new path, and accepts the response: it acknowledges what is sent there.
    within(
        "the move",
        until(&mut quic, |quic| {
            quic.conn.stats().frame_rx.path_challenge > 0
        }),
    )
    .await;
    let acknowledged = quic.conn.stats().frame_rx.acks;
    quic.conn.ping();
    within(
        "an answer",
        until(&mut quic, |quic| {
            quic.conn.stats().frame_rx.acks > acknowledged
        }),
    )
    .await;
    assert_eq!(quic.addresses().0.unwrap().ip(), local.ip());
    drop(quic);
    origin.finish().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_with_nodes_code() {
    let authority = Authority::new("QUIC");
    let origin = H3Origin::start(&ServerTls::http3(&authority.localhost()));
    let connector = connector(origin.port(), &Authority::new("another"));
    let attempt = within("the handshake", connector.connect_quic(None)).await;
    let error = attempt.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Tls);
    let code = &error.system().unwrap().code;
    assert_eq!(code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    origin.finish().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_without_a_server_refuses_at_once() {
    let port = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let mut config = ConnectConfig::default();
    config.family = dodici_pool::Family::V4;
    config.timeout = None;
    let mut http3 = Http3Config::default();
    http3.mode = Http3Mode::PriorKnowledge;
    let origin = Origin::new(Scheme::Https, "127.0.0.1", port);
    let connector = Connector::new(origin, config).unwrap();
    let connector = connector.with_http3(&http3).unwrap();
    let attempt = within("the refusal", connector.connect_quic(None)).await;
    let error = attempt.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.system().unwrap().code, "ECONNREFUSED");
}

#[test]
fn options_that_exclude_http3_are_refused() {
    let mut http3 = Http3Config::default();
    http3.mode = Http3Mode::PriorKnowledge;
    let plain = Connector::new(
        Origin::new(Scheme::Http, "localhost", 80),
        ConnectConfig::default(),
    );
    let error = plain.unwrap().with_http3(&http3).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let mut config = ConnectConfig::default();
    config.tls.max_version = dodici_pool::TlsVersion::Tls12;
    let origin = Origin::new(Scheme::Https, "localhost", 443);
    let old = Connector::new(origin, config).unwrap().with_http3(&http3);
    assert_eq!(old.err().unwrap().kind(), ErrorKind::InvalidRequest);
}
