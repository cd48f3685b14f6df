//! Small languages: Alt-Svc, cookies and NO_PROXY.

use std::time::Instant;

use dodici_pool::{AltSvc, Alternatives, Origin, Scheme};
use dodici_reqwest::cookie::{CookieStore, Jar};
use dodici_reqwest::header::HeaderValue;
use dodici_reqwest::{Client, NoProxy, Proxy, Url};

/// Each line is an `alt-svc` field of an origin with a port that anybody may listen on.
pub(crate) fn alt_svc(input: &[u8]) {
    let origin = Origin::new(Scheme::Https, "a.example.com", 8443);
    let values = input.split(|byte| *byte == b'\n');
    let Some(said) = AltSvc::parse(values, &origin.host) else {
        return;
    };
    let now = Instant::now();
    let mut known = Alternatives::default();
    known.learn(&origin, said, now);
    if let Some((alternative, _)) = known.of(&origin, now) {
        let host = &alternative.host;
        let is_name = host.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(is_name && !host.is_empty(), "{host:?}");
        assert!(alternative.port >= 1024, "{}", alternative.port);
    }
}

/// Each line is a `set-cookie` field; the result is a field that may be sent.
pub(crate) fn cookies(input: &[u8]) {
    let jar = Jar::default();
    let url: Url = "https://a.example.com/b/c".parse().expect("a URL");
    let fields: Vec<_> = input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    jar.set_cookies(&mut fields.iter(), &url);
    if let Some(sent) = jar.cookies(&url) {
        let controls = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        assert!(!sent.as_bytes().iter().any(controls), "{sent:?}");
    }
}

/// A list as in NO_PROXY.
pub(crate) fn no_proxy(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(proxy) = Proxy::all("http://proxy.test") else {
        panic!("a proxy can be named");
    };
    let built = Client::builder()
        .tls_certs_only([])
        .proxy(proxy.no_proxy(NoProxy::from_string(&text)))
        .build();
    assert!(built.is_ok(), "{:?}", built.err());
}
