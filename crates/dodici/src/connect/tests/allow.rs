//! Rules about addresses: who is asked about what, and that nothing is sent to what is refused.

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dodici_pool::{
    ConnectConfig, Error, ErrorKind, Origin, Phase, Proxy, ProxyProtocol, Replay, Scheme,
    SocksResolve,
};
use dodici_testkit::with;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::proxy::listen;
use super::support::detail;
use crate::connect::{
    AddressRule, ConnectHooks, Connector, HookFuture, ResolveHook, is_public, public,
};

/// Resolves every name to these addresses.
struct Names(Vec<&'static str>);

impl ResolveHook for Names {
    fn resolve(
        &self,
        _host: &str,
        port: u16,
    ) -> Option<HookFuture<Result<Vec<SocketAddr>, Error>>> {
        let found = self.0.iter();
        let found = found
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
            .collect();
        Some(Box::pin(std::future::ready(Ok(found))))
    }
}

/// Resolves to these addresses, and asks about what a socket connects to.
fn hooks(names: &[&'static str], rule: impl AddressRule + 'static) -> ConnectHooks {
    with(ConnectHooks::default(), |hooks| {
        hooks.resolve = Some(Arc::new(Names(names.to_vec())));
        hooks.allow = Some(Arc::new(rule));
    })
}

fn connector(host: &str, port: u16, hooks: ConnectHooks) -> Connector {
    let origin = Origin::new(Scheme::Http, host, port);
    Connector::with_hooks(origin, ConnectConfig::default(), hooks).unwrap()
}

/// Nobody has connected, however long one waits: a connection of our own is the first.
async fn untouched(listener: &TcpListener) {
    let own = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let own = own.await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap());
}

#[tokio::test]
async fn a_refused_address_gets_nothing_and_the_error_names_it() {
    let (listener, addr) = listen().await;
    for (host, message) in [
        ("127.0.0.1", "connecting to 127.0.0.1 is not allowed"),
        ("a.test", "connecting to 127.0.0.1 (a.test) is not allowed"),
    ] {
        let connector = connector(host, addr.port(), hooks(&["127.0.0.1"], public));
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressNotAllowed);
        assert_eq!(error.phase(), Phase::Connect);
        assert_eq!(error.replay(), Replay::Unsent);
        assert_eq!(error.message(), message);
        assert_eq!(detail(&error).address.as_deref(), Some("127.0.0.1"));
        assert_eq!(detail(&error).hostname.as_deref(), Some(host));
    }
    untouched(&listener).await;
}

#[tokio::test]
async fn of_several_addresses_each_is_asked_about_and_the_others_are_used() {
    let (refused, addr) = listen().await;
    let allowed = TcpListener::bind(("127.0.0.2", addr.port())).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let rule = move |address: IpAddr, host: &str| {
        log.lock().push((address.to_string(), host.to_owned()));
        address.to_string() == "127.0.0.2"
    };
    // Mapped, it is the same address, and the rule sees that.
    let names = ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"];
    let connector = connector("a.test", addr.port(), hooks(&names, rule));
    let (_, info) = connector.connect().await.unwrap();
    assert_eq!(info.remote, Some(allowed.local_addr().unwrap()));
    let asked = asked.lock().clone();
    assert!(asked.iter().all(|(_, host)| host == "a.test"), "{asked:?}");
    assert!(
        asked.iter().all(|(ip, _)| ip.starts_with("127.0.0.")),
        "{asked:?}"
    );
    untouched(&refused).await;
}

#[tokio::test]
async fn if_all_addresses_are_refused_each_is_an_attempt_of_the_error() {
    let connector = connector("a.test", 1, hooks(&["127.0.0.1", "10.0.0.1"], public));
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAllowed);
    let attempts: Vec<_> = error.attempts().iter().map(Error::message).collect();
    assert_eq!(
        attempts,
        [
            "connecting to 127.0.0.1 (a.test) is not allowed",
            "connecting to 10.0.0.1 (a.test) is not allowed"
        ]
    );
}

