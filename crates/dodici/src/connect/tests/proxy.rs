//! Ways through HTTP proxies: exact bytes, every fault, TLS to the proxy and within the tunnel.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use dodici_pool::{
    ConnectConfig, Error, ErrorKind, HeaderBlock, Origin, ParseErrorCode, Phase, Proxy,
    ProxyProtocol, Replay, Scheme, TlsConfig,
};
use dodici_testkit::with;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::support::{Cert, ServerSetup, code, config, connect, issued, params, self_signed};
use crate::connect::{Connector, Probe};

const OK: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn tunnel(fields: &[(&str, &str)]) -> ProxyProtocol {
    ProxyProtocol::HttpTunnel {
        headers: fields.iter().copied().collect(),
    }
}

fn proxy_at(addr: SocketAddr, protocol: ProxyProtocol) -> Proxy {
    Proxy::new(protocol, addr.ip().to_string(), addr.port())
}

pub(super) fn through(proxy: Proxy, origin: Origin, mut config: ConnectConfig) -> Connector {
    config.proxy = Some(Box::new(proxy));
    Connector::new(origin, config).unwrap()
}

fn target() -> Origin {
    Origin::new(Scheme::Http, "target.invalid", 8080)
}

pub(super) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Reads a head, and not one byte more.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

/// What comes of a proxy that answers with `answer` and then ends the connection, or waits.
async fn outcome(answer: &[u8], hangs_up: bool) -> Result<(), Error> {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        peer.write_all(answer).await.unwrap();
        if hangs_up {
            peer.shutdown().await.unwrap();
        }
        // Until the client has had enough: nothing but its end may come.
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
    };
    let (connected, ()) = tokio::join!(
        async {
            connector
                .connect()
                .await
                .map(|(transport, _)| drop(transport))
        },
        serve
    );
    connected
}

#[tokio::test]
async fn a_tunnel_is_requested_with_exactly_the_given_fields() {
    let (listener, addr) = listen().await;
    let fields = [
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("X-Odd", "\u{e9}  two"),
    ];
    let connector = through(
        proxy_at(addr, tunnel(&fields)),
        target(),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        let head = read_head(&mut peer).await;
        let answer = "HTTP/1.1 200 Fine\r\nVia: somebody\r\nContent-Length: 5\r\n\r\n";
        peer.write_all(answer.as_bytes()).await.unwrap();
        (peer, head)
    };
    let ((mut transport, info), (mut peer, head)) = tokio::join!(connect(&connector), serve);
    assert_eq!(
        head,
        "CONNECT target.invalid:8080 HTTP/1.1\r\nhost: target.invalid:8080\r\n\
         Proxy-Authorization: Basic c2VjcmV0\r\nX-Odd: \u{e9}  two\r\n\r\n"
    );
    assert_eq!(info.remote, Some(addr));
    assert!(info.tls.is_none());
    let proxy = info.proxy.unwrap();
    assert!(!proxy.time.is_zero() && proxy.time <= info.timings.total);
    let answer = proxy.answer.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("via"), Some(&b"somebody"[..]));
    // The length in an answer to CONNECT means nothing (RFC 9110, section 9.3.6).
    transport.write_all(b"ping").await.unwrap();
    transport.flush().await.unwrap();
    let mut received = [0; 4];
    peer.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"ping");
    peer.write_all(b"pong").await.unwrap();
    transport.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");
}

#[tokio::test]
async fn a_host_field_of_the_caller_and_ipv6_targets_are_written_as_they_are() {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[("Host", "chosen.test")])),
        Origin::new(Scheme::Http, "[2001:db8::1]", 80),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        let head = read_head(&mut peer).await;
        peer.write_all(OK.as_bytes()).await.unwrap();
        head
    };
    let (_, head) = tokio::join!(connect(&connector), serve);
    assert_eq!(
        head,
        "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: chosen.test\r\n\r\n"
    );
}

#[tokio::test]
async fn a_response_may_arrive_byte_by_byte_and_what_follows_it_stays_in_the_tunnel() {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        peer.set_nodelay(true).unwrap();
        read_head(&mut peer).await;
        for byte in OK.bytes() {
            peer.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer.write_all(b"first words").await.unwrap();
        peer
    };
    let ((mut transport, _), _peer) = tokio::join!(connect(&connector), serve);
    let mut words = [0; 11];
    transport.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"first words");
}

/// S18: such a tunnel is not used for HTTP, because the checkout looks before it writes.
#[tokio::test]
async fn s18_bytes_after_the_response_are_detected_by_the_check_of_the_connection() {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        let both = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.write_all(both.as_bytes()).await.unwrap();
        peer
    };
    let ((mut transport, _), _peer) = tokio::join!(connect(&connector), serve);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(transport.probe(&mut cx), Probe::Data));
}

