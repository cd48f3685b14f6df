//! Ways through SOCKS proxies: the exact messages, every reply, every fault.

use std::net::SocketAddr;

use dodici_pool::{
    ConnectConfig, Error, ErrorKind, Origin, Phase, Proxy, ProxyCredentials, ProxyProtocol, Replay,
    Scheme, SocksResolve,
};
use dodici_testkit::with;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::proxy::{listen, through};
use super::support::{code, connect};
use crate::connect::Connector;

const V5: ProxyProtocol = ProxyProtocol::Socks5 {
    resolve: SocksResolve::Proxy,
};
const V4A: ProxyProtocol = ProxyProtocol::Socks4 {
    resolve: SocksResolve::Proxy,
};
/// "Succeeded", bound to 0.0.0.0:0.
const SUCCEEDED: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

fn credentials() -> Option<ProxyCredentials> {
    Some(ProxyCredentials {
        username: b"ann".to_vec(),
        password: b"pw".to_vec(),
    })
}

fn connector(
    addr: SocketAddr,
    protocol: ProxyProtocol,
    host: &str,
    credentials: Option<ProxyCredentials>,
) -> Connector {
    let mut proxy = Proxy::new(protocol, addr.ip().to_string(), addr.port());
    proxy.credentials = credentials;
    through(
        proxy,
        Origin::new(Scheme::Http, host, 0x1f90),
        ConnectConfig::default(),
    )
}

/// One step of a proxy: what it must read, and what it then writes, byte for byte.
type Step<'a> = (&'a [u8], &'a [u8]);

