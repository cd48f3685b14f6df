//! Rules about addresses, wherever the address comes from; and names that are kept.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dodici::ErrorKind;
use dodici_reqwest::ext::{self, ClientBuilderExt, ClientExt, DnsCacheConfig};
use dodici_reqwest::{Client, ClientBuilder, Proxy};
use dodici_testkit::{ScriptedPeer, with, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn peer() -> ScriptedPeer {
    ScriptedPeer::tcp_at("127.0.0.9:0").await.always(OK)
}

fn other_than_1(address: IpAddr, _host: &str) -> bool {
    address != IpAddr::from([127, 0, 0, 1])
}

async fn outcome(client: &Client, url: &str) -> Result<String, ErrorKind> {
    match within("a response", client.get(url).send()).await {
        Ok(response) => Ok(response.text().await.unwrap()),
        Err(error) => {
            assert!(error.is_connect(), "{error:?}");
            let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
            let text = format!("{error:?}");
            assert!(
                causes.any(|cause| cause.to_string().contains("not allowed")),
                "{text}"
            );
            assert!(text.contains("AddressNotAllowed"), "{text}");
            Err(ErrorKind::AddressNotAllowed)
        }
    }
}

fn built(builder: ClientBuilder) -> Client {
    builder.no_proxy().build().unwrap()
}

const REFUSED: Result<String, ErrorKind> = Err(ErrorKind::AddressNotAllowed);

#[tokio::test]
async fn s15_only_allowed_addresses_are_connected_to_however_they_are_found() {
    let peer = peer().await;
    let port = peer.port();
    let inward = [127, 0, 0, 1];
    let client = built(
        Client::builder()
            .allow_addresses(other_than_1)
            .resolve("inward.test", SocketAddr::from((inward, port)))
            .resolve("open.test", SocketAddr::from(([127, 0, 0, 9], port))),
    );
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "inward.test",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(outcome(&client, &url).await, REFUSED, "{host}");
    }
    for host in ["127.0.0.9", "open.test"] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(outcome(&client, &url).await, Ok("ok".to_owned()));
    }
    let public = built(Client::builder().allow_addresses(ext::public));
    assert_eq!(
        outcome(&public, &format!("http://127.0.0.9:{port}/")).await,
        REFUSED
    );
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn s15_a_redirect_to_an_address_that_is_not_allowed_is_not_followed() {
    let target = ScriptedPeer::tcp().await.always(OK);
    let location = format!("http://127.0.0.1:{}/", target.port());
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let start = ScriptedPeer::tcp_at("127.0.0.9:0").await.always(head);
    let client = built(Client::builder().allow_addresses(other_than_1));
    let url = format!("http://127.0.0.9:{}/", start.port());
    assert_eq!(outcome(&client, &url).await, REFUSED);
    assert_eq!((start.accepted(), target.accepted()), (1, 0));
}

#[tokio::test]
async fn s15_an_origin_has_its_own_rule() {
    let peer = ScriptedPeer::tcp().await.always(OK);
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let own = Client::builder().origin(url.as_str(), |origin| origin.allow_addresses(|_, _| true));
    let client = built(own.allow_addresses(ext::public));
    assert_eq!(outcome(&client, &url).await, Ok("ok".to_owned()));
    assert_eq!(outcome(&client, "http://127.0.0.2/").await, REFUSED);
}

#[tokio::test]
async fn s15_a_proxy_and_literal_targets_behind_it_are_asked_about() {
    let proxy = ScriptedPeer::tcp_at("127.0.0.9:0").await.always(OK);
    let address = format!("http://127.0.0.9:{}", proxy.port());
    let through = |rule: fn(IpAddr, &str) -> bool| {
        let proxies = Proxy::all(&address).unwrap();
        let builder = Client::builder().allow_addresses(rule).proxy(proxies);
        builder.build().unwrap()
    };
    let client = through(other_than_1);
    for url in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        assert_eq!(outcome(&client, url).await, REFUSED, "{url}");
    }
    assert_eq!(
        outcome(&through(ext::public), "http://a.test/").await,
        REFUSED
    );
    assert_eq!(proxy.accepted(), 0);
    assert_eq!(
        outcome(&client, "http://a.test/").await,
        Ok("ok".to_owned())
    );
}

/// Hangs up, whatever it is asked.
async fn useless_proxy() -> ScriptedPeer {
    let proxy = ScriptedPeer::tcp_at("127.0.0.9:0").await;
    proxy.run(|mut conn| async move { drop(conn.read_some().await) })
}