#[tokio::test]
async fn s18_every_status_but_200_is_an_error_that_names_it() {
    for status in [100, 101, 103, 199, 201, 204, 301, 403, 407, 502, 599] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nbody{OK}");
        let error = outcome(answer.as_bytes(), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProxyRefused { status });
        assert_eq!(error.phase(), Phase::Proxy);
        assert_eq!(error.replay(), Replay::Unsent);
        assert_eq!(
            error.message(),
            format!("Proxy response ({status}) !== 200 when HTTP Tunneling")
        );
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_up_anywhere_in_its_response_is_an_error() {
    for end in 0..OK.len() {
        let error = outcome(&OK.as_bytes()[..end], true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProxyConnection, "after {end}");
        let [cause] = error.attempts() else {
            panic!("no cause after {end}");
        };
        assert_eq!(cause.kind(), ErrorKind::Socket);
        assert_eq!(cause.message(), "other side closed");
    }
}

#[tokio::test]
async fn s28_an_endless_proxy_response_is_cut_off() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(64 * 1024));
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let serve = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        let _ = peer.write_all(endless.as_bytes()).await;
    };
    let (connected, ()) = tokio::join!(connector.connect(), serve);
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::HeadersOverflow);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let error = outcome(many.as_bytes(), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HeadersOverflow);
}

#[tokio::test]
async fn empty_lines_before_the_response_are_skipped_within_its_limit() {
    for lines in ["\r\n", "\r\n\r\n"] {
        let answer = format!("{lines}{OK}");
        outcome(answer.as_bytes(), false).await.unwrap();
    }
    let error = outcome(&b"\r\n".repeat(16 * 1024), false).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::HeadersOverflow);
}

#[tokio::test]
async fn what_is_not_a_head_is_rejected_without_waiting_for_more() {
    use ParseErrorCode::{
        CrExpected, InvalidConstant, InvalidHeaderToken, InvalidStatus, LfExpected,
    };
    for (answer, expected) in [
        ("SSH-2.0-x\r\n", InvalidConstant),
        ("\r\n\r\n ", InvalidConstant),
        ("\r\n\n", InvalidConstant),
        ("\rH", LfExpected),
        ("HTTP/2 200\r\n", InvalidConstant),
        ("HTTP/1.1 200 OK\n", CrExpected),
        ("HTTP/1.1 200 OK\r\nA: b\nC", CrExpected),
        ("HTTP/1.1 200 OK\rX", LfExpected),
        ("HTTP/1.1 2x0 OK\r\n\r\n", InvalidStatus),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", InvalidHeaderToken),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", InvalidHeaderToken),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            InvalidHeaderToken,
        ),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", InvalidHeaderToken),
    ] {
        let error = outcome(answer.as_bytes(), false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse(expected), "{answer:?}");
        assert_eq!(error.phase(), Phase::Proxy);
    }
}

#[test]
fn s01_nothing_in_the_request_can_end_a_line() {
    let build = |host: &str, name: &[u8], value: &[u8]| {
        let mut headers = HeaderBlock::new();
        headers.push(name, value);
        let config = with(ConnectConfig::default(), |config| {
            config.proxy = Some(Box::new(Proxy::new(
                ProxyProtocol::HttpTunnel { headers },
                "proxy.test",
                1,
            )))
        });
        Connector::new(Origin::new(Scheme::Http, host, 80), config)
    };
    build("fine.test", b"x-fine", b"fine\t\x80").unwrap();
    for byte in 0..=0xff_u8 {
        let name = [b'x', byte];
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert_eq!(build("a", &name, b"").is_ok(), token, "name {byte:#x}");
        let value = [b'x', byte];
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(build("a", b"x", &value).is_ok(), text, "value {byte:#x}");
        if byte <= b' ' || byte == 0x7f || b"/\\@?#".contains(&byte) {
            let host = format!("a{}b", char::from(byte));
            let error = build(&host, b"x", b"").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }
}

#[test]
fn s21_an_error_about_a_field_does_not_repeat_its_value() {
    let mut headers = HeaderBlock::new();
    headers.push(b"proxy-authorization", b"Basic c2VjcmV0\r\nx: y");
    let config = with(ConnectConfig::default(), |config| {
        config.proxy = Some(Box::new(Proxy::new(
            ProxyProtocol::HttpTunnel { headers },
            "proxy.test",
            1,
        )))
    });
    let error = Connector::new(target(), config).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("proxy-authorization") && !shown.contains("c2Vj"));
}

