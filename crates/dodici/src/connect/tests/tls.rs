//! Handshakes: versions, ALPN, SNI, resumption, failures of the peer.

use dodici_pool::{ErrorKind, Phase, Protocol, RootSource, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{
    Cert, Server, ServerSetup, authority, code, config, connect, connector, detail, issued, params,
    self_signed, try_connector,
};
use crate::connect::{Connector, Probe};

fn cert() -> Cert {
    self_signed(params("localhost", &["localhost"]))
}

/// Connects, takes the tickets in and returns whether the session was resumed.
async fn resumed(connector: &Connector, server: &mut Server) -> bool {
    let (mut transport, info) = connect(connector).await;
    let mut peer = server.next().await.unwrap();
    peer.write_all(b"x").await.unwrap();
    peer.flush().await.unwrap();
    assert_eq!(transport.read_u8().await.unwrap(), b'x');
    info.tls.unwrap().resumed
}

#[tokio::test]
async fn a_handshake_reports_what_was_negotiated() {
    let cert = cert();
    let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
    let (mut transport, info) = connect(&connector(server.addr, config(&[&cert]))).await;
    assert_eq!(info.protocol, Protocol::Http1);
    assert!(info.timings.tls.is_some());
    let tls = info.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
    assert_eq!(tls.server_name.as_deref(), Some("localhost"));
    assert_eq!(tls.alpn, None);
    assert!(!tls.resumed);
    let mut peer = server.next().await.unwrap();
    assert_eq!(peer.get_ref().1.server_name(), Some("localhost"));
    let parts = [std::io::IoSlice::new(b"hel"), std::io::IoSlice::new(b"lo")];
    assert_eq!(transport.write_vectored(&parts).await.unwrap(), 5);
    transport.flush().await.unwrap();
    let mut received = [0; 5];
    peer.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello");
}

#[test]
fn connectors_are_shared_and_transports_move_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn moved<T: Send + Unpin + 'static>() {}
    fn future<F: Future + Send>(_: F) {}
    shared::<Connector>();
    moved::<crate::connect::Transport>();
    let connector = connector("127.0.0.1:1".parse().unwrap(), config(&[&cert()]));
    future(connector.connect());
}

