use std::sync::Arc;

use bytes::{Buf, Bytes};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::conn::H3Peer;
use super::log::End;
use super::origin::H3Origin;
use super::quic::{Greeting, QuicPeer};
use super::relay::{Fate, UdpRelay, Way, version_negotiation};
use super::*;
use crate::certs::{Authority, ServerTls};
use crate::message::{checksum, pattern};
use crate::watched::within;

type Requests = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// An authority, a server's configuration and a client that trusts it.
fn parties() -> (ServerTls, Endpoint) {
    let authority = Authority::new("test");
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut client = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    client.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    (ServerTls::http3(&authority.localhost()), client)
}

async fn connect(client: &Endpoint, port: u16) -> Result<quinn::Connection, ConnectionError> {
    let address = ([127, 0, 0, 1], port).into();
    let connecting = client.connect(address, "localhost").unwrap();
    within("handshake", connecting).await
}

async fn open(client: &Endpoint, port: u16) -> (quinn::Connection, Requests) {
    let quic = connect(client, port).await.unwrap();
    let connection = h3_quinn::Connection::new(quic.clone());
    let (mut driver, requests) = h3::client::new(connection).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    (quic, requests)
}

/// What a server answered: informational statuses, status, body, trailers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

async fn exchange(requests: &mut Requests, method: &str, path: &str, body: &[u8]) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("x-request-id", "7")
        .body(());
    let mut stream = requests.send_request(request.unwrap()).await.unwrap();
    if !body.is_empty() {
        stream
            .send_data(Bytes::copy_from_slice(body))
            .await
            .unwrap();
    }
    stream.finish().await.unwrap();
    let mut head = within("head", stream.recv_response()).await.unwrap();
    while head.status().is_informational() {
        head = within("head", stream.recv_response()).await.unwrap();
    }
    let mut answer = Answer {
        status: head.status().as_u16(),
        ..Answer::default()
    };
    while let Some(mut piece) = within("body", stream.recv_data()).await.unwrap() {
        answer.body.extend(piece.copy_to_bytes(piece.remaining()));
    }
    let trailers = stream.recv_trailers().await.unwrap().unwrap_or_default();
    for (name, value) in &trailers {
        let value = value.to_str().unwrap().to_owned();
        answer.trailers.push((name.to_string(), value));
    }
    answer
}