#[tokio::test]
async fn a_forwarding_proxy_is_only_connected_to() {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, ProxyProtocol::HttpForward),
        target(),
        ConnectConfig::default(),
    );
    let ((mut transport, info), mut peer) = tokio::join!(connect(&connector), accept(&listener));
    assert!(info.proxy.unwrap().answer.is_none());
    transport.write_all(b"GET").await.unwrap();
    transport.flush().await.unwrap();
    let mut received = [0; 3];
    peer.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"GET");

    let origin = Origin::new(Scheme::Https, "target.invalid", 443);
    let config = with(ConnectConfig::default(), |config| {
        config.proxy = Some(Box::new(proxy_at(addr, ProxyProtocol::HttpForward)))
    });
    let error = Connector::new(origin, config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn the_connect_timeout_covers_a_proxy_that_never_answers() {
    let (listener, addr) = listen().await;
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let (connected, _peer) = tokio::join!(connector.connect(), accept(&listener));
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(error.phase(), Phase::Proxy);
    assert_eq!(
        error.message(),
        format!("Connect Timeout Error (attempted address: {addr}, timeout: 10000ms)")
    );
}

#[tokio::test(start_paused = true)]
async fn the_proxys_own_timeout_ends_its_tls_sooner() {
    let (listener, addr) = listen().await;
    let mut proxy = proxy_at(addr, tunnel(&[]));
    proxy.tls = Some(TlsConfig::default());
    proxy.timeout = Some(Duration::from_secs(3));
    let connector = through(proxy, target(), ConnectConfig::default());
    let (connected, _peer) = tokio::join!(connector.connect(), accept(&listener));
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert!(error.message().contains("timeout: 3000ms"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_refuses_the_connection_reads_as_in_node() {
    let (listener, addr) = listen().await;
    drop(listener);
    let connector = through(
        proxy_at(addr, tunnel(&[])),
        target(),
        ConnectConfig::default(),
    );
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.message(), format!("connect ECONNREFUSED {addr}"));
}

struct Certs {
    root: Cert,
    proxy: Cert,
    origin: Cert,
}

fn certs() -> Certs {
    let root = super::support::authority("root");
    Certs {
        proxy: issued(&root, params("proxy", &["proxy.test"])),
        origin: issued(&root, params("localhost", &["localhost"])),
        root,
    }
}

fn acceptor(cert: &Cert) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(ServerSetup::new(cert, &[]).build()))
}

fn secure_proxy(addr: SocketAddr, certs: &Certs, name: &str) -> Proxy {
    let mut proxy = proxy_at(addr, tunnel(&[("proxy-authorization", "Basic c2VjcmV0")]));
    let mut tls = config(&[&certs.root]).tls;
    tls.server_name = Some(name.to_owned());
    proxy.tls = Some(tls);
    proxy
}

/// The proxy's side of TLS, then of the tunnel.
async fn open_tunnel(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
) -> tokio_rustls::server::TlsStream<TcpStream> {
    let mut outer = acceptor.accept(accept(listener).await).await.unwrap();
    let head = read_head(&mut outer).await;
    assert!(head.starts_with("CONNECT ") && head.contains("c2VjcmV0"));
    outer.write_all(OK.as_bytes()).await.unwrap();
    outer.flush().await.unwrap();
    outer
}

#[tokio::test]
async fn s17_tls_in_a_tunnel_through_tls_carries_the_callers_bytes_alone() {
    let certs = certs();
    let (listener, addr) = listen().await;
    let origin = Origin::new(Scheme::Https, "localhost", 443);
    let connector = through(
        secure_proxy(addr, &certs, "proxy.test"),
        origin,
        config(&[&certs.root]),
    );
    let serve = async {
        let outer = open_tunnel(&listener, &acceptor(&certs.proxy)).await;
        acceptor(&certs.origin).accept(outer).await.unwrap()
    };
    let ((mut transport, info), mut peer) = tokio::join!(connect(&connector), serve);
    assert_eq!(peer.get_ref().1.server_name(), Some("localhost"));
    let via = info.proxy.unwrap().tls.unwrap();
    assert_eq!(via.server_name.as_deref(), Some("proxy.test"));
    assert_eq!(info.tls.unwrap().server_name.as_deref(), Some("localhost"));
    assert!(info.timings.tls.is_some());
    assert_eq!(info.remote, Some(addr));

    echo(&mut transport, &mut peer, 200_000).await;
}

/// Bytes in both directions at once, more than any buffer on the way holds.
async fn echo<A, B>(near: &mut A, far: &mut B, size: usize)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let client = async {
        let (mut reader, mut writer) = tokio::io::split(near);
        let mut back = vec![0; size];
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
        };
        let read = async { reader.read_exact(&mut back).await.unwrap() };
        tokio::join!(write, read);
        back
    };
    let server = async {
        let (mut reader, mut writer) = tokio::io::split(far);
        let mut left = size;
        let mut buffer = vec![0; 10_000];
        while left > 0 {
            let count = reader.read(&mut buffer).await.unwrap();
            writer.write_all(&buffer[..count]).await.unwrap();
            writer.flush().await.unwrap();
            left -= count;
        }
    };
    let (back, ()) = tokio::join!(client, server);
    assert!(back == sent);
}

