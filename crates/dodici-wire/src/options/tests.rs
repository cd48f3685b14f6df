//! Options as they cross, and what is refused.

use dodici_pool::{ConnectConfig, Http2Config, Http3Mode, PoolConfig, UnexpectedContinue};

use super::value::LONGEST;
use super::*;
use crate::tagged::put_bytes;

fn put_option(out: &mut Vec<u8>, key: OptionKey, value: &[u8]) {
    put_bytes(out, key as u16, value);
}

fn put_number_option(out: &mut Vec<u8>, key: OptionKey, value: f64) {
    put_option(out, key, &value.to_le_bytes());
}

fn put_flag_option(out: &mut Vec<u8>, key: OptionKey, value: bool) {
    put_option(out, key, &[value.into()]);
}

fn origin() -> Vec<u8> {
    let mut out = Vec::new();
    put_option(&mut out, OptionKey::Scheme, b"https");
    put_option(&mut out, OptionKey::Host, b"Example.ORG");
    out
}

fn with_number(key: OptionKey, value: f64) -> Result<PoolOptions, OptionsError> {
    let mut out = origin();
    put_number_option(&mut out, key, value);
    PoolOptions::decode(&out)
}

fn with(key: OptionKey, value: &[u8]) -> Result<PoolOptions, OptionsError> {
    let mut out = origin();
    put_option(&mut out, key, value);
    PoolOptions::decode(&out)
}

#[test]
fn an_origin_alone_gives_the_defaults() {
    let options = PoolOptions::decode(&origin()).unwrap();
    assert_eq!(
        options.origin,
        Origin::new(Scheme::Https, "example.org", 443)
    );
    assert_eq!(options.config.pool, PoolConfig::default());
    assert_eq!(options.config.connect, ConnectConfig::default());
    assert_eq!(
        options.config.exchange.unexpected_continue,
        UnexpectedContinue::Await(Duration::from_secs(2))
    );
    assert!(options.config.exchange.abrupt_close_ends_body);
    assert!(options.config.exchange.early_response);
}

#[test]
fn scheme_and_host_are_required() {
    assert_eq!(
        PoolOptions::decode(&[]),
        Err(OptionsError::Missing(OptionKey::Scheme))
    );
    let mut out = Vec::new();
    put_option(&mut out, OptionKey::Scheme, b"http");
    assert_eq!(
        PoolOptions::decode(&out),
        Err(OptionsError::Missing(OptionKey::Host))
    );
}

#[test]
fn zero_and_infinity_mean_no_limit() {
    for none in [0.0, f64::INFINITY] {
        let options = with_number(OptionKey::Connections, none).unwrap();
        assert_eq!(options.config.pool.max_connections, None);
        let options = with_number(OptionKey::HeadersTimeout, none).unwrap();
        assert_eq!(options.config.exchange.headers_timeout, None);
        let options = with_number(OptionKey::ClientTtl, none).unwrap();
        assert_eq!(options.config.pool.max_connection_age, None);
    }
    for none in [-1.0, f64::INFINITY] {
        let options = with_number(OptionKey::MaxResponseSize, none).unwrap();
        assert_eq!(options.config.exchange.max_response_size, None);
        let options = with_number(OptionKey::KeepAliveProbe, none).unwrap();
        assert_eq!(options.config.connect.keep_alive_probe, None);
    }
    let options = with_number(OptionKey::MaxResponseSize, 0.0).unwrap();
    assert_eq!(options.config.exchange.max_response_size, Some(0));
}

#[test]
fn times_are_milliseconds_and_can_be_added_to_a_clock() {
    let options = with_number(OptionKey::KeepAliveTimeout, 1.5).unwrap();
    assert_eq!(
        options.config.pool.keep_alive_timeout,
        Some(Duration::from_micros(1500))
    );
    for huge in [f64::MAX, f64::INFINITY] {
        let options = with_number(OptionKey::KeepAliveTimeout, huge).unwrap();
        assert_eq!(options.config.pool.keep_alive_timeout, None);
        let options = with_number(OptionKey::KeepAliveTimeoutThreshold, huge).unwrap();
        assert_eq!(options.config.pool.keep_alive_timeout_threshold, LONGEST);
    }
}