#[test]
fn numbers_are_those_of_the_rfc() {
    // RFC 9000, appendix A.1.
    for (number, bytes) in [
        (37, vec![0x25]),
        (15_293, vec![0x7b, 0xbd]),
        (494_878_333, vec![0x9d, 0x7f, 0x3e, 0x7d]),
        (
            151_288_809_941_952_652,
            vec![0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
        ),
    ] {
        assert_eq!(varint(number), bytes);
        assert_eq!(read_varint(&bytes), Some((number, bytes.len())));
        assert_eq!(read_varint(&bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn field_sections_are_those_of_the_rfc() {
    // RFC 9204, appendix B.1, and RFC 7541, appendices C.4.1 and C.6.1.
    let section = b"\x00\x00\x51\x0b/index.html";
    let path = [(":path".to_owned(), "/index.html".to_owned())];
    assert_eq!(qpack::read_section(section), path);
    let coded = [
        0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    assert_eq!(qpack::decode(&coded), b"www.example.com");
    let coded = [
        0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81,
        0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
    ];
    assert_eq!(qpack::decode(&coded), b"Mon, 21 Oct 2013 20:13:21 GMT");
    let long = "x".repeat(300);
    let mut section = qpack::response_section(200, &[("a-longer-name", &long)]);
    section.extend(qpack::indexed(98));
    section.extend(qpack::named(95, "me"));
    let fields = qpack::read_section(&section);
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let expected = [
        (":status", "200"),
        ("a-longer-name", &long),
        ("x-frame-options", "sameorigin"),
        ("user-agent", "me"),
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_script_sees_the_request_and_the_log_the_client() {
    let (tls, client) = parties();
    let peer = QuicPeer::listen(tls).run(|mut peer| async move {
        peer.begin(&[(setting::MAX_FIELD_SECTION_SIZE, 1000)]).await;
        let (mut stream, request) = peer.next_request().await.unwrap();
        assert_eq!(request.get(":method"), Some("POST"));
        assert_eq!(request.path(), "/x");
        assert_eq!(request.body, b"hello");
        stream.frame(kind::GREASE, b"ignored").await;
        stream.head(103, &[("link", "</a>")]).await;
        stream.head(200, &[]).await;
        stream.data(b"ab").await;
        stream.data(b"c").await;
        stream.trailers(&[("t", "1")]).await;
        stream.finish();
    });
    let (quic, mut requests) = open(&client, peer.port()).await;
    let answer = exchange(&mut requests, "POST", "/x", b"hello").await;
    let expected = Answer {
        status: 200,
        body: b"abc".to_vec(),
        trailers: vec![("t".to_owned(), "1".to_owned())],
    };
    assert_eq!(answer, expected);
    quic.close(0x100_u32.into(), b"");
    assert_eq!(within("end", peer.end(0)).await, End::Http(code::NO_ERROR));
    let log = peer.finish().await;
    let connection = &log.connections[0];
    assert_eq!(connection.server_name.as_deref(), Some("localhost"));
    assert_eq!(connection.control[0].kind, kind::SETTINGS);
    assert!(connection.stream_kinds.contains(&stream_kind::CONTROL));
    assert_eq!((log.attempts, connection.requests), (1, 1));
}

#[tokio::test]
async fn streams_that_a_script_drops_stay_open() {
    let (tls, client) = parties();
    let peer = QuicPeer::listen(tls).run(|mut peer| async move {
        peer.begin(&[]).await;
        drop(peer.next_stream().await);
        let (mut stream, _) = peer.next_request().await.unwrap();
        stream.respond(200, &[], "second").await;
        let (mut stream, _) = peer.next_request().await.unwrap();
        stream.refuse(code::REQUEST_REJECTED);
    });
    let (quic, mut requests) = open(&client, peer.port()).await;
    let (mut first_send, mut first) = quic.open_bi().await.unwrap();
    first_send
        .write_all(&frame(kind::GREASE, b"x"))
        .await
        .unwrap();
    let second = exchange(&mut requests, "GET", "/", b"").await;
    assert_eq!(second.body, b"second");
    let (mut send, mut third) = quic.open_bi().await.unwrap();
    let section = qpack::section(&[(":method", "GET")]);
    send.write_all(&frame(kind::HEADERS, section))
        .await
        .unwrap();
    send.finish().unwrap();
    let refused = within("reset", third.read_to_end(100)).await.unwrap_err();
    assert!(refused.to_string().contains("267"), "{refused}");
    // All that the peer sent before has arrived, and nothing was on the first stream.
    let mut byte = [0];
    let read = tokio::time::timeout(std::time::Duration::ZERO, first.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?}");
    peer.finish().await;
}

#[tokio::test]
async fn attempts_are_greeted_as_the_test_says() {
    let (tls, client) = parties();
    let peer = QuicPeer::listen(tls)
        .greet(|attempt| match attempt {
            0 => Greeting::Retry,
            1 => Greeting::Accept,
            _ => Greeting::Refuse,
        })
        .run(|mut peer: H3Peer| async move { peer.begin(&[]).await });
    connect(&client, peer.port()).await.unwrap();
    let refused = connect(&client, peer.port()).await.unwrap_err();
    assert!(
        matches!(refused, ConnectionError::ConnectionClosed(_)),
        "{refused}"
    );
    let log = peer.finish().await;
    assert_eq!((log.attempts, log.connections.len()), (3, 1));
}

#[tokio::test]
async fn versions_are_negotiated_by_a_peer_and_forged_by_a_relay() {
    let (tls, client) = parties();
    let other = QuicPeer::listen(tls.clone())
        .versions(&[0x0a0a_0a0a])
        .always("");
    let failed = connect(&client, other.port()).await.unwrap_err();
    assert_eq!(failed, ConnectionError::VersionMismatch);
    other.finish().await;
    let peer = QuicPeer::listen(tls).always("");
    let relay = UdpRelay::to(peer.address()).await;
    relay.decide(|datagram| match datagram.way {
        Way::Up => {
            version_negotiation(datagram.bytes, &[0x1a2a_3a4a]).map_or(Fate::Lose, Fate::Answer)
        }
        Way::Down => Fate::Pass,
    });
    let failed = connect(&client, relay.port()).await.unwrap_err();
    assert_eq!(failed, ConnectionError::VersionMismatch);
    peer.finish().await;
}

#[tokio::test]
async fn a_relay_changes_addresses_and_servers() {
    let (tls, client) = parties();
    let peer = QuicPeer::listen(tls.clone()).always("one");
    let other = QuicPeer::listen(tls).always("two");
    let relay = UdpRelay::to(peer.address()).await;
    let (quic, mut requests) = open(&client, relay.port()).await;
    assert_eq!(exchange(&mut requests, "GET", "/", b"").await.body, b"one");
    relay.rebind();
    assert_eq!(exchange(&mut requests, "GET", "/", b"").await.body, b"one");
    // The other knows nothing of this connection, and resets it.
    relay.redirect(other.address());
    let stream = quic.open_bi().await.unwrap();
    let end = within("reset", async {
        let mut send = stream.0;
        loop {
            let _ = send.write_all(&[0; 2000]).await;
            if let Some(end) = quic.close_reason() {
                return end;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(end.await, ConnectionError::Reset);
    assert_eq!(other.finish().await.attempts, 0);
    peer.finish().await;
}

#[tokio::test]
async fn the_origin_answers_on_all_its_routes() {
    let (tls, client) = parties();
    let origin = H3Origin::start(&tls);
    let (quic, mut requests) = open(&client, origin.port()).await;
    let mut get = async |path: &str| exchange(&mut requests, "GET", path, b"").await;
    assert_eq!(get("/bytes/100000").await.body, pattern(100_000));
    let unsized_one = get("/unsized/1000/7").await;
    assert_eq!(unsized_one.body, pattern(1000));
    let sum = format!("{:016x}", checksum(&pattern(1000)));
    let trailers = [("x-checksum", &*sum), ("x-part", "1"), ("x-part", "2")];
    let trailers = trailers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(unsized_one.trailers, trailers);
    assert_eq!(get("/early").await.body, b"early");
    assert_eq!(get("/slow/2/1").await.body, b"tick0tick1");
    assert_eq!(get("/status/404").await.status, 404);
    assert_eq!(get("/status/204").await.status, 204);
    assert_eq!(get("/head").await.body, b"x-request-id: 7\n");
    assert_eq!(
        exchange(&mut requests, "HEAD", "/bytes/5", b"").await.body,
        b""
    );
    let digest = exchange(&mut requests, "POST", "/digest", b"foobar").await;
    assert_eq!(digest.body, b"6 85944171f73967e8 0");
    let echo = exchange(&mut requests, "POST", "/echo", b"foobar").await;
    assert_eq!(echo.body, b"foobar");
    let held = exchange(&mut requests, "GET", "/hold", b"");
    let opened = async {
        origin.wait_executed(11).await;
        origin.open_gate();
    };
    assert_eq!(tokio::join!(held, opened).0.body, b"held");
    assert_eq!(origin.executions("7"), 11);
    assert_eq!(origin.executed()[9].body_len, 6);
    quic.close(0x100_u32.into(), b"");
    origin.finish().await;
}