#[tokio::test]
async fn the_check_covers_both_layers_of_tls() {
    let certs = certs();
    let (listener, addr) = listen().await;
    let connector = through(
        secure_proxy(addr, &certs, "proxy.test"),
        Origin::new(Scheme::Https, "localhost", 443),
        config(&[&certs.root]),
    );
    let serve = async {
        let outer = open_tunnel(&listener, &acceptor(&certs.proxy)).await;
        acceptor(&certs.origin).accept(outer).await.unwrap()
    };
    let ((mut transport, _), mut peer) = tokio::join!(connect(&connector), serve);
    let mut cx = Context::from_waker(Waker::noop());
    // The byte proves that the tickets, which came before it, have arrived.
    peer.write_all(b"xy").await.unwrap();
    peer.flush().await.unwrap();
    assert_eq!(transport.read_u8().await.unwrap(), b'x');
    assert!(matches!(transport.probe(&mut cx), Probe::Data));
    assert_eq!(transport.read_u8().await.unwrap(), b'y');
    assert!(matches!(transport.probe(&mut cx), Probe::Clean));

    peer.write_all(&[b'z'; 9000]).await.unwrap();
    peer.flush().await.unwrap();
    let mut large = [0; 9000];
    transport.read_exact(&mut large).await.unwrap();
    peer.shutdown().await.unwrap();
    drop(peer);
    assert_eq!(transport.read(&mut large).await.unwrap(), 0);
    assert!(matches!(transport.probe(&mut cx), Probe::Closed(_)));
}

#[tokio::test]
async fn a_plain_tunnel_through_tls_is_one_layer() {
    let certs = certs();
    let (listener, addr) = listen().await;
    let connector = through(
        secure_proxy(addr, &certs, "proxy.test"),
        target(),
        ConnectConfig::default(),
    );
    let serve = async { open_tunnel(&listener, &acceptor(&certs.proxy)).await };
    let ((mut transport, info), mut peer) = tokio::join!(connect(&connector), serve);
    assert!(info.tls.is_none() && info.proxy.unwrap().tls.is_some());
    echo(&mut transport, &mut peer, 50_000).await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(transport.probe(&mut cx), Probe::Clean));
}

#[tokio::test]
async fn a_certificate_for_another_proxy_is_refused_with_its_own_error() {
    let certs = certs();
    let (listener, addr) = listen().await;
    let connector = through(
        secure_proxy(addr, &certs, "other.test"),
        target(),
        ConnectConfig::default(),
    );
    let acceptor = acceptor(&certs.proxy);
    let serve = async { acceptor.accept(accept(&listener).await).await.is_err() };
    let (connected, refused) = tokio::join!(connector.connect(), serve);
    assert!(refused);
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProxyTls);
    let [cause] = error.attempts() else {
        panic!("no cause");
    };
    assert_eq!(code(cause), "ERR_TLS_CERT_ALTNAME_INVALID");
}

#[tokio::test]
async fn s12_an_untrusted_proxy_is_rejected_before_it_gets_credentials() {
    let certs = certs();
    let stranger = self_signed(params("proxy.test", &["proxy.test"]));
    let (listener, addr) = listen().await;
    let connector = through(
        secure_proxy(addr, &certs, "proxy.test"),
        target(),
        ConnectConfig::default(),
    );
    let acceptor = acceptor(&stranger);
    let serve = async {
        let Ok(mut stream) = acceptor.accept(accept(&listener).await).await else {
            return Vec::new();
        };
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    };
    let (connected, heard) = tokio::join!(connector.connect(), serve);
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_eq!(error.phase(), Phase::Proxy);
    assert_eq!(code(&error), "DEPTH_ZERO_SELF_SIGNED_CERT");
    assert!(heard.is_empty());
}

/// S10: trust in the proxy says nothing of the origin, and the reverse.
#[tokio::test]
async fn s10_a_lenient_proxy_does_not_make_its_tunnel_lenient() {
    let certs = certs();
    let stranger = self_signed(params("localhost", &["localhost"]));
    let (listener, addr) = listen().await;
    let mut proxy = secure_proxy(addr, &certs, "proxy.test");
    proxy.tls.as_mut().unwrap().verify = false;
    let connector = through(
        proxy,
        Origin::new(Scheme::Https, "localhost", 443),
        config(&[&certs.root]),
    );
    let serve = async {
        let outer = open_tunnel(&listener, &acceptor(&certs.proxy)).await;
        acceptor(&stranger).accept(outer).await.is_err()
    };
    let (connected, _) = tokio::join!(connector.connect(), serve);
    let error = connected.unwrap_err();
    assert_eq!(error.phase(), Phase::TlsHandshake);
    assert_eq!(code(&error), "DEPTH_ZERO_SELF_SIGNED_CERT");
}
