//! Pools over TLS: exchanges, resumption, and isolation of one pool's trust from another's.

use dodici::{
    CloseReason, ErrorKind, Event, Identity, Origin, OriginConfig, RootSource, Scheme, TlsConfig,
    TlsVersion,
};
use dodici_testkit::certs::{Authority, Leaf, TlsDemands, Validity};
use dodici_testkit::client::{get, post_chunked, upgrade};
use dodici_testkit::config::config;
use dodici_testkit::message::pattern;
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, ServerTls, Signal, TestOrigin, within};

fn trusting(authority: &Authority) -> TlsConfig {
    with(TlsConfig::default(), |tls| {
        tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()])
    })
}

fn over(tls: TlsConfig) -> OriginConfig {
    config(|config| config.connect.tls = tls)
}

fn identity(leaf: &Leaf) -> Identity {
    Identity::new(leaf.cert_pem.clone(), leaf.key_pem.clone())
}

/// A GET after which its connection is closed, so that the next one needs a handshake.
async fn one_exchange(client: &Client) {
    let gone = client.events.disconnects();
    let request = with(get("/bytes/5"), |request| request.reset = true);
    within("response", client.send(request).ended()).await;
    within("disconnect", client.disconnected(gone + 1)).await;
}

/// Whether the sessions of this pool's connections were resumed, in order.
fn resumptions(client: &Client) -> Vec<bool> {
    let resumed = |event| match event {
        Event::Connected { info, .. } => Some(info.tls.unwrap().resumed),
        _ => None,
    };
    client
        .events
        .events()
        .into_iter()
        .filter_map(resumed)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_run_over_tls_and_share_a_connection() {
    let authority = Authority::new("dodici test");
    for tls in [
        ServerTls::new(&authority.localhost()),
        ServerTls::tls12_only(&authority.localhost()),
    ] {
        let origin = TestOrigin::start_tls(tls).await;
        let client = Client::tls(origin.port(), over(trusting(&authority)));
        let large = within("large", client.get("/bytes/3000000").ended()).await;
        assert_eq!(large.body, pattern(3_000_000));
        let call = client.send(post_chunked("/echo"));
        call.chunk("hello ");
        call.chunk("world");
        call.finish();
        assert_eq!(within("echo", call.ended()).await.body, b"hello world");
        let call = client.send(upgrade("/upgrade"));
        within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
        call.chunk("ping");
        within(
            "pong",
            call.wait(|seen| (seen.body == b"ping").then_some(())),
        )
        .await;
        call.finish();
        within("end", call.ended()).await;
        assert_eq!(origin.peer().accepted(), 1);
        client.pool.close();
        within("closed", client.events.closed()).await;
        origin.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_pool_resumes_its_own_sessions() {
    let authority = Authority::new("dodici test");
    let origin = TestOrigin::start_tls(ServerTls::new(&authority.localhost())).await;
    let client = Client::tls(origin.port(), over(trusting(&authority)));
    for _ in 0..3 {
        one_exchange(&client).await;
    }
    assert_eq!(resumptions(&client), [false, true, true]);
    let mut none = trusting(&authority);
    none.max_cached_sessions = 0;
    let client = Client::tls(origin.port(), over(none));
    for _ in 0..2 {
        one_exchange(&client).await;
    }
    assert_eq!(resumptions(&client), [false, false]);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s09_pools_that_differ_in_one_tls_parameter_share_no_connection_and_no_session() {
    let authority = Authority::new("dodici test");
    let other = Authority::new("another");
    let leaf = authority.server(&["localhost", "127.0.0.1", "also.test"]);
    let base = trusting(&authority);
    let changed: Vec<(&str, TlsConfig)> = vec![
        ("nothing but the pool", base.clone()),
        (
            "server name",
            with(base.clone(), |tls| {
                tls.server_name = Some("also.test".into())
            }),
        ),
        ("verify", with(base.clone(), |tls| tls.verify = false)),
        (
            "roots",
            with(base.clone(), |tls| {
                tls.roots = RootSource::Custom(
                    [&authority, &other]
                        .map(|a| a.pem().as_bytes().to_vec())
                        .to_vec(),
                )
            }),
        ),
        (
            "identity",
            with(base.clone(), |tls| {
                tls.identities = vec![identity(&authority.client("me"))]
            }),
        ),
        ("alpn", with(base.clone(), |tls| tls.alpn = Vec::new())),
        (
            "min version",
            with(base.clone(), |tls| tls.min_version = TlsVersion::Tls13),
        ),
        (
            "max version",
            with(base.clone(), |tls| tls.max_version = TlsVersion::Tls12),
        ),
        (
            "cache size",
            with(base.clone(), |tls| tls.max_cached_sessions = 7),
        ),
        (
            "more roots",
            with(base.clone(), |tls| {
                tls.more_roots = vec![other.pem().as_bytes().to_vec()]
            }),
        ),
        (
            "cipher suites",
            with(base.clone(), |tls| {
                tls.cipher_suites = Some(vec![0x1301, 0x1302])
            }),
        ),
        (
            "groups",
            with(base.clone(), |tls| tls.groups = Some(vec![0x1d, 0x17])),
        ),
        (
            "signature schemes",
            with(base.clone(), |tls| {
                tls.signature_schemes = Some(vec![0x0403])
            }),
        ),
        (
            "identity checks",
            with(base.clone(), |tls| tls.check_identity = true),
        ),
    ];
    for (what, tls) in changed {
        // One server for both, so that its ticket keys would accept either's session.
        let origin = TestOrigin::start_tls(ServerTls::new(&leaf)).await;
        let first = Client::tls(origin.port(), over(base.clone()));
        one_exchange(&first).await;
        one_exchange(&first).await;
        let second = Client::tls(origin.port(), over(tls));
        one_exchange(&second).await;
        assert_eq!(resumptions(&first), [false, true], "{what}");
        assert_eq!(resumptions(&second), [false], "{what}");
        let log = origin.finish().await;
        assert_eq!(
            (log.full_handshakes(), log.resumed_handshakes()),
            (2, 1),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10_a_session_established_without_verification_is_not_resumed_by_a_strict_pool() {
    let origin = TestOrigin::start_tls(ServerTls::new(&Leaf::self_signed(&["localhost"]))).await;
    let lax = with(TlsConfig::default(), |tls| tls.verify = false);
    let lax = Client::tls(origin.port(), over(lax));
    one_exchange(&lax).await;
    one_exchange(&lax).await;
    assert_eq!(resumptions(&lax), [false, true], "a ticket exists");
    let strict = Client::tls(origin.port(), over(trusting(&Authority::new("unrelated"))));
    for _ in 0..2 {
        let error = within("strict", strict.get("/bytes/1").error()).await;
        assert_eq!(error.kind(), ErrorKind::Tls);
    }
    assert_eq!(strict.events.connects(), 0);
    assert_eq!(origin.executed().len(), 2);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10_a_session_established_with_a_client_certificate_is_not_resumed_without_one() {
    let authority = Authority::new("dodici test");
    let tls = ServerTls::client_required(&authority.localhost(), &authority);
    let origin = TestOrigin::start_tls(tls).await;
    let known = with(trusting(&authority), |tls| {
        tls.identities = vec![identity(&authority.client("known"))]
    });
    let known = Client::tls(origin.port(), over(known));
    one_exchange(&known).await;
    one_exchange(&known).await;
    let unknown = Client::tls(origin.port(), over(trusting(&authority)));
    let call = unknown.get("/bytes/1");
    let error = within("unknown", call.error()).await;
    // TLS 1.3 reports the missing certificate only after the client has finished.
    assert!(
        matches!(error.kind(), ErrorKind::Tls | ErrorKind::Socket),
        "{error:?}"
    );
    assert!(call.seen().head.is_none());
    assert_eq!(origin.executed().len(), 2);
    origin.finish().await;
}

#[tokio::test]
async fn s11_verification_is_on_by_default() {
    assert!(TlsConfig::default().verify);
    let origin = TestOrigin::start_tls(ServerTls::new(&Leaf::self_signed(&["localhost"]))).await;
    let client = Client::tls(origin.port(), OriginConfig::default());
    let error = within("refused", client.get("/bytes/1").error()).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s12_a_bad_certificate_fails_the_request_and_no_byte_of_it_is_sent() {
    let authority = Authority::new("dodici test");
    let unknown = Authority::new("unknown");
    let bad = [
        (
            authority.server(&["elsewhere.test"]),
            "ERR_TLS_CERT_ALTNAME_INVALID",
        ),
        (
            authority.server(&["*.localhost"]),
            "ERR_TLS_CERT_ALTNAME_INVALID",
        ),
        (
            authority.server_valid(&["localhost"], Validity::Expired),
            "CERT_HAS_EXPIRED",
        ),
        (
            authority.server_valid(&["localhost"], Validity::NotYet),
            "CERT_NOT_YET_VALID",
        ),
        (
            Leaf::self_signed(&["localhost"]),
            "DEPTH_ZERO_SELF_SIGNED_CERT",
        ),
        (unknown.localhost(), "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
    ];
    for (leaf, code) in bad {
        let origin = TestOrigin::start_tls(ServerTls::new(&leaf)).await;
        let client = Client::tls(origin.port(), over(trusting(&authority)));
        let calls = [client.get("/bytes/1"), client.post("/echo", "1", "secret")];
        for call in &calls {
            let error = within(code, call.error()).await;
            assert_eq!(error.kind(), ErrorKind::Tls, "{code}");
            assert_eq!(dodici_testkit::client::code(&error), code);
            assert_eq!(error.replay(), dodici::Replay::Unsent);
        }
        client.pool.close();
        within("closed", client.events.closed()).await;
        assert!(origin.executed().is_empty(), "{code}");
        let log = origin.finish().await;
        assert!(
            log.connections.iter().all(|conn| conn.received.is_empty()),
            "{code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s12_an_address_is_verified_against_address_names() {
    let authority = Authority::new("dodici test");
    for (names, good) in [(&["127.0.0.1"][..], true), (&["localhost"], false)] {
        let origin = TestOrigin::start_tls(ServerTls::new(&authority.server(names))).await;
        let address = Origin::new(Scheme::Https, "127.0.0.1", origin.port());
        let client = Client::to(address, over(trusting(&authority)));
        let seen = within("settled", client.get("/bytes/1").settled()).await;
        let expected = (!good).then_some(ErrorKind::Tls);
        assert_eq!(seen.error_kind(), expected, "{names:?}");
        origin.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_none_of_the_offered_protocols_fails_the_request() {
    let authority = Authority::new("dodici test");
    let demands = TlsDemands {
        alpn: &[b"h2"],
        ..TlsDemands::default()
    };
    let origin = TestOrigin::start_tls(ServerTls::with(&authority.localhost(), &demands)).await;
    let client = Client::tls(origin.port(), over(trusting(&authority)));
    let error = within("refused", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_unsolicited_bytes_end_an_idle_tls_connection() {
    let authority = Authority::new("dodici test");
    let poison = Signal::new();
    let wait = poison.clone();
    let builder = ScriptedPeer::tcp().await;
    let peer = builder
        .tls(ServerTls::new(&authority.localhost()))
        .run(move |mut conn| {
            let wait = wait.clone();
            async move {
                conn.read_head().await;
                conn.send(OK).await;
                if conn.index() == 0 {
                    wait.raised().await;
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
                        .await;
                }
                conn.closed().await;
            }
        });
    let client = Client::tls(peer.port(), over(trusting(&authority)));
    within("first", client.get("/a").ended()).await;
    poison.raise();
    let gone = |event: &Event| matches!(event, Event::Disconnected { .. });
    let Event::Disconnected { info, .. } = within("gone", client.events.wait_for(gone)).await
    else {
        unreachable!("asked for a disconnect");
    };
    assert_eq!(info.reason, CloseReason::UnsolicitedData);
    let second = within("second", client.get("/b").ended()).await;
    assert_eq!(second.body, b"ok");
    assert!(!second.connection.unwrap().1);
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_s25_without_close_notify_only_self_delimited_bodies_are_complete() {
    let authority = Authority::new("dodici test");
    for (text, complete) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
            false,
        ),
    ] {
        for notify in [true, false] {
            let builder = ScriptedPeer::tcp().await;
            let tls = ServerTls::new(&authority.localhost());
            let peer = builder.tls(tls).run(move |mut conn| async move {
                conn.read_head().await;
                conn.send(text).await;
                match notify {
                    true => conn.fin().await,
                    false => conn.fin_without_notify().await,
                }
                conn.closed().await;
            });
            let client = Client::tls(peer.port(), over(trusting(&authority)));
            let call = client.get("/");
            let seen = within(text, call.settled()).await;
            assert_eq!(
                seen.error_kind().is_none(),
                complete,
                "{text:?}, notify {notify}"
            );
            assert_eq!(seen.body, b"ok");
            client.pool.close();
            within("closed", client.events.closed()).await;
            peer.finish().await;
        }
    }
}
