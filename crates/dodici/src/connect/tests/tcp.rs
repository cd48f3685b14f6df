//! TCP, unix sockets and the connect timeout.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dodici_pool::{ConnectConfig, Error, ErrorKind, Family, Origin, Phase, Replay, Scheme};
use dodici_testkit::with;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::Instant;

use super::support::{code, config, connect, detail, plain, self_signed};
use super::support::{connector, params};
use crate::connect::Connector;
use crate::connect::deadline::Deadline;
use crate::connect::hooks::{ConnectHooks, HookFuture, ResolveHook};
use crate::connect::tcp::Dialer;

/// An address that refuses: its listener is gone.
async fn refusing(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// An address that never answers: the kernel drops the handshakes that exceed its backlog. Lives
/// as long as the sockets.
struct Silent {
    addr: SocketAddr,
    _held: Vec<Socket>,
}

impl Silent {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap().as_socket().unwrap();
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.connect(&addr.into()).unwrap();
        Self {
            addr,
            _held: vec![listener, filler],
        }
    }
}

#[tokio::test]
async fn a_refused_connection_reads_as_in_node() {
    let addr = refusing("127.0.0.1").await;
    let error = plain(addr, ConnectConfig::default())
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.phase(), Phase::Connect);
    assert_eq!(error.replay(), Replay::Unsent);
    assert_eq!(error.message(), format!("connect ECONNREFUSED {addr}"));
    let detail = detail(&error);
    assert_eq!(detail.code, "ECONNREFUSED");
    assert_eq!(detail.errno, -libc::ECONNREFUSED);
    assert_eq!(detail.syscall, "connect");
    assert_eq!(detail.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(detail.port, Some(addr.port()));
}

#[tokio::test]
async fn a_plain_connection_reports_addresses_and_timings() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (transport, info) = connect(&plain(addr, ConnectConfig::default())).await;
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(info.remote, Some(addr));
    assert_eq!(info.local, Some(peer));
    assert_eq!(transport.local_addr(), info.local);
    assert!(info.timings.dns.is_none() && info.timings.tls.is_none());
    assert!(info.timings.tcp.unwrap() <= info.timings.total);
}

#[tokio::test]
async fn a_host_name_is_resolved_before_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = Origin::new(Scheme::Http, "localhost", port);
    let config = with(ConnectConfig::default(), |config| {
        config.family = Family::V4
    });
    let (_, info) = connect(&Connector::new(origin, config).unwrap()).await;
    assert_eq!(info.remote, Some(listener.local_addr().unwrap()));
    assert!(info.timings.dns.is_some());
}

#[tokio::test]
async fn several_refusals_become_one_error_with_all_attempts() {
    let config = ConnectConfig::default();
    let addresses = [refusing("127.0.0.1").await, refusing("127.0.0.2").await];
    let error = Dialer::new(&config, &addresses)
        .run("both.test", 1)
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ECONNREFUSED");
    let tried: Vec<_> = error.attempts().iter().map(|a| a.message()).collect();
    let expected: Vec<_> = addresses
        .iter()
        .map(|addr| format!("connect ECONNREFUSED {addr}"))
        .collect();
    assert_eq!(tried, expected);
}

#[tokio::test]
async fn a_refused_family_gives_way_to_the_other_immediately() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let v4 = listener.local_addr().unwrap();
    let v6 = SocketAddr::new("::1".parse().unwrap(), v4.port());
    let config = with(ConnectConfig::default(), |config| {
        // Only a failure may start the second attempt.
        config.attempt_delay = Duration::from_secs(3600);
    });
    let mut dialer = Dialer::new(&config, &[v6, v4]);
    let stream = dialer.run("dual.test", v4.port()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), v4);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_silent_is_overtaken_after_the_attempt_delay() {
    let silent = Silent::new();
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    let config = ConnectConfig::default();
    let started = Instant::now();
    let mut dialer = Dialer::new(&config, &[silent.addr, good]);
    let stream = dialer.run("dual.test", 1).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    assert!(started.elapsed() >= config.attempt_delay);
}

