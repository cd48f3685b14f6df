//! Tests of the scripted peer against plain tokio sockets and rustls.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::*;
use crate::certs::{Authority, Leaf, TlsDemands, Validity};
use crate::watched::within;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    within("read to the end", stream.read_to_end(&mut all))
        .await
        .unwrap();
    all
}

#[tokio::test]
async fn a_script_reads_requests_and_answers_on_tcp() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        assert_eq!(head.method, "POST");
        let body = conn.read_body(&head).await;
        assert_eq!(body.data, b"abcde");
        assert_eq!(body.chunks, [3, 2]);
        assert_eq!(body.trailers, [("T".to_owned(), "1".to_owned())]);
        conn.dribble("HTTP/1.1 200 OK\r\n").await;
        conn.split("content-length: 0\r\n\r\n", 7).await;
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    let request = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
    client.write_all(request).await.unwrap();
    assert_eq!(
        read_all(&mut client).await,
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    );
    drop(client);
    let log = within("join", peer.join()).await;
    assert_eq!(log.connections.len(), 1);
    assert_eq!(log.connections[0].received, request);
    assert_eq!(log.connections[0].sent, 38);
}

#[tokio::test]
async fn replies_go_to_one_request_each_on_a_unix_socket() {
    let peer = ScriptedPeer::unix().replies(vec!["one", "two"]);
    let path = peer.address().path().to_owned();
    let mut client = UnixStream::connect(&path).await.unwrap();
    let mut reply = [0; 3];
    for want in [b"one", b"two"] {
        client.write_all(GET).await.unwrap();
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, want);
    }
    drop(client);
    assert_eq!(within("close", peer.peer_close(0)).await, PeerClose::Fin);
    within("join", peer.join()).await;
    assert!(!path.exists(), "the socket file is removed");
}

#[tokio::test]
async fn reset_reaches_the_client_as_econnreset_after_the_bytes_before_it() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("half").await;
        conn.reset();
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    client.write_all(GET).await.unwrap();
    let mut got = Vec::new();
    let error = within("reset", client.read_to_end(&mut got))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(got, b"half");
    peer.join().await;
}

#[tokio::test]
async fn a_peer_reports_a_reset_by_the_client() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        assert_eq!(conn.closed().await, PeerClose::Reset);
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    client.write_all(GET).await.unwrap();
    client.set_zero_linger().unwrap();
    within(
        "head",
        peer.wait(|log| (log.connections.first()?.received == GET).then_some(())),
    )
    .await;
    drop(client);
    assert_eq!(within("close", peer.peer_close(0)).await, PeerClose::Reset);
    peer.join().await;
}

#[tokio::test]
async fn after_fin_the_script_still_reads() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.fin().await;
        assert_eq!(conn.read_exact(4).await, b"late");
        assert_eq!(conn.closed().await, PeerClose::Fin);
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    assert_eq!(read_all(&mut client).await, b"");
    client.write_all(b"late").await.unwrap();
    drop(client);
    within("join", peer.join()).await;
}

#[tokio::test]
#[should_panic(expected = "a script failed: connection 0: this script is wrong")]
async fn a_panicking_script_fails_the_test_at_finish() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        panic!("this script is wrong");
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    client.write_all(GET).await.unwrap();
    read_all(&mut client).await;
    peer.finish().await;
}

#[tokio::test]
#[should_panic(expected = "a script failed: connection 0: expected a request head")]
async fn a_panicking_script_fails_the_test_at_drop() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
    });
    drop(TcpStream::connect(peer.address().tcp()).await.unwrap());
    peer.log
        .wait(|log| (!log.failures.is_empty()).then_some(()))
        .await;
    drop(peer);
}

#[tokio::test]
#[should_panic(expected = "a script failed: connection 0: Fin inside a head: GET /")]
async fn waiting_for_what_a_failed_script_will_not_do_fails_the_test() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
    });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    client.write_all(b"GET /").await.unwrap();
    drop(client);
    within("two connections", peer.connections(2)).await;
}

#[tokio::test]
async fn finish_cancels_a_stalled_script() {
    let peer = ScriptedPeer::tcp()
        .await
        .run(|mut conn| async move { conn.stall().await });
    let mut client = TcpStream::connect(peer.address().tcp()).await.unwrap();
    peer.connections(1).await;
    within("finish", peer.finish()).await;
    assert_eq!(read_all(&mut client).await, b"");
}

fn client_config(authority: &Authority, identity: Option<&Leaf>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(leaf) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
    })
}

async fn exchange(config: &Arc<ClientConfig>, peer: &ScriptedPeer) -> io::Result<Vec<u8>> {
    let socket = TcpStream::connect(peer.address().tcp()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::clone(config))
        .connect(name, socket)
        .await?;
    stream.write_all(GET).await?;
    let mut all = Vec::new();
    within("tls exchange", stream.read_to_end(&mut all)).await?;
    Ok(all)
}