#[tokio::test]
async fn tls_runs_over_a_unix_socket_too() {
    let dir = std::env::temp_dir().join(format!("dodici-connect-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("socket");
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let cert = cert();
    let server = std::sync::Arc::new(ServerSetup::new(&cert, &[]).build());
    let mut over_unix = config(&[&cert]);
    over_unix.socket_path = Some(path);
    let connector = connector("127.0.0.1:1".parse().unwrap(), over_unix);
    let accept = async {
        let (peer, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(server).accept(peer).await
    };
    let (connected, accepted) = tokio::join!(connect(&connector), accept);
    let ((mut transport, info), mut peer) = (connected, accepted.unwrap());
    assert!(info.tls.is_some() && info.remote.is_none());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(transport.probe(&mut cx), Probe::Clean));
    peer.write_all(b"x").await.unwrap();
    peer.flush().await.unwrap();
    assert_eq!(transport.read_u8().await.unwrap(), b'x');
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn alpn_is_offered_and_the_choice_reported() {
    let cert = cert();
    let mut setup = ServerSetup::new(&cert, &[]);
    setup.alpn = vec![b"h2".to_vec()];
    let server = Server::start(setup).await;
    let mut both = config(&[&cert]);
    both.tls.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (_, info) = connect(&connector(server.addr, both)).await;
    assert_eq!(info.protocol, Protocol::Http2);
    assert_eq!(info.tls.unwrap().alpn.as_deref(), Some("h2"));

    let error = connector(server.addr, config(&[&cert]))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
}

#[tokio::test]
async fn version_limits_are_kept() {
    let cert = cert();
    let server = Server::start(ServerSetup::new(&cert, &[])).await;
    let mut old = config(&[&cert]);
    old.tls.max_version = TlsVersion::Tls12;
    let (_, info) = connect(&connector(server.addr, old.clone())).await;
    let tls = info.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.2");
    assert!(tls.cipher.starts_with("TLS_ECDHE_"), "{}", tls.cipher);

    let mut setup = ServerSetup::new(&cert, &[]);
    setup.versions = vec![&rustls::version::TLS13];
    let newer = Server::start(setup).await;
    let error = connector(newer.addr, old).connect().await.unwrap_err();
    assert_eq!(code(&error), "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    assert_eq!(
        error.message(),
        "error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70"
    );
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_eq!(error.phase(), Phase::TlsHello);
}

#[tokio::test]
async fn a_minimum_above_the_maximum_is_rejected_immediately() {
    let mut wrong = config(&[&cert()]);
    wrong.tls.min_version = TlsVersion::Tls13;
    wrong.tls.max_version = TlsVersion::Tls12;
    let error = try_connector("127.0.0.1:1".parse().unwrap(), wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.message(),
        "invalid connect.minVersion: it is newer than maxVersion"
    );
}

#[tokio::test]
async fn e11_a_server_name_that_sni_cannot_carry_is_not_sent_and_verification_decides() {
    for name in ["local\0host", "a b", "..", "a/b", "%2Frun%2Fa.sock"] {
        let cert = cert();
        let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
        let mut wrong = config(&[&cert]);
        wrong.tls.server_name = Some(name.into());
        let error = connector(server.addr, wrong.clone())
            .connect()
            .await
            .unwrap_err();
        assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID", "{name:?}");
        assert!(!error.message().contains('\0'));
        drop(server.next().await);
        wrong.tls.verify = false;
        connect(&connector(server.addr, wrong)).await;
        let accepted = server.next().await.unwrap();
        assert_eq!(accepted.get_ref().1.server_name(), None, "{name:?}");
    }
}

#[tokio::test]
async fn s09_sessions_are_resumed_within_a_connector_and_never_across() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let cert = cert();
        let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
        let mut wanted = config(&[&cert]);
        wanted.tls.max_version = version;
        let first = connector(server.addr, wanted.clone());
        assert!(!resumed(&first, &mut server).await);
        assert!(resumed(&first, &mut server).await);
        let second = connector(server.addr, wanted);
        assert!(!resumed(&second, &mut server).await);
        assert!(resumed(&first, &mut server).await);
    }
}

#[tokio::test]
async fn no_cached_sessions_means_no_resumption() {
    let cert = cert();
    let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
    let mut none = config(&[&cert]);
    none.tls.max_cached_sessions = 0;
    let connector = connector(server.addr, none);
    assert!(!resumed(&connector, &mut server).await);
    assert!(!resumed(&connector, &mut server).await);
}

#[tokio::test]
async fn s10_a_ticket_of_an_unverified_connection_does_not_help_a_verified_one() {
    let bad = cert();
    let mut server = Server::start(ServerSetup::new(&bad, &[])).await;
    let mut lax = config(&[]);
    lax.tls.roots = RootSource::Default;
    lax.tls.verify = false;
    let mut strict = lax.clone();
    strict.tls.verify = true;
    let lax = connector(server.addr, lax);
    resumed(&lax, &mut server).await;
    assert!(resumed(&lax, &mut server).await);
    let error = connector(server.addr, strict).connect().await.unwrap_err();
    assert_eq!(code(&error), "DEPTH_ZERO_SELF_SIGNED_CERT");
    assert!(server.next().await.is_err());
}

#[tokio::test]
async fn s10_a_ticket_of_an_authenticated_connection_does_not_help_an_anonymous_one() {
    let (cert, clients) = (cert(), authority("clients"));
    let client = issued(&clients, params("client", &[]));
    let mut setup = ServerSetup::new(&cert, &[]);
    setup.client_roots = Some(clients.der.clone());
    let mut server = Server::start(setup).await;
    let mut known = config(&[&cert]);
    known.tls.identities = vec![dodici_pool::Identity::new(
        client.pem_bytes(),
        client.key.serialize_pem(),
    )];
    let known = connector(server.addr, known);
    resumed(&known, &mut server).await;
    assert!(resumed(&known, &mut server).await);

    let anonymous = connector(server.addr, config(&[&cert]));
    // In TLS 1.3 the client learns of the refusal with its first read.
    let (mut transport, info) = connect(&anonymous).await;
    assert!(!info.tls.unwrap().resumed);
    assert!(server.next().await.is_err());
    let error = transport.read_u8().await.unwrap_err();
    let (_, detail) = crate::connect::describe_io_error(&error, "read");
    assert_eq!(detail.code, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(transport.probe(&mut cx), Probe::Closed(_)));
}

/// A server that reads the beginning of the ClientHello, answers with these bytes and closes.
async fn raw_server(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        peer.read_exact(&mut hello).await.unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        peer.read_exact(&mut rest).await.unwrap();
        peer.write_all(answer).await.unwrap();
    });
    addr
}

#[tokio::test]
async fn a_plain_text_answer_is_a_wrong_version_number() {
    let addr = raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = connector(addr, config(&[&cert()]))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_eq!(code(&error), "ERR_SSL_WRONG_VERSION_NUMBER");
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .is::<rustls::Error>()
    );
}

#[tokio::test]
async fn an_end_during_the_handshake_reads_as_in_node() {
    let addr = raw_server(b"").await;
    let error = connector(addr, config(&[&cert()]))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "Client network socket disconnected before secure TLS connection was established"
    );
    assert_eq!(detail(&error).code, "ECONNRESET");
    assert_eq!(error.phase(), Phase::TlsHandshake);
}

#[tokio::test]
async fn an_alert_carries_openssls_name() {
    // Record type 21, TLS 1.2, two bytes: fatal, handshake_failure.
    let addr = raw_server(&[21, 3, 3, 0, 2, 2, 40]).await;
    let error = connector(addr, config(&[&cert()]))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE");
}
