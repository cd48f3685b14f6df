//! HTTP/2 with third-party servers: hyper's, Node's, and nghttpd, nginx and haproxy if they are installed.
//! nginx and haproxy are in front of hyper's.
//!
//! `DODICI_INTEROP_REQUESTS` sets the number of requests of each kind and `DODICI_LARGE_BODY` the
//! bytes of a large body; `just soak-h2` runs the long form.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod servers;

use std::time::{Duration, Instant};

use bytes::Bytes;
use dodici::{BodyKind, OriginConfig, Request, RootSource};
use dodici_testkit::figures::{figure, resident};
use dodici_testkit::{Authority, Call, Client, within};

use self::servers::{Made, Server, far_away, files, free_port, hyper_server, start};

/// Requests of each kind in the short form.
const SHORT: usize = 500;

/// Bytes of a large body in the short form.
const LARGE: u64 = 64 << 20;

/// Requests in flight.
const IN_FLIGHT: usize = 50;

/// Memory that a large body may add to this process, including hyper's server: windows and buffers of
/// both sides are 8 MiB, the rest is the allocator's.
const GROWTH: u64 = 64 << 20;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn requests() -> usize {
    from_environment("DODICI_INTEROP_REQUESTS").map_or(SHORT, |count| count as usize)
}

fn large() -> u64 {
    from_environment("DODICI_LARGE_BODY").unwrap_or(LARGE)
}

