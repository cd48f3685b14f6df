//! Decoders that are part of a connection, tested through the whole engine: a peer on a Unix socket
//! sends the input and closes. Whatever it was, each request settles once (checked by the
//! recording), and each opened connection ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use dodici::{
    BodyKind, HeaderBlock, Origin, OriginConfig, Proxy, ProxyCredentials, ProxyProtocol, Request,
    Scheme, SocksResolve,
};
use dodici_testkit::client::get;
use dodici_testkit::h2::{block, frame, kind, response_block};
use dodici_testkit::{Client, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// The first byte selects the interpretation of the rest: raw bytes, or compact frames (type,
/// flags, stream, length, payload), which a fuzzer finds sooner.
pub(crate) fn http2_frames(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let mut sent = frame(kind::SETTINGS, 0, 0, []);
    if choice & 1 == 0 {
        sent.extend_from_slice(rest);
    } else {
        let mut rest = rest;
        while let [of, flags, stream, length, behind @ ..] = rest {
            let (payload, behind) = behind.split_at(behind.len().min((*length).into()));
            sent.extend(frame(of % 11, *flags, u32::from(stream % 8), payload));
            rest = behind;
        }
    }
    http2(sent);
}

/// The input is a header block: of the first response, then of its trailers.
pub(crate) fn http2_hpack(input: &[u8]) {
    let mut sent = frame(kind::SETTINGS, 0, 0, []);
    sent.extend(frame(kind::HEADERS, 4, 1, input));
    sent.extend(frame(kind::HEADERS, 4, 3, response_block(200, &[])));
    sent.extend(frame(kind::DATA, 0, 3, "body"));
    sent.extend(frame(kind::HEADERS, 5, 3, input));
    sent.extend(frame(kind::HEADERS, 5, 5, block(&[(":status", "204")])));
    http2(sent);
}

fn http2(sent: Vec<u8>) {
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    let origin = Origin::new(Scheme::Http, "test", 80);
    let post = Request::new("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n")
        .with_body(BodyKind::Full(Bytes::from_static(b"body")));
    settles(origin, config, vec![get("/1"), post, get("/3")], sent);
}

/// The input is a proxy's response to CONNECT, followed by the contents of the tunnel.
pub(crate) fn proxy_http(input: &[u8]) {
    let mut headers = HeaderBlock::new();
    headers.push(b"proxy-authorization", b"Basic c2VjcmV0");
    through(ProxyProtocol::HttpTunnel { headers }, None, input);
}

/// The first byte selects version and credentials; the rest is the proxy's replies.
pub(crate) fn proxy_socks(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    let resolve = SocksResolve::Proxy;
    let protocol = match choice & 1 {
        0 => ProxyProtocol::Socks5 { resolve },
        _ => ProxyProtocol::Socks4 { resolve },
    };
    let credentials = (choice & 2 != 0).then(|| ProxyCredentials {
        username: b"ann".to_vec(),
        password: b"secret".to_vec(),
    });
    through(protocol, credentials, said);
}

fn through(protocol: ProxyProtocol, credentials: Option<ProxyCredentials>, said: &[u8]) {
    let mut proxy = Proxy::new(protocol, "proxy.test", 1080);
    proxy.credentials = credentials;
    let mut config = OriginConfig::default();
    config.connect.proxy = Some(Box::new(proxy));
    let origin = Origin::new(Scheme::Http, "target.test", 80);
    settles(origin, config, vec![get("/")], said.to_vec());
}

/// A path that no other run uses.
fn socket_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("dodici-fuzz-{}-{number}", std::process::id()))
}

/// Sends these requests to a peer that sends this on every connection, and waits until they end.
fn settles(origin: Origin, mut config: OriginConfig, requests: Vec<Request>, sent: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let path = socket_path();
    config.connect.socket_path = Some(path.clone());
    runtime.block_on(async {
        let listener = UnixListener::bind(&path).expect("a socket");
        let peer = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let sent = sent.clone();
                tokio::spawn(async move {
                    // The other side may have closed already, or may close in between.
                    let _ = stream.write_all(&sent).await;
                    let _ = stream.shutdown().await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        let client = Client::to(origin, config);
        let calls: Vec<_> = requests
            .into_iter()
            .map(|request| client.send(request))
            .collect();
        for call in &calls {
            within("an end", call.settled()).await;
        }
        client.pool.destroy();
        within("the pool's end", client.events.closed()).await;
        for call in &calls {
            call.recording.check();
        }
        peer.abort();
    });
    // It is in a temporary directory: a leftover file is harmless.
    let _ = std::fs::remove_file(path);
}