#[tokio::test(start_paused = true)]
async fn without_racing_a_silent_address_holds_up_the_next_until_the_timeout() {
    let silent = Silent::new();
    let other = refusing("127.0.0.2").await;
    let connector = plain(
        silent.addr,
        with(ConnectConfig::default(), |config| config.race = false),
    );
    let deadline = Deadline::after(Instant::now(), connector.config.timeout);
    let error = connector
        .dial(&[silent.addr, other], deadline)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(error.phase(), Phase::Connect);
    assert_eq!(
        error.message(),
        format!(
            "Connect Timeout Error (attempted addresses: {}, timeout: 10000ms)",
            silent.addr
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_single_address_names_host_and_port() {
    let silent = Silent::new();
    let error = plain(silent.addr, ConnectConfig::default())
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(
        error.message(),
        format!(
            "Connect Timeout Error (attempted address: {}, timeout: 10000ms)",
            silent.addr
        )
    );
}

/// Answers after a while with an address that never does, and applies no timeout.
struct Late {
    after: Duration,
    addr: SocketAddr,
}

impl ResolveHook for Late {
    fn resolve(&self, _: &str, _: u16) -> Option<HookFuture<Result<Vec<SocketAddr>, Error>>> {
        let Self { after, addr } = *self;
        Some(Box::pin(async move {
            tokio::time::sleep(after).await;
            Ok(vec![addr])
        }))
    }

    fn keeps_time(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_keeps_the_time_itself_may_be_answered_after_the_timeout() {
    let silent = Silent::new();
    // In time, the timeout is one for all; after it, it begins anew.
    for (answered, ends) in [(6, 10), (12, 22)] {
        let hooks = with(ConnectHooks::default(), |hooks| {
            hooks.resolve = Some(Arc::new(Late {
                after: Duration::from_secs(answered),
                addr: silent.addr,
            }))
        });
        let origin = Origin::new(Scheme::Http, "name.invalid", silent.addr.port());
        let connector = Connector::with_hooks(origin, ConnectConfig::default(), hooks).unwrap();
        let begun = Instant::now();
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
        assert_eq!(error.phase(), Phase::Connect);
        assert_eq!(begun.elapsed().as_secs(), ends);
    }
}

#[tokio::test]
async fn a_silent_tls_peer_times_out_in_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let root = self_signed(params("localhost", &["localhost"]));
    let connector = connector(addr, config(&[&root]));
    let attempt = tokio::spawn(async move { connector.connect().await.map(|_| ()) });
    let (mut peer, _) = listener.accept().await.unwrap();
    // The first byte of the ClientHello: the TLS leg has begun.
    assert_eq!(peer.read_u8().await.unwrap(), 22);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    let error = attempt.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(error.phase(), Phase::TlsHandshake);
}

#[tokio::test]
async fn dropping_the_future_closes_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let root = self_signed(params("localhost", &["localhost"]));
    let connector = connector(addr, config(&[&root]));
    let attempt = tokio::spawn(async move { connector.connect().await.map(|_| ()) });
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.read_u8().await.unwrap();
    attempt.abort();
    let mut rest = Vec::new();
    // Ends only because the other side is closed.
    let _ = peer.read_to_end(&mut rest).await;
    assert!(attempt.await.unwrap_err().is_cancelled());
}

#[test]
fn families_take_turns_beginning_with_the_first() {
    let parse = |list: &[&str]| -> Vec<SocketAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    };
    let mixed = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let config = ConnectConfig::default();
    assert_eq!(
        Dialer::new(&config, &mixed).candidates(),
        parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"])
    );
    let local = with(ConnectConfig::default(), |config| {
        config.local_address = Some(IpAddr::from([127, 0, 0, 1]))
    });
    assert_eq!(
        Dialer::new(&local, &mixed).candidates(),
        parse(&["1.1.1.1:1", "2.2.2.2:1"])
    );
    let v6 = with(ConnectConfig::default(), |config| {
        config.family = Family::V6
    });
    assert_eq!(
        Dialer::new(&v6, &mixed).candidates(),
        parse(&["[::1]:1", "[::2]:1", "[::3]:1"])
    );
}

#[tokio::test]
async fn the_local_address_is_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = IpAddr::from([127, 0, 0, 9]);
    let config = with(ConnectConfig::default(), |config| {
        config.local_address = Some(local)
    });
    let (_, info) = connect(&plain(listener.local_addr().unwrap(), config)).await;
    assert_eq!(info.local.unwrap().ip(), local);
}

#[tokio::test]
async fn a_local_address_of_another_machine_fails_to_bind_as_in_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = with(ConnectConfig::default(), |config| {
        config.local_address = Some(IpAddr::from([192, 0, 2, 1]))
    });
    let error = plain(listener.local_addr().unwrap(), config)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.message(), "bind EADDRNOTAVAIL 192.0.2.1");
    assert_eq!(detail(&error).syscall, "bind");
    assert_eq!(detail(&error).port, None);
}

#[tokio::test]
async fn no_delay_and_keep_alive_probes_are_set() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut config = ConnectConfig::default();
    let stream = Dialer::new(&config, &[addr]).run("h", 1).await.unwrap();
    assert!(stream.nodelay().unwrap());
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(
        socket.tcp_keepalive_time().unwrap(),
        Duration::from_secs(60)
    );
    config.no_delay = false;
    config.keep_alive_probe = None;
    let stream = Dialer::new(&config, &[addr]).run("h", 1).await.unwrap();
    assert!(!stream.nodelay().unwrap());
    assert!(!SockRef::from(&stream).keepalive().unwrap());
}

#[tokio::test]
async fn the_local_port_and_the_type_of_service_are_set() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let free = refusing("127.0.0.1").await.port();
    let config = with(ConnectConfig::default(), |config| {
        config.local_port = free;
        config.type_of_service = Some(16);
    });
    let stream = Dialer::new(&config, &[addr]).run("h", 1).await.unwrap();
    assert_eq!(stream.local_addr().unwrap().port(), free);
    assert_eq!(SockRef::from(&stream).tos_v4().unwrap(), 16);
}

fn unix(path: &std::path::Path) -> Connector {
    let config = with(ConnectConfig::default(), |config| {
        config.socket_path = Some(path.to_owned())
    });
    Connector::new(Origin::new(Scheme::Http, "localhost", 80), config).unwrap()
}

#[tokio::test]
async fn a_unix_socket_is_used_instead_of_the_host() {
    let dir = std::env::temp_dir().join(format!("dodici-connect-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("socket");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (transport, info) = connect(&unix(&path)).await;
    listener.accept().await.unwrap();
    assert_eq!(info.path.as_deref(), path.to_str());
    assert!(info.remote.is_none() && transport.peer_addr().is_none());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_missing_unix_socket_reads_as_in_node() {
    let path = std::path::Path::new("/nonexistent/socket");
    let error = unix(path).connect().await.unwrap_err();
    assert_eq!(error.message(), "connect ENOENT /nonexistent/socket");
    let detail = detail(&error);
    assert_eq!((&*detail.code, detail.errno), ("ENOENT", -libc::ENOENT));
    assert_eq!(detail.address.as_deref(), Some("/nonexistent/socket"));
    assert_eq!(detail.port, None);
}