/// A server's paths.
struct Routes {
    /// A small body, and its length.
    small: (&'static str, usize),
    post: &'static str,
    /// Whether it echoes the body.
    echoes: bool,
    trailers: Trailers,
    /// A trailer that small bodies have.
    trailer: (&'static str, &'static str),
    /// A body of [`large`] bytes.
    large: String,
    /// Accepts a body of any length. Returns its length in `x-count`, if it can.
    upload: &'static str,
}

/// What a server does with a request's trailers.
#[derive(PartialEq, Eq)]
enum Trailers {
    /// Echoes them after the response.
    Echoed,
    /// Accepts them.
    Taken,
    /// Treats them as a protocol violation.
    Refused,
}

/// Those of hyper's server and of Node's.
fn application() -> Routes {
    Routes {
        small: ("/bytes/17", 17),
        post: "/echo",
        echoes: true,
        trailers: Trailers::Echoed,
        trailer: ("x-sum", "17"),
        large: format!("/bytes/{}", large()),
        upload: "/count",
    }
}

fn chunked_post(path: &str) -> Request {
    Request::new(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .with_body(BodyKind::Chunked)
}

fn post(path: &str, body: &Bytes) -> Request {
    Request::new(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ))
    .with_body(BodyKind::Full(body.clone()))
}

/// Sends this many requests, [`IN_FLIGHT`] at a time, and checks each response.
async fn many(
    name: &str,
    what: &str,
    send: impl Fn() -> Call,
    check: impl Fn(&dodici_testkit::recording::Seen),
) {
    let count = requests();
    let begun = Instant::now();
    for at in (0..count).step_by(IN_FLIGHT) {
        let calls: Vec<_> = (at..count.min(at + IN_FLIGHT)).map(|_| send()).collect();
        for call in calls {
            let seen = within(what, call.ended()).await;
            assert_eq!(seen.status(), 200, "{what}");
            check(&seen);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let value = format!("{count} answered, 0 lost, {seconds:.1} s");
    figure(name, what, value);
}

/// GETs, POSTs, trailers and large bodies in both directions; all must arrive complete.
async fn exercise(name: &str, client: Client, routes: &Routes) {
    let (path, length) = routes.small;
    let trailer = (routes.trailer.0.to_owned(), routes.trailer.1.to_owned());
    let get = || client.get(path);
    many(name, "GET with trailers", get, |seen| {
        assert_eq!(seen.body.len(), length);
        assert_eq!(seen.trailers(), std::slice::from_ref(&trailer));
        assert_eq!(seen.head.as_ref().unwrap().version, dodici::Version::Http2);
    })
    .await;
    let body = Bytes::from(vec![b'p'; 1024]);
    let send = || client.send(post(routes.post, &body));
    many(name, "POST of 1 KiB", send, |seen| {
        assert!(!routes.echoes || seen.body == body);
    })
    .await;
    let send = || {
        let call = client.send(chunked_post(routes.post));
        call.chunk("streamed");
        call.handle.body_end([("x-up", "8")].into_iter().collect());
        call
    };
    if routes.trailers != Trailers::Refused {
        many(name, "POST with trailers", send, |seen| {
            assert!(!routes.echoes || seen.body == b"streamed");
            if routes.trailers == Trailers::Echoed {
                let sent = ("x-up".to_owned(), "8".to_owned());
                assert_eq!(seen.trailers(), [sent]);
            }
        })
        .await;
    }
    download(name, &client, &routes.large).await;
    upload(name, &client, routes.upload).await;
    client.pool.close();
    within("close", client.events.closed()).await;
}

async fn download(name: &str, client: &Client, path: &str) {
    let watch = Watch::begin();
    let request = http::Request::get(path).body(String::new()).unwrap();
    let response = client.pool.send(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let mut body = response.into_body();
    let (mut count, mut peak) = (0, watch.before);
    while let Some(chunk) = body.chunk().await.unwrap() {
        count += chunk.len() as u64;
        peak = peak.max(resident());
    }
    assert_eq!(count, large());
    watch.end(name, "download", peak);
}

async fn upload(name: &str, client: &Client, path: &str) {
    let watch = Watch::begin();
    let request = http::Request::post(path).body(Made::new(large())).unwrap();
    let sent = client.pool.send(request);
    tokio::pin!(sent);
    let mut peak = watch.before;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let response = loop {
        tokio::select! {
            response = &mut sent => break response.unwrap(),
            _ = ticks.tick() => peak = peak.max(resident()),
        }
    };
    assert_eq!(response.status(), 200);
    if let Some(count) = response.headers().get("x-count") {
        assert_eq!(count.to_str().unwrap(), large().to_string());
    }
    response.into_body().collect().await.unwrap();
    watch.end(name, "upload", peak);
}

/// Time and memory of one transfer.
struct Watch {
    before: Option<u64>,
    begun: Instant,
}

impl Watch {
    fn begin() -> Self {
        Self {
            before: resident(),
            begun: Instant::now(),
        }
    }

    fn end(self, name: &str, what: &str, peak: Option<u64>) {
        let grown = peak.unwrap_or(0).saturating_sub(self.before.unwrap_or(0));
        let seconds = self.begun.elapsed().as_secs_f64();
        let size = large() >> 20;
        let rate = size as f64 / seconds;
        let mib = grown as f64 / f64::from(1 << 20);
        let value = format!("{seconds:.1} s, {rate:.0} MiB/s, +{mib:.1} MiB resident");
        figure(name, &format!("{what} of {size} MiB"), value);
        // Other tests may run in this process concurrently, each with as much.
        let tests = if from_environment("DODICI_LARGE_BODY").is_some() {
            1
        } else {
            5
        };
        assert!(grown < tests * GROWTH, "{name}: {what}: {mib:.1} MiB");
    }
}

fn negotiated(authority: &Authority) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    config.connect.tls.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn exercise_tls(name: &str, server: &Server, authority: &Authority, routes: &Routes) {
    let client = Client::tls(server.port, negotiated(authority));
    exercise(name, client, routes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypers_server_interoperates() {
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    let client = Client::new(hyper_server().await, config);
    exercise("hyper (h2c)", client.clone(), &application()).await;
    assert_eq!(client.events.connects(), 1);
}

/// The effect of growing windows; the figure is for the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distant_server_interoperates() {
    let near = hyper_server().await;
    let bytes = large() >> 5;
    for (what, grows) in [("window of 256 KiB", false), ("windows that grow", true)] {
        let mut config = OriginConfig::default();
        config.http2.prior_knowledge = true;
        if !grows {
            config.http2.max_stream_window = 0;
        }
        let port = far_away(near, Duration::from_millis(25)).await;
        let client = Client::new(port, config);
        let begun = Instant::now();
        let path = format!("/bytes/{bytes}");
        let seen = within("download", client.get(&path).ended()).await;
        assert_eq!(seen.body.len() as u64, bytes);
        let (seconds, mib) = (begun.elapsed().as_secs_f64(), bytes >> 20);
        let rate = mib as f64 / seconds;
        let value = format!("{mib} MiB in {seconds:.1} s, {rate:.0} MiB/s");
        figure("hyper (h2c), 50 ms away", what, value);
        client.pool.close();
        within("close", client.events.closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_server_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("node", &authority, 0);
    let port = free_port().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/h2_interop/server.cjs");
    let arguments = [
        script.to_owned(),
        port.to_string(),
        directory.join("key.pem").display().to_string(),
        directory.join("cert.pem").display().to_string(),
    ];
    if let Some(server) = start("node", directory, port, &arguments).await {
        exercise_tls("Node", &server, &authority, &application()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nghttpd_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("nghttpd", &authority, large());
    let port = free_port().await;
    let path = |name: &str| directory.join(name).display().to_string();
    let arguments = [
        "--address=127.0.0.1".to_owned(),
        "--trailer=x-sum: 5".to_owned(),
        format!("--htdocs={}", path("www")),
        port.to_string(),
        path("key.pem"),
        path("cert.pem"),
    ];
    let routes = Routes {
        small: ("/small", 5),
        post: "/small",
        echoes: false,
        trailers: Trailers::Taken,
        trailer: ("x-sum", "5"),
        large: "/large".to_owned(),
        upload: "/small",
    };
    if let Some(server) = start("nghttpd", directory.clone(), port, &arguments).await {
        exercise_tls("nghttpd", &server, &authority, &routes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("nginx", &authority, 0);
    let (port, behind) = (free_port().await, hyper_server().await);
    let root = directory.display();
    // It closes a connection after 500 requests.
    let configuration = format!(
        "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/log;\n\
         events {{ }}\n\
         http {{ access_log off; keepalive_requests 500; client_max_body_size 0;\n\
         client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;\n\
         uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{port} ssl http2;\n\
         ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;\n\
         location / {{ grpc_pass grpc://behind; }} }} }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let arguments = [
        "-p".to_owned(),
        root.to_string(),
        "-c".to_owned(),
        format!("{root}/nginx.conf"),
        "-e".to_owned(),
        format!("{root}/log"),
    ];
    let routes = Routes {
        trailers: Trailers::Refused,
        ..application()
    };
    if let Some(server) = start("nginx", directory.clone(), port, &arguments).await {
        exercise_tls("nginx", &server, &authority, &routes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("haproxy", &authority, 0);
    let (port, behind) = (free_port().await, hyper_server().await);
    let root = directory.display();
    let configuration = format!(
        "global\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout connect 5s\n  timeout server 60s\n\
         frontend all\n  bind 127.0.0.1:{port} ssl crt {root}/both.pem alpn h2\n\
           default_backend behind\n\
         backend behind\n  server one 127.0.0.1:{behind} proto h2\n"
    );
    std::fs::write(directory.join("haproxy.cfg"), configuration).unwrap();
    let arguments = [
        "-f".to_owned(),
        format!("{root}/haproxy.cfg"),
        "-db".to_owned(),
    ];
    if let Some(server) = start("haproxy", directory.clone(), port, &arguments).await {
        exercise_tls("haproxy", &server, &authority, &application()).await;
    }
}