#[test]
fn prior_knowledge_of_http3_takes_precedence_over_discovery() {
    let mode = |options: &[(OptionKey, &[u8])]| {
        let mut out = origin();
        for (key, value) in options {
            put_option(&mut out, *key, value);
        }
        PoolOptions::decode(&out).map(|options| options.config.http3.mode)
    };
    let (allow, always) = (OptionKey::AllowH3, OptionKey::Http3);
    assert_eq!(mode(&[]), Ok(Http3Mode::Off));
    assert_eq!(mode(&[(allow, &[0])]), Ok(Http3Mode::Off));
    assert_eq!(mode(&[(allow, &[1])]), Ok(Http3Mode::Discovered));
    let both: [(_, &[u8]); 2] = [(allow, &[1]), (always, b"prior-knowledge")];
    assert_eq!(mode(&both), Ok(Http3Mode::PriorKnowledge));
    assert_eq!(mode(&[both[1], both[0]]), Ok(Http3Mode::PriorKnowledge));
    assert!(mode(&[(always, b"yes")]).is_err());
}

#[test]
fn a_depth_of_zero_is_no_keep_alive() {
    for (depth, keep_alive) in [(0.0, false), (0.5, false), (1.0, true), (9.0, true)] {
        let pool = with_number(OptionKey::Pipelining, depth)
            .unwrap()
            .config
            .pool;
        assert_eq!(
            (pool.pipelining, pool.keep_alive),
            (depth as u32, keep_alive)
        );
    }
}

#[test]
fn numbers_of_a_registry_have_two_bytes() {
    let options = with(OptionKey::CipherSuites, &[0x01, 0x13, 0x2f, 0xc0]).unwrap();
    let tls = options.config.connect.tls;
    assert_eq!(tls.cipher_suites, Some(vec![0x1301, 0xc02f]));
    assert_eq!((tls.groups, tls.signature_schemes), (None, None));
}

#[test]
fn a_wrong_value_names_its_key() {
    let error = with_number(OptionKey::Port, 65536.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid Port: expected a port, 0 to 65535"
    );
    for (key, value) in [
        (OptionKey::Scheme, &b"ftp"[..]),
        (OptionKey::Host, b"\xff"),
        (OptionKey::Pipelining, b"1"),
        (OptionKey::Pipelining, &f64::NAN.to_le_bytes()),
        (OptionKey::Pipelining, &(-1f64).to_le_bytes()),
        (OptionKey::NoDelay, b"2"),
        (OptionKey::LocalAddress, b"localhost"),
        (OptionKey::Family, &5f64.to_le_bytes()),
        (OptionKey::MinVersion, b"TLSv1"),
        (OptionKey::LocalPort, &65_536f64.to_le_bytes()),
        (OptionKey::TypeOfService, &256f64.to_le_bytes()),
        (OptionKey::CipherSuites, b"odd"),
    ] {
        match with(key, value) {
            Err(OptionsError::Invalid { key: named, .. }) => assert_eq!(named, key),
            other => panic!("{key:?}: {other:?}"),
        }
    }
}

#[test]
fn http2_has_its_own_limits() {
    let mut out = origin();
    put_flag_option(&mut out, OptionKey::Http2, true);
    put_number_option(&mut out, OptionKey::MaxConcurrentStreams, 7.0);
    put_number_option(&mut out, OptionKey::StreamWindow, 1000.0);
    put_number_option(&mut out, OptionKey::ConnectionWindow, 2000.0);
    put_number_option(&mut out, OptionKey::PingInterval, 0.0);
    let http2 = PoolOptions::decode(&out).unwrap().config.http2;
    let mut expected = Http2Config::default();
    expected.prior_knowledge = true;
    expected.max_concurrent_streams = 7;
    expected.stream_window = 1000;
    expected.max_stream_window = 1000;
    expected.connection_window = Some(2000);
    expected.ping_interval = None;
    expected.max_replays = 1;
    expected.streams_before_settings = 1;
    assert_eq!(http2, expected);
}

#[test]
fn http3_has_the_same_limits() {
    let mut out = origin();
    put_number_option(&mut out, OptionKey::MaxConcurrentStreams, 7.0);
    put_number_option(&mut out, OptionKey::StreamWindow, 1000.0);
    put_number_option(&mut out, OptionKey::ConnectionWindow, 2000.0);
    put_number_option(&mut out, OptionKey::PingInterval, 5000.0);
    let http3 = PoolOptions::decode(&out).unwrap().config.http3;
    let mut expected = PoolOptions::decode(&origin()).unwrap().config.http3;
    expected.max_concurrent_streams = 7;
    expected.stream_window = 1000;
    expected.connection_window = Some(2000);
    expected.ping_interval = Some(Duration::from_secs(5));
    assert_eq!(http3, expected);
}