#[tokio::test]
async fn s15_an_origin_has_its_own_rule_behind_a_proxy_too() {
    let proxy = useless_proxy().await;
    let at = |scheme: &str| format!("{scheme}://127.0.0.9:{}", proxy.port());
    for scheme in ["http", "socks4", "socks5", "socks5h"] {
        let through = |builder: ClientBuilder| {
            let builder = builder.proxy(Proxy::all(at(scheme)).unwrap());
            builder.build().unwrap()
        };
        for target in ["http://127.0.0.1:81/", "https://127.0.0.1:81/"] {
            let before = proxy.accepted();
            // Also where the client has none; the rule of the origin is not about the proxy.
            let none = |origin: ext::OriginOptions| origin.allow_addresses(|_, _| false);
            let client = through(Client::builder().origin(target, none));
            assert_eq!(outcome(&client, target).await, REFUSED, "{scheme} {target}");
            let refused = within("refused", client.preconnect(target, 1)).await;
            assert!(refused.unwrap_err().is_connect(), "{scheme} {target}");
            // Another origin is not meant.
            let client = through(Client::builder().origin("http://127.0.0.1:82/", none));
            let _ = within("an end", client.get(target).send()).await;
            assert_eq!(proxy.accepted(), before + 1, "{scheme} {target}");
            // It says more than that of the client.
            let any = |origin: ext::OriginOptions| origin.allow_addresses(|_, _| true);
            let client = Client::builder().allow_addresses(other_than_1);
            let client = through(client.origin(target, any));
            let _ = within("an end", client.get(target).send()).await;
            assert_eq!(proxy.accepted(), before + 2, "{scheme} {target}");
        }
    }
}

#[tokio::test]
async fn s15_a_proxy_has_its_own_rule() {
    let proxy = useless_proxy().await;
    for scheme in ["http", "socks5h"] {
        let at = format!("{scheme}://127.0.0.9:{}", proxy.port());
        for target in ["http://a.test/", "https://a.test/"] {
            let through = |builder: ClientBuilder| {
                let builder = builder.proxy(Proxy::all(&at).unwrap());
                builder.build().unwrap()
            };
            let before = proxy.accepted();
            let none = |proxy: ext::OriginOptions| proxy.allow_addresses(|_, _| false);
            let client = through(Client::builder().origin(&at, none));
            assert_eq!(outcome(&client, target).await, REFUSED, "{at} {target}");
            let any = |proxy: ext::OriginOptions| proxy.allow_addresses(|_, _| true);
            let guarded = Client::builder().allow_addresses(ext::public);
            let client = through(guarded.origin(&at, any));
            let _ = within("an end", client.get(target).send()).await;
            assert_eq!(proxy.accepted(), before + 1, "{at} {target}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn s15_a_unix_socket_is_refused() {
    let peer = ScriptedPeer::unix().always(OK);
    let path = peer.address().to_string();
    let client = Client::builder().unix_socket(path.as_str());
    let client = client.allow_addresses(|_, _| true).build().unwrap();
    assert_eq!(outcome(&client, "http://a.test/").await, REFUSED);
    assert_eq!(peer.accepted(), 0);
}

#[tokio::test]
async fn a_rule_is_asked_about_names_that_are_kept_and_fixed_addresses_come_first() {
    let peer = ScriptedPeer::tcp().await.always(OK);
    let cache = || {
        with(DnsCacheConfig::default(), |cache| {
            cache.ttl = Duration::from_secs(60)
        })
    };
    let at = SocketAddr::from(([127, 0, 0, 1], peer.port()));
    let client = built(
        Client::builder()
            .dns_cache(cache())
            .resolve("fixed.invalid", at),
    );
    for host in ["localhost", "localhost", "fixed.invalid"] {
        let url = format!("http://{host}:{}/", peer.port());
        assert_eq!(outcome(&client, &url).await, Ok("ok".to_owned()));
    }
    let guarded = built(
        Client::builder()
            .dns_cache(cache())
            .allow_addresses(ext::public),
    );
    let url = format!("http://localhost:{}/", peer.port());
    assert_eq!(outcome(&guarded, &url).await, REFUSED);
    ext::clear_dns_cache();
    assert_eq!(outcome(&client, &url).await, Ok("ok".to_owned()));
}
