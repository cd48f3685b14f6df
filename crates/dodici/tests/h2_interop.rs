//! HTTP/2 with servers of others: the h2 crate's (which is hyper's), nghttpd, nginx and haproxy,
//! where they are installed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use dodici::{BodyKind, Engine, NoEvents, Origin, OriginConfig, Pool, Request, RootSource, Scheme};
use dodici_testkit::certs::Authority;
use dodici_testkit::client::get;
use dodici_testkit::{Client, within};
use http_body::{Body, Frame, SizeHint};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// Bytes of a large body in the short form; `DODICI_LARGE_BODY` says otherwise.
const LARGE: u64 = 64 << 20;

fn large() -> u64 {
    std::env::var("DODICI_LARGE_BODY").map_or(LARGE, |text| text.parse().unwrap())
}

fn h2c() -> OriginConfig {
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    config
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

// --- the h2 crate's server ---

/// Serves connections with the h2 crate: echoes bodies with their trailers, or sends `/bytes/<n>`.
async fn h2_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(h2_connection(socket));
        }
    });
    port
}

async fn h2_connection(socket: TcpStream) {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake::<_, Bytes>(socket)
        .await
        .unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(h2_exchange(request, respond));
    }
}

async fn send_all(stream: &mut h2::SendStream<Bytes>, mut chunk: Bytes) -> Option<()> {
    while !chunk.is_empty() {
        stream.reserve_capacity(chunk.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?;
        let now = chunk.split_to(room.ok()?.min(chunk.len()));
        stream.send_data(now, false).ok()?;
    }
    Some(())
}

async fn h2_exchange(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Option<()> {
    let path = request.uri().path().to_owned();
    let (parts, mut body) = request.into_parts();
    let response = http::Response::builder()
        .header("x-method", parts.method.as_str())
        .body(())
        .unwrap();
    let mut stream = respond.send_response(response, false).ok()?;
    if let Some(count) = path.strip_prefix("/bytes/") {
        let mut left: u64 = count.parse().unwrap();
        let chunk = Bytes::from(vec![b'x'; 1 << 16]);
        while left > 0 {
            let size = left.min(chunk.len() as u64);
            send_all(&mut stream, chunk.slice(..size as usize)).await?;
            left -= size;
        }
        return stream.send_data(Bytes::new(), true).ok();
    }
    if path == "/count" {
        let mut count = 0;
        while let Some(chunk) = body.data().await {
            let chunk = chunk.ok()?;
            count += chunk.len();
            body.flow_control().release_capacity(chunk.len()).ok()?;
        }
        return stream.send_data(count.to_string().into(), true).ok();
    }
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        body.flow_control().release_capacity(chunk.len()).ok()?;
        send_all(&mut stream, chunk).await?;
    }
    match body.trailers().await.ok()? {
        Some(trailers) => stream.send_trailers(trailers).ok(),
        None => stream.send_data(Bytes::new(), true).ok(),
    }
}

fn pool(port: u16, config: OriginConfig) -> Pool {
    let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
    Engine::on_runtime(Handle::current())
        .open_pool(origin, config, Arc::new(NoEvents))
        .unwrap()
}

/// A body of this many bytes that is made as it is read.
struct Endless(u64);

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 1 << 16] = [b'u'; 1 << 16];
        let size = self.0.min(CHUNK.len() as u64);
        self.0 -= size;
        let frame = Frame::data(Bytes::from_static(&CHUNK[..size as usize]));
        std::task::Poll::Ready((size > 0).then_some(Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn send_speaks_http2_with_trailers_in_both_directions() {
    let port = h2_server().await;
    let client = Client::new(port, h2c());
    let call = client.send(Request {
        body: BodyKind::Chunked,
        ..Request::new("PUT /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    });
    call.chunk("echo");
    call.handle.body_end([("x-sum", "4")].into_iter().collect());
    let seen = within("echo", call.ended()).await;
    assert_eq!(seen.body, b"echo");
    assert_eq!(seen.trailers(), [("x-sum".to_owned(), "4".to_owned())]);

    let pool = pool(port, h2c());
    let request = http::Request::get("/bytes/100000")
        .body(String::new())
        .unwrap();
    let response = pool.send(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.headers()["x-method"], "GET");
    let (body, _) = response.into_body().collect().await.unwrap();
    assert_eq!(body.len(), 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_in_both_directions_with_bounded_memory() {
    let port = h2_server().await;
    let pool = pool(port, h2c());
    let before = resident();
    let request = http::Request::get(format!("/bytes/{}", large()))
        .body(String::new())
        .unwrap();
    let mut body = pool.send(request).await.unwrap().into_body();
    let mut count = 0;
    let mut peak = 0;
    while let Some(frame) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        count += frame
            .unwrap()
            .data_ref()
            .map_or(0, |data| data.len() as u64);
        peak = peak.max(resident());
    }
    assert_eq!(count, large());
    let request = http::Request::put("/count").body(Endless(large())).unwrap();
    let response = pool.send(request).await.unwrap();
    let (body, _) = response.into_body().collect().await.unwrap();
    assert_eq!(body, large().to_string().as_bytes());
    peak = peak.max(resident());
    let grown = peak.saturating_sub(before) >> 20;
    // Other tests may run in this process at the same time.
    assert!(grown < 128, "{grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_pass_over_one_connection() {
    let port = h2_server().await;
    let client = Client::new(port, h2c());
    many(&client, "/bytes/17", 17, 5_000).await;
    assert_eq!(client.events.connects(), 1);
}

/// Sends GETs, fifty at a time; all must bring so many bytes.
async fn many(client: &Client, target: &str, bytes: usize, count: usize) {
    for _ in 0..count / 50 {
        let calls: Vec<_> = (0..50).map(|_| client.get(target)).collect();
        for call in calls {
            let seen = within("response", call.ended()).await;
            assert_eq!((seen.status(), seen.body.len()), (200, bytes));
        }
    }
}

// --- servers that may be installed ---

/// A server's process and its files.
struct Server {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A directory with a certificate, its key, and bodies to serve.
fn files(name: &str, authority: &Authority) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("dodici-{name}-{}", std::process::id()));
    fs::create_dir_all(directory.join("www")).unwrap();
    let leaf = authority.localhost();
    fs::write(directory.join("cert.pem"), &leaf.cert_pem).unwrap();
    fs::write(directory.join("key.pem"), &leaf.key_pem).unwrap();
    let both = format!("{}{}", leaf.cert_pem, leaf.key_pem);
    fs::write(directory.join("both.pem"), both).unwrap();
    fs::write(directory.join("www/small"), "small").unwrap();
    fs::write(directory.join("www/large"), vec![b'l'; 3 << 20]).unwrap();
    directory
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server; `None` where it is not installed.
async fn start(
    program: &str,
    directory: PathBuf,
    port: u16,
    arguments: &[String],
) -> Option<Server> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        eprintln!("left out: {program} is not installed");
        let _ = fs::remove_dir_all(&directory);
        return None;
    };
    let server = Server {
        child,
        directory,
        port,
    };
    let up = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("the server listens", up).await;
    Some(server)
}

fn negotiated(authority: &Authority) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    config.connect.tls.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Small and large responses and a POST, all over HTTP/2.
async fn exercise(server: &Server, authority: &Authority) {
    let client = Client::tls(server.port, negotiated(authority));
    many(&client, "/small", 5, 2_000).await;
    let calls: Vec<_> = (0..10).map(|_| client.get("/large")).collect();
    for call in calls {
        let seen = within("large", call.ended()).await;
        assert_eq!(seen.body.len(), 3 << 20);
        assert_eq!(seen.head.unwrap().version, dodici::Version::Http2);
    }
    let calls: Vec<_> = (0..20)
        .map(|_| {
            client.send(Request {
                body: BodyKind::Full(Bytes::from(vec![b'p'; 200_000])),
                ..Request::new(
                    "POST /small HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200000\r\n\r\n",
                )
            })
        })
        .collect();
    for call in calls {
        // Some of them answer a POST to a file with 405: what counts is that they answer.
        within("post", call.ended()).await;
    }
    let again = within("again", client.send(get("/small")).ended()).await;
    assert_eq!(again.status(), 200);
    client.pool.close();
    within("close", client.events.closed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nghttpd_is_understood() {
    let authority = Authority::new("dodici test");
    let directory = files("nghttpd", &authority);
    let port = free_port().await;
    let path = |name: &str| directory.join(name).display().to_string();
    let arguments = [
        "--address=127.0.0.1".to_owned(),
        format!("--htdocs={}", path("www")),
        port.to_string(),
        path("key.pem"),
        path("cert.pem"),
    ];
    if let Some(server) = start("nghttpd", directory.clone(), port, &arguments).await {
        exercise(&server, &authority).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_is_understood() {
    let authority = Authority::new("dodici test");
    let directory = files("nginx", &authority);
    let port = free_port().await;
    let root = directory.display();
    let configuration = format!(
        "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/log;\n\
         events {{ }}\n\
         http {{ access_log off; keepalive_requests 500;\n\
         client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;\n\
         uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         server {{ listen 127.0.0.1:{port} ssl http2; root {root}/www;\n\
         ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem; }} }}\n"
    );
    fs::write(directory.join("nginx.conf"), configuration).unwrap();
    // Its workers run as nobody, who must be able to read the files.
    let arguments = [
        "-p".to_owned(),
        root.to_string(),
        "-c".to_owned(),
        format!("{root}/nginx.conf"),
        "-e".to_owned(),
        format!("{root}/log"),
    ];
    if let Some(server) = start("nginx", directory.clone(), port, &arguments).await {
        exercise(&server, &authority).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_is_understood() {
    let authority = Authority::new("dodici test");
    let directory = files("haproxy", &authority);
    let port = free_port().await;
    let root = directory.display();
    let configuration = format!(
        "global\n\
         defaults\n  mode http\n  timeout client 30s\n  timeout connect 5s\n  timeout server 30s\n\
         frontend all\n  bind 127.0.0.1:{port} ssl crt {root}/both.pem alpn h2\n\
           http-request return status 200 content-type text/plain string small \
         if {{ path /small }}\n\
           http-request return status 200 content-type text/plain string large\n"
    );
    fs::write(directory.join("haproxy.cfg"), configuration).unwrap();
    let arguments = [
        "-f".to_owned(),
        format!("{root}/haproxy.cfg"),
        "-db".to_owned(),
    ];
    if let Some(server) = start("haproxy", directory.clone(), port, &arguments).await {
        let client = Client::tls(server.port, negotiated(&authority));
        many(&client, "/small", 5, 2_000).await;
        client.pool.close();
        within("close", client.events.closed()).await;
    }
}