#[test]
fn the_interval_of_pings_over_http3_has_a_limit() {
    for (interval, seconds) in [(0.0, None), (5_000.0, Some(5)), (60_000.0, Some(15))] {
        let config = with_number(OptionKey::PingInterval, interval).unwrap();
        let interval = config.config.http3.ping_interval;
        assert_eq!(interval, seconds.map(Duration::from_secs));
    }
}

#[test]
fn a_ping_must_be_acknowledged_before_the_next_is_due() {
    for (interval, seconds) in [(50.0, 1), (5_000.0, 5), (60_000.0, 20)] {
        let config = with_number(OptionKey::PingInterval, interval).unwrap();
        let timeout = config.config.http2.ping_timeout;
        assert_eq!(timeout, Duration::from_secs(seconds));
    }
}

#[test]
fn an_unknown_key_is_an_error() {
    let mut out = origin();
    put_bytes(&mut out, 999, b"");
    assert_eq!(
        PoolOptions::decode(&out),
        Err(OptionsError::UnknownKey(999))
    );
}

#[test]
fn certificates_and_alpn_repeat() {
    let mut out = origin();
    put_option(&mut out, OptionKey::Ca, b"one");
    put_option(&mut out, OptionKey::Ca, b"two");
    put_option(&mut out, OptionKey::Alpn, b"h2");
    put_option(&mut out, OptionKey::Alpn, b"http/1.1");
    let tls = PoolOptions::decode(&out).unwrap().config.connect.tls;
    assert_eq!(
        tls.roots,
        RootSource::Custom(vec![b"one".to_vec(), b"two".to_vec()])
    );
    assert_eq!(tls.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn an_empty_certificate_is_an_empty_list_of_them() {
    let mut out = origin();
    put_option(&mut out, OptionKey::Ca, b"");
    let tls = PoolOptions::decode(&out).unwrap().config.connect.tls;
    assert_eq!(tls.roots, RootSource::Custom(Vec::new()));
}

#[test]
fn a_certificate_without_a_key_is_searched_for_one() {
    let tls = with(OptionKey::Cert, b"pem").unwrap().config.connect.tls;
    let [identity] = &tls.identities[..] else {
        panic!("one identity");
    };
    assert_eq!(
        (&*identity.cert, &*identity.key),
        (&b"pem"[..], &b"pem"[..])
    );
    let alone = with(OptionKey::Key, b"pem").unwrap().config.connect.tls;
    assert!(alone.identities.is_empty());
}

#[test]
fn the_nth_key_belongs_to_the_nth_certificate() {
    let mut out = origin();
    put_option(&mut out, OptionKey::Cert, b"cert 1");
    put_option(&mut out, OptionKey::Cert, b"cert 2");
    put_option(&mut out, OptionKey::Key, b"key 1");
    put_option(&mut out, OptionKey::Key, b"key 2");
    let tls = PoolOptions::decode(&out).unwrap().config.connect.tls;
    let expected = [
        Identity::new("cert 1", "key 1"),
        Identity::new("cert 2", "key 2"),
    ];
    assert_eq!(tls.identities, expected);
}

#[test]
fn more_roots_revocation_lists_and_the_key_log_are_of_tls() {
    let mut out = origin();
    put_option(&mut out, OptionKey::MoreRoots, b"root");
    put_option(&mut out, OptionKey::RevocationLists, b"one");
    put_option(&mut out, OptionKey::RevocationLists, b"two");
    put_option(&mut out, OptionKey::KeyLog, b"/secrets");
    let tls = PoolOptions::decode(&out).unwrap().config.connect.tls;
    assert_eq!(tls.more_roots, [b"root".to_vec()]);
    assert_eq!(tls.revocation_lists, [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(tls.key_log.as_deref(), Some("/secrets".as_ref()));
}

fn proxied(with: impl FnOnce(&mut Vec<u8>)) -> Result<Option<Box<Proxy>>, OptionsError> {
    let mut out = origin();
    put_option(&mut out, OptionKey::ProxyHost, b"proxy.test");
    put_number_option(&mut out, OptionKey::ProxyPort, 3128.0);
    with(&mut out);
    Ok(PoolOptions::decode(&out)?.config.connect.proxy)
}

#[test]
fn there_is_a_proxy_only_if_its_protocol_is_given() {
    assert_eq!(proxied(|_| {}), Ok(None));
    let proxy = proxied(|out| put_option(out, OptionKey::ProxyProtocol, b"socks5")).unwrap();
    let resolve = SocksResolve::Local;
    let expected = Proxy::new(ProxyProtocol::Socks5 { resolve }, "proxy.test", 3128);
    assert_eq!(*proxy.unwrap(), expected);
    for (name, expected) in [
        ("http", ProxyProtocol::HttpForward),
        (
            "socks5h",
            ProxyProtocol::Socks5 {
                resolve: SocksResolve::Proxy,
            },
        ),
        ("socks4", ProxyProtocol::Socks4 { resolve }),
        (
            "socks4a",
            ProxyProtocol::Socks4 {
                resolve: SocksResolve::Proxy,
            },
        ),
    ] {
        let given = |out: &mut Vec<u8>| put_option(out, OptionKey::ProxyProtocol, name.as_bytes());
        assert_eq!(proxied(given).unwrap().unwrap().protocol, expected);
    }
    let unknown = proxied(|out| put_option(out, OptionKey::ProxyProtocol, b"gopher"));
    assert!(matches!(
        unknown,
        Err(OptionsError::Invalid {
            key: OptionKey::ProxyProtocol,
            ..
        })
    ));
}

#[test]
fn a_tunnel_has_its_fields_in_order_and_its_own_tls() {
    let proxy = proxied(|out| {
        put_option(out, OptionKey::ProxyProtocol, b"http-tunnel");
        put_option(out, OptionKey::ProxyHeader, b"b\n1");
        put_option(out, OptionKey::ProxyHeader, b"a\n2\n3");
        put_number_option(out, OptionKey::ProxyTimeout, 1500.0);
        put_option(out, OptionKey::ServerName, b"origin.test");
        let mut tls = Vec::new();
        put_option(&mut tls, OptionKey::ServerName, b"proxy.test");
        put_flag_option(&mut tls, OptionKey::RejectUnauthorized, false);
        put_option(out, OptionKey::ProxyTls, &tls);
    });
    let proxy = proxy.unwrap().unwrap();
    let ProxyProtocol::HttpTunnel { headers } = &proxy.protocol else {
        panic!("{proxy:?}");
    };
    let fields: Vec<_> = headers.iter().collect();
    assert_eq!(fields, [(&b"b"[..], &b"1"[..]), (b"a", b"2\n3")]);
    let tls = proxy.tls.unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("proxy.test"));
    assert!(!tls.verify);
    assert_eq!(proxy.timeout, Some(Duration::from_millis(1500)));
}

#[test]
fn a_proxys_tls_takes_keys_for_tls_alone() {
    let misplaced = proxied(|out| {
        let mut tls = Vec::new();
        put_flag_option(&mut tls, OptionKey::NoDelay, true);
        put_option(out, OptionKey::ProxyTls, &tls);
    });
    assert_eq!(misplaced, Err(OptionsError::Misplaced(OptionKey::NoDelay)));
    let without_value = proxied(|out| put_option(out, OptionKey::ProxyHeader, b"name"));
    assert!(matches!(
        without_value,
        Err(OptionsError::Invalid {
            key: OptionKey::ProxyHeader,
            ..
        })
    ));
}

#[test]
fn contradictions_are_errors() {
    let mut out = origin();
    put_option(&mut out, OptionKey::Ca, b"one");
    put_flag_option(&mut out, OptionKey::PlatformVerifier, true);
    assert_eq!(
        PoolOptions::decode(&out),
        Err(OptionsError::Conflict(
            OptionKey::Ca,
            OptionKey::PlatformVerifier
        ))
    );
    let mut out = origin();
    put_option(&mut out, OptionKey::MinVersion, b"TLSv1.3");
    put_option(&mut out, OptionKey::MaxVersion, b"TLSv1.2");
    assert!(PoolOptions::decode(&out).is_err());
}

/// What a row says of an absent value is what the engine does without the key.
#[test]
fn the_defaults_of_the_table_are_those_of_the_configuration() {
    let absent = PoolOptions::decode(&origin()).unwrap();
    for row in table::ROWS {
        let Some(key) = row.wire.and_then(|wire| OptionKey::from_wire(wire.key)) else {
            continue;
        };
        let mut out = origin();
        match row.default {
            row::Fallback::Number(number) => put_number_option(&mut out, key, number),
            row::Fallback::Flag(flag) => put_flag_option(&mut out, key, flag),
            _ => continue,
        }
        assert_eq!(
            PoolOptions::decode(&out),
            Ok(absent.clone()),
            "{}",
            row.name
        );
    }
}

#[test]
fn a_name_is_unique_in_each_scope() {
    let named = |row: &&row::OptionRow| !row.name.is_empty();
    let mut names: Vec<_> = table::ROWS
        .iter()
        .chain(foreign::FOREIGN_ROWS)
        .filter(named)
        .map(|row| (row.scope as u8, row.name))
        .collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