/// Plays the steps, every reply dribbled, and ends the connection; what comes of it.
async fn play(
    protocol: ProxyProtocol,
    host: &str,
    credentials: Option<ProxyCredentials>,
    steps: &[Step<'_>],
) -> Result<Vec<u8>, Error> {
    let (listener, addr) = listen().await;
    let connector = connector(addr, protocol, host, credentials);
    let serve = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.set_nodelay(true).unwrap();
        for (expected, reply) in steps {
            let mut read = vec![0; expected.len()];
            peer.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, expected);
            for byte in *reply {
                if peer.write_u8(*byte).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        let _ = peer.shutdown().await;
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
    };
    let client = async {
        let (mut transport, _) = connector.connect().await?;
        let mut rest = Vec::new();
        transport.read_to_end(&mut rest).await.unwrap();
        Ok(rest)
    };
    tokio::join!(client, serve).0
}

fn request(address: &[u8]) -> Vec<u8> {
    [&[5, 1, 0], address, &[0x1f, 0x90]].concat()
}

fn named(host: &str) -> Vec<u8> {
    request(&[&[3, host.len() as u8], host.as_bytes()].concat())
}

#[tokio::test]
async fn s19_a_name_goes_to_the_proxy_and_is_not_looked_up_here() {
    // Nobody resolves this name: a look-up would fail.
    let host = "no-such-host.invalid";
    let steps: &[Step<'_>] = &[(&[5, 1, 0], &[5, 0]), (&named(host), SUCCEEDED)];
    assert_eq!(play(V5, host, None, steps).await.unwrap(), b"");
}

#[tokio::test]
async fn addresses_go_as_addresses() {
    let v4 = request(&[1, 192, 0, 2, 7]);
    let steps: &[Step<'_>] = &[(&[5, 1, 0], &[5, 0]), (&v4, SUCCEEDED)];
    play(V5, "192.0.2.7", None, steps).await.unwrap();
    let v6 = request(&[4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let steps: &[Step<'_>] = &[(&[5, 1, 0], &[5, 0]), (&v6, SUCCEEDED)];
    play(V5, "[2001:db8::1]", None, steps).await.unwrap();
}

#[tokio::test]
async fn a_name_and_password_are_sent_if_the_proxy_requests_them() {
    let login = b"\x01\x03ann\x02pw";
    let steps: &[Step<'_>] = &[
        (&[5, 2, 2, 0], &[5, 2]),
        (login, &[1, 0]),
        (&named("a.test"), SUCCEEDED),
    ];
    play(V5, "a.test", credentials(), steps).await.unwrap();
    let without: &[Step<'_>] = &[(&[5, 2, 2, 0], &[5, 0]), (&named("a.test"), SUCCEEDED)];
    play(V5, "a.test", credentials(), without).await.unwrap();
}

#[tokio::test]
async fn every_form_of_bound_address_is_read_to_its_end_and_nothing_after_it() {
    for bound in [
        &[1, 9, 9, 9, 9, 0, 1][..],
        &[3, 4, b'n', b'a', b'm', b'e', 0, 1],
        &[3, 0, 0, 1],
        &[
            4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 1,
        ],
    ] {
        let reply = [&[5, 0, 0], bound, b"tunnel"].concat();
        let steps: &[Step<'_>] = &[(&[5, 1, 0], &[5, 0]), (&named("a.test"), &reply)];
        assert_eq!(play(V5, "a.test", None, steps).await.unwrap(), b"tunnel");
    }
}

#[tokio::test]
async fn s19_every_refusal_has_its_code() {
    let named = named("a.test");
    let greeted: Step<'_> = (&[5, 1, 0], &[5, 0]);
    let login: &[u8] = b"\x01\x03ann\x02pw";
    let asked: Step<'_> = (&[5, 2, 2, 0], &[5, 2]);
    for (with_login, steps, suffix) in [
        (false, vec![(&[5, 1, 0][..], &[4, 0][..])], "_VERSION"),
        (false, vec![(&[5, 1, 0], &[5, 0xff])], "_AUTH_REJECTED"),
        // Methods that were not offered.
        (false, vec![(&[5, 1, 0], &[5, 2])], "_AUTH_METHOD"),
        (true, vec![(&[5, 2, 2, 0], &[5, 1])], "_AUTH_METHOD"),
        (true, vec![asked, (login, &[5, 0])], "_AUTH_VERSION"),
        (true, vec![asked, (login, &[1, 1])], "_AUTH_FAILED"),
        (
            false,
            vec![greeted, (&named, &[4, 0, 0, 1])],
            "_REPLY_VERSION",
        ),
        (false, vec![greeted, (&named, &[5, 0, 0, 2])], "_ADDR_TYPE"),
        // The end, wherever it comes.
        (false, vec![(&[5, 1, 0], &[])], ""),
        (false, vec![(&[5, 1, 0], &[5])], ""),
        (true, vec![asked, (login, &[1])], ""),
        (false, vec![greeted, (&named, &SUCCEEDED[..9])], ""),
        (false, vec![greeted, (&named, &[5, 0, 0, 3, 200, b'x'])], ""),
    ] {
        let known = if with_login { credentials() } else { None };
        let error = play(V5, "a.test", known, &steps).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Socks, "{suffix}");
        assert_eq!(error.phase(), Phase::Proxy);
        assert_eq!(error.replay(), Replay::Unsent);
        assert_eq!(code(&error), format!("UND_ERR_SOCKS5{suffix}"));
        assert!(!format!("{error:?}").contains("ann"));
    }
    for reply in 1..=255_u8 {
        let answer = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
        let steps: &[Step<'_>] = &[greeted, (&named, &answer)];
        let error = play(V5, "a.test", None, steps).await.unwrap_err();
        assert_eq!(code(&error), format!("UND_ERR_SOCKS5_REPLY_{reply}"));
        if reply == 5 {
            assert_eq!(
                error.message(),
                "SOCKS5 connection failed: Connection refused"
            );
        }
    }
}

fn refused(host: &str, protocol: ProxyProtocol, credentials: Option<ProxyCredentials>) -> Error {
    let mut proxy = Proxy::new(protocol, "proxy.test", 1);
    proxy.credentials = credentials;
    let config = with(ConnectConfig::default(), |config| {
        config.proxy = Some(Box::new(proxy))
    });
    Connector::new(Origin::new(Scheme::Http, host, 80), config).unwrap_err()
}

#[test]
fn s19_what_does_not_fit_its_length_byte_is_rejected_before_a_byte_is_sent() {
    let long = |count| {
        Some(ProxyCredentials {
            username: vec![b'u'; count],
            password: b"secret".to_vec(),
        })
    };
    for error in [
        refused(&"h".repeat(256), V5, None),
        refused("a.test", V5, long(256)),
        refused("a\0.test", V5, None),
        refused("a\r\n.test", V4A, None),
        refused("[::1]", V4A, None),
        refused(
            "a.test",
            V4A,
            Some(ProxyCredentials {
                username: b"u\0".to_vec(),
                password: Vec::new(),
            }),
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!error.message().contains("secret") && !error.message().contains("uu"));
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_look_up_names_gets_addresses() {
    let local = ProxyProtocol::Socks5 {
        resolve: SocksResolve::Local,
    };
    let (listener, addr) = listen().await;
    let connector = connector(addr, local, "localhost", None);
    let serve = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        peer.read_exact(&mut greeting).await.unwrap();
        peer.write_all(&[5, 0]).await.unwrap();
        let mut start = [0; 4];
        peer.read_exact(&mut start).await.unwrap();
        let length = if start[3] == 1 { 4 } else { 16 };
        let mut rest = vec![0; length + 2];
        peer.read_exact(&mut rest).await.unwrap();
        peer.write_all(SUCCEEDED).await.unwrap();
        (start[3], rest)
    };
    let (_, (kind, address)) = tokio::join!(connect(&connector), serve);
    let loopback: [&[u8]; 2] = [
        &[127, 0, 0, 1, 0x1f, 0x90],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1f, 0x90],
    ];
    assert!(kind == 1 || kind == 4);
    assert!(loopback.contains(&&*address), "{address:?}");
}

#[tokio::test]
async fn socks4_and_4a_are_supported() {
    let granted: &[u8] = &[0, 90, 0, 0, 0, 0, 0, 0];
    let address = b"\x04\x01\x1f\x90\xc0\x00\x02\x07ann\0";
    let steps: &[Step<'_>] = &[(address, granted)];
    play(V4A, "192.0.2.7", credentials(), steps).await.unwrap();
    let name = b"\x04\x01\x1f\x90\0\0\0\x01\0a.test\0";
    play(V4A, "a.test", None, &[(name, granted)]).await.unwrap();
    for (reply, expected) in [
        ([0, 91, 0, 0, 0, 0, 0, 0], "UND_ERR_SOCKS4_REPLY_91"),
        ([4, 90, 0, 0, 0, 0, 0, 0], "UND_ERR_SOCKS4_REPLY_VERSION"),
    ] {
        let steps: &[Step<'_>] = &[(name, &reply)];
        let error = play(V4A, "a.test", None, steps).await.unwrap_err();
        assert_eq!(code(&error), expected);
    }
}
