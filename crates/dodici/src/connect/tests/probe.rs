//! `Transport::probe`: what the kernel holds, seen without the event loop.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::task::{Context, Waker};

use dodici_pool::ConnectConfig;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{
    Cert, Server, ServerSetup, config, connect, connector, params, plain, self_signed,
};
use crate::connect::{Connector, Probe, Transport};

fn probe(transport: &mut Transport) -> Probe {
    transport.probe(&mut Context::from_waker(Waker::noop()))
}

/// Probes until there is something to see, without ever giving way to the event loop. Gives up
/// after so many looks that the kernel must have delivered what was sent.
fn seen(transport: &mut Transport) -> Probe {
    for _ in 0..2_000_000 {
        match probe(transport) {
            Probe::Clean => std::thread::yield_now(),
            other => return other,
        }
    }
    panic!("nothing to see");
}

/// A plain connection and its blocking peer.
async fn plain_pair() -> (Transport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connector = plain(listener.local_addr().unwrap(), ConnectConfig::default());
    let (transport, _) = connect(&connector).await;
    (transport, listener.accept().unwrap().0)
}

#[tokio::test]
async fn an_idle_plain_connection_is_clean() {
    let (mut transport, _peer) = plain_pair().await;
    assert!(matches!(probe(&mut transport), Probe::Clean));
}

#[tokio::test]
async fn an_unsolicited_byte_is_detected_and_not_consumed() {
    let (mut transport, mut peer) = plain_pair().await;
    peer.write_all(b"x").unwrap();
    assert!(matches!(seen(&mut transport), Probe::Data));
    assert_eq!(transport.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_fin_is_seen() {
    let (mut transport, peer) = plain_pair().await;
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(seen(&mut transport), Probe::Closed(None)));
}

#[tokio::test]
async fn a_reset_is_seen() {
    let (mut transport, peer) = plain_pair().await;
    SockRef::from(&peer)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(peer);
    let Probe::Closed(Some(error)) = seen(&mut transport) else {
        panic!("not closed with an error");
    };
    let (message, detail) = crate::connect::describe_io_error(&error, "read");
    assert_eq!(message, "read ECONNRESET");
    assert_eq!(detail.errno, -libc::ECONNRESET);
}

#[tokio::test]
async fn a_probe_does_not_lose_the_wake_up_of_a_later_read() {
    let (mut transport, mut peer) = plain_pair().await;
    assert!(matches!(probe(&mut transport), Probe::Clean));
    let reader = tokio::spawn(async move { transport.read_u8().await.unwrap() });
    tokio::task::yield_now().await;
    peer.write_all(b"y").unwrap();
    assert_eq!(reader.await.unwrap(), b'y');
}

fn cert() -> Cert {
    self_signed(params("localhost", &["localhost"]))
}

/// A TLS server, a connector that trusts it, one connection and its peer.
async fn tls_pair() -> (
    Server,
    Connector,
    Transport,
    tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
) {
    let cert = cert();
    let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
    let connector = connector(server.addr, config(&[&cert]));
    let (transport, _) = connect(&connector).await;
    // The server has accepted: its tickets are on the way.
    let peer = server.next().await.unwrap();
    (server, connector, transport, peer)
}

#[tokio::test]
async fn tickets_leave_a_tls_connection_clean_and_are_kept() {
    let (_server, connector, mut transport, _peer) = tls_pair().await;
    assert!(matches!(probe(&mut transport), Probe::Clean));
    // No read ever happened, so only the probe can have taken the ticket in.
    let (_, info) = connect(&connector).await;
    assert!(info.tls.unwrap().resumed);
}

#[tokio::test]
async fn unsolicited_application_data_is_seen_and_stays_readable() {
    let (_server, _connector, mut transport, mut peer) = tls_pair().await;
    let sent = vec![b'z'; 40_000];
    let writer = tokio::spawn(async move {
        peer.write_all(&sent).await.unwrap();
        peer.flush().await.unwrap();
        peer
    });
    let _peer = writer.await.unwrap();
    assert!(matches!(seen(&mut transport), Probe::Data));
    assert!(matches!(probe(&mut transport), Probe::Data));
    let mut received = vec![0; 40_000];
    transport.read_exact(&mut received).await.unwrap();
    assert!(received.iter().all(|byte| *byte == b'z'));
    assert!(matches!(probe(&mut transport), Probe::Clean));
}

#[tokio::test]
async fn a_close_notify_is_seen() {
    let (_server, _connector, mut transport, mut peer) = tls_pair().await;
    // The alert alone: the socket stays open.
    peer.get_mut().1.send_close_notify();
    peer.flush().await.unwrap();
    assert!(matches!(seen(&mut transport), Probe::Closed(None)));
}

#[tokio::test]
async fn an_end_without_close_notify_is_seen() {
    let (_server, _connector, mut transport, peer) = tls_pair().await;
    drop(peer);
    assert!(matches!(seen(&mut transport), Probe::Closed(None)));
}

#[tokio::test]
async fn a_reset_under_tls_is_seen() {
    let (_server, _connector, mut transport, peer) = tls_pair().await;
    SockRef::from(peer.get_ref().0)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(peer);
    assert!(matches!(seen(&mut transport), Probe::Closed(Some(_))));
}

#[tokio::test]
async fn bytes_that_are_no_tls_close_the_connection() {
    let (_server, _connector, mut transport, mut peer) = tls_pair().await;
    peer.get_mut()
        .0
        .write_all(b"HTTP/1.1 200 OK\r\n")
        .await
        .unwrap();
    let Probe::Closed(Some(error)) = seen(&mut transport) else {
        panic!("not closed with an error");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_key_update_leaves_the_connection_clean_and_usable() {
    let (_server, _connector, mut transport, mut peer) = tls_pair().await;
    peer.get_mut().1.refresh_traffic_keys().unwrap();
    peer.flush().await.unwrap();
    assert!(matches!(probe(&mut transport), Probe::Clean));
    transport.write_all(b"ping").await.unwrap();
    transport.flush().await.unwrap();
    let mut received = [0; 4];
    peer.read_exact(&mut received).await.unwrap();
    peer.write_all(b"pong").await.unwrap();
    peer.flush().await.unwrap();
    transport.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");
}