#[tokio::test]
async fn a_unix_socket_is_refused_by_any_rule() {
    let config = with(ConnectConfig::default(), |config| {
        config.socket_path = Some("/run/some.sock".into());
    });
    let hooks = hooks(&[], |_: IpAddr, _: &str| true);
    let origin = Origin::new(Scheme::Http, "a.test", 80);
    let connector = Connector::with_hooks(origin, config, hooks).unwrap();
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAllowed);
    assert_eq!(detail(&error).address.as_deref(), Some("/run/some.sock"));
}

/// Never answers.
struct Silent;

impl AddressRule for Silent {
    fn allows(&self, _address: IpAddr, _host: &str) -> HookFuture<Result<bool, Error>> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_never_answers_ends_with_the_connect_timeout() {
    let mut through = ConnectConfig::default();
    through.proxy = Some(Box::new(Proxy::new(
        ProxyProtocol::HttpForward,
        "127.0.0.1",
        1,
    )));
    for config in [ConnectConfig::default(), through] {
        let mut hooks = hooks(&[], Silent);
        hooks.allow_proxied = Some(Arc::new(Silent));
        let origin = Origin::new(Scheme::Http, "127.0.0.1", 1);
        let connector = Connector::with_hooks(origin, config, hooks).unwrap();
        let started = tokio::time::Instant::now();
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
        assert!(started.elapsed() >= Duration::from_secs(10));
    }
}

/// Resolves to these addresses, and asks about what a proxy is to connect to.
fn proxied(names: &[&'static str]) -> ConnectHooks {
    with(ConnectHooks::default(), |hooks| {
        hooks.resolve = Some(Arc::new(Names(names.to_vec())));
        hooks.allow_proxied = Some(Arc::new(public));
    })
}

/// A connector through a proxy at this address.
fn through(
    addr: SocketAddr,
    protocol: ProxyProtocol,
    host: &str,
    hooks: ConnectHooks,
) -> Connector {
    let config = with(ConnectConfig::default(), |config| {
        let proxy = Proxy::new(protocol, addr.ip().to_string(), addr.port());
        config.proxy = Some(Box::new(proxy));
    });
    let origin = Origin::new(Scheme::Http, host, 80);
    Connector::with_hooks(origin, config, hooks).unwrap()
}

#[tokio::test]
async fn the_address_of_a_proxy_and_a_literal_one_behind_it_are_asked_about() {
    let (listener, addr) = listen().await;
    let tunnel = || ProxyProtocol::HttpTunnel {
        headers: dodici_pool::HeaderBlock::default(),
    };
    let connector = through(addr, tunnel(), "a.test", hooks(&[], public));
    let error = connector.connect().await.unwrap_err();
    assert_eq!(detail(&error).address.as_deref(), Some("127.0.0.1"));

    for (host, address) in [
        ("169.254.169.254", "169.254.169.254"),
        ("::ffff:a00:1", "10.0.0.1"),
    ] {
        let hooks = proxied(&[]);
        let error = through(addr, tunnel(), host, hooks)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressNotAllowed);
        assert_eq!(detail(&error).address.as_deref(), Some(address));
    }
    untouched(&listener).await;
}

#[tokio::test]
async fn an_address_resolved_for_socks_is_asked_about() {
    let local = ProxyProtocol::Socks5 {
        resolve: SocksResolve::Local,
    };
    let (listener, addr) = listen().await;
    let connector = through(
        addr,
        local.clone(),
        "a.test",
        proxied(&["10.0.0.1", "1.1.1.1"]),
    );
    let serve = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        peer.read_exact(&mut greeting).await.unwrap();
        peer.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 10];
        peer.read_exact(&mut request).await.unwrap();
        peer.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        request
    };
    let (connected, request) = tokio::join!(connector.connect(), serve);
    connected.unwrap();
    assert_eq!(request, [5, 1, 0, 1, 1, 1, 1, 1, 0, 80]);

    let connector = through(addr, local, "a.test", proxied(&["10.0.0.1"]));
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAllowed);
}

#[tokio::test]
async fn a_function_is_a_rule() {
    let rule = |address: IpAddr, host: &str| is_public(address) || host == "own.test";
    assert!(
        rule.allows([127, 0, 0, 1].into(), "own.test")
            .await
            .unwrap()
    );
    assert!(!rule.allows([127, 0, 0, 1].into(), "a.test").await.unwrap());
}