async fn tls_peer(tls: ServerTls) -> ScriptedPeer {
    ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|mut conn| async move {
            conn.read_head().await;
            conn.send("secret").await;
        })
}

#[tokio::test]
async fn full_and_resumed_handshakes_are_told_apart() {
    let authority = Authority::new("test");
    let peer = tls_peer(ServerTls::new(&authority.localhost())).await;
    let config = client_config(&authority, None);
    assert_eq!(exchange(&config, &peer).await.unwrap(), b"secret");
    assert_eq!(exchange(&config, &peer).await.unwrap(), b"secret");
    let other = client_config(&authority, None);
    assert_eq!(exchange(&other, &peer).await.unwrap(), b"secret");
    let log = within("finish", peer.finish()).await;
    assert_eq!((log.full_handshakes(), log.resumed_handshakes()), (2, 1));
    let facts = log.connections[0].tls.clone().unwrap();
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
    assert!(!facts.tls12 && !facts.client_cert);
}

#[tokio::test]
async fn a_server_without_resumption_never_resumes() {
    let authority = Authority::new("test");
    let demands = TlsDemands {
        no_resumption: true,
        ..TlsDemands::default()
    };
    let peer = tls_peer(ServerTls::with(&authority.localhost(), &demands)).await;
    let config = client_config(&authority, None);
    for _ in 0..2 {
        assert_eq!(exchange(&config, &peer).await.unwrap(), b"secret");
    }
    assert_eq!(peer.finish().await.full_handshakes(), 2);
}

#[tokio::test]
async fn tls12_only_and_client_certificates_are_enforced() {
    let authority = Authority::new("test");
    let peer = tls_peer(ServerTls::tls12_only(&authority.localhost())).await;
    exchange(&client_config(&authority, None), &peer)
        .await
        .unwrap();
    assert!(
        peer.finish().await.connections[0]
            .tls
            .clone()
            .unwrap()
            .tls12
    );

    let clients = Authority::new("clients");
    let peer = tls_peer(ServerTls::client_required(&authority.localhost(), &clients)).await;
    exchange(&client_config(&authority, None), &peer)
        .await
        .unwrap_err();
    within(
        "refusal",
        peer.wait(|log| log.connections[0].handshake_error.clone()),
    )
    .await;
    let known = client_config(&authority, Some(&clients.client("alice")));
    assert_eq!(exchange(&known, &peer).await.unwrap(), b"secret");
    let stranger = client_config(&authority, Some(&authority.client("mallory")));
    exchange(&stranger, &peer).await.unwrap_err();
    let log = peer.finish().await;
    assert!(log.connections[1].tls.clone().unwrap().client_cert);
    assert_eq!(log.full_handshakes(), 1);
}

#[tokio::test]
async fn bad_certificates_are_refused_for_the_reason_they_are_bad() {
    use rustls::CertificateError as Bad;
    let authority = Authority::new("test");
    let cases = [
        (
            authority.server_valid(&["localhost"], Validity::Expired),
            "expired",
        ),
        (
            authority.server_valid(&["localhost"], Validity::NotYet),
            "not valid yet",
        ),
        (authority.server(&["other.example"]), "not valid for name"),
        (Leaf::self_signed(&["localhost"]), "UnknownIssuer"),
        (Authority::new("foreign").localhost(), "UnknownIssuer"),
    ];
    for (leaf, reason) in cases {
        let peer = tls_peer(ServerTls::new(&leaf)).await;
        let error = exchange(&client_config(&authority, None), &peer)
            .await
            .unwrap_err();
        let error = error
            .into_inner()
            .unwrap()
            .downcast::<rustls::Error>()
            .unwrap();
        let rustls::Error::InvalidCertificate(bad) = *error else {
            panic!("{reason}: {error}")
        };
        let matches = match reason {
            "expired" => matches!(bad, Bad::Expired | Bad::ExpiredContext { .. }),
            "not valid yet" => matches!(bad, Bad::NotValidYet | Bad::NotValidYetContext { .. }),
            "not valid for name" => {
                matches!(
                    bad,
                    Bad::NotValidForName | Bad::NotValidForNameContext { .. }
                )
            }
            _ => matches!(bad, Bad::UnknownIssuer),
        };
        assert!(matches, "{reason}: {bad:?}");
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_bare_fin_on_tls_is_seen_as_truncation() {
    let authority = Authority::new("test");
    let tls = ServerTls::new(&authority.localhost());
    let peer = ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|mut conn| async move {
            conn.read_head().await;
            conn.send("half").await;
            conn.fin_without_notify().await;
            conn.closed().await;
        });
    let error = exchange(&client_config(&authority, None), &peer)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    peer.finish().await;
}
