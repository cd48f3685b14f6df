//! A process that is stopped for longer than every timeout, and continued: what the kernel received
//! meanwhile is no timeout, whatever waited for it. What never arrived is one.
//!
//! The client is a separate process, this test's binary with [`client`] as its only case; the
//! server is this one.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::{
    BodyKind, HeaderBlock, LastLook, Origin, OriginConfig, Pool, Proxy, ProxyProtocol, Request,
    Scheme,
};
use dodici_testkit::certs::Authority;
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::process::ClientProcess;
use dodici_testkit::with;
use dodici_testkit::{Call, Client, ServerTls, Watched, within};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Every timeout of the client: enough to start all requests on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests of each kind.
const EACH: usize = 40;

const PORTS: &str = "DODICI_SUSPENDED_PORTS";
const FLAVOR: &str = "DODICI_SUSPENDED_FLAVOR";

/// The server's state.
#[derive(Clone, Default)]
struct Progress {
    /// Requests that it holds.
    held: usize,
    /// It responds now.
    goes: bool,
}

type Shared = Watched<Progress>;

async fn hold(shared: &Shared) {
    shared.update(|progress| progress.held += 1);
    shared.wait(|progress| progress.goes.then_some(())).await;
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

/// Reads to the end of a head; `None` at the end of the stream.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers one HTTP/1.1 connection's requests by their targets.
async fn http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: Shared) {
    while let Some(head) = read_head(&mut stream).await {
        let target = head.split(' ').nth(1).unwrap_or_default();
        match target.split('/').nth(1).unwrap_or_default() {
            "plain" => {
                hold(&shared).await;
                stream.write_all(OK).await.unwrap();
            }
            "body" => {
                stream.write_all(&OK[..OK.len() - 2]).await.unwrap();
                hold(&shared).await;
                stream.write_all(&OK[OK.len() - 2..]).await.unwrap();
            }
            "upload" => {
                let mut body = Vec::new();
                while !body.ends_with(b"0\r\n\r\n") {
                    body.push(stream.read_u8().await.unwrap());
                }
                hold(&shared).await;
                stream.write_all(OK).await.unwrap();
            }
            "expect" => {
                hold(&shared).await;
                let refused = "HTTP/1.1 417 No\r\nContent-Length: 4\r\n\r\ndone";
                stream.write_all(refused.as_bytes()).await.unwrap();
                let more = stream.read_u8().await;
                assert!(more.is_err(), "the body was sent although it was refused");
            }
            "trickle" => {
                hold(&shared).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
                // Until the client disconnects.
                while stream.write_all(b"y").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                return;
            }
            "connected" => stream.write_all(OK).await.unwrap(),
            _ => {
                hold(&shared).await;
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn http2(stream: TcpStream, shared: Shared) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let target = request.uri().path().to_owned();
            let mut body = request.into_body();
            while let Some(Ok(bytes)) = body.data().await {
                body.flow_control().release_capacity(bytes.len()).unwrap();
            }
            let mut early = None;
            if target.starts_with("/body") {
                let head = http::Response::new(());
                early = Some(respond.send_response(head, false).unwrap());
            }
            hold(&shared).await;
            if target.starts_with("/never") {
                std::future::pending::<()>().await;
            }
            let mut body = match early {
                Some(body) => body,
                None => respond
                    .send_response(http::Response::new(()), false)
                    .unwrap(),
            };
            body.send_data(Bytes::from_static(b"done"), true).unwrap();
        });
    }
}

fn serve<F, Fut>(listener: TcpListener, serve: F) -> u16
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A listener whose queue is full, so that the kernel completes no connection until one is accepted,
/// and the connections that fill it.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    (listener, queued)
}

/// Requests whose response waits for SIGSTOP, and those that never get one.
const KINDS: [(&str, &str); 22] = [
    ("connect", "ok"),
    ("handshake", "ok"),
    ("tunnel", "ok"),
    ("plain", "ok"),
    ("body", "ok"),
    ("upload", "ok"),
    ("expect", "ok"),
    ("tls", "ok"),
    ("tls-upload", "ok"),
    ("h2", "ok"),
    ("h2-body", "ok"),
    ("h2-upload", "ok"),
    ("send", "ok"),
    ("send-body", "ok"),
    ("send-h2", "ok"),
    ("send-never", "time is up"),
    ("total", "ok"),
    ("total-body", "ok"),
    ("total-h2", "ok"),
    ("total-never", "TotalTimeout"),
    ("never", "HeadersTimeout"),
    ("trickle", "HeadersTimeout"),
];

/// How many of them; there are fewer of those whose connections must be opened one by one.
fn count(kind: &str) -> usize {
    match kind {
        "connect" => 1,
        "handshake" | "tunnel" | "never" | "send-never" | "total-never" | "trickle" | "expect" => 5,
        _ => EACH,
    }
}

async fn suspend(flavor: &str) {
    let shared = Shared::new(Progress::default());
    let plain = {
        let shared = shared.clone();
        serve(listen().await, move |stream| http1(stream, shared.clone()))
    };
    let authority = Authority::new("test");
    let tls = TlsAcceptor::from(ServerTls::new(&authority.localhost()).config());
    let secure = {
        let (shared, tls) = (shared.clone(), tls.clone());
        serve(listen().await, move |stream| {
            let (shared, tls) = (shared.clone(), tls.clone());
            async move {
                if let Ok(stream) = tls.accept(stream).await {
                    http1(stream, shared).await;
                }
            }
        })
    };
    let slow = {
        let (shared, tls) = (shared.clone(), tls.clone());
        serve(listen().await, move |stream| {
            let (shared, tls) = (shared.clone(), tls.clone());
            async move {
                hold(&shared).await;
                http1(tls.accept(stream).await.unwrap(), shared).await;
            }
        })
    };
    let proxy = {
        let shared = shared.clone();
        serve(listen().await, move |mut stream| {
            let shared = shared.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                hold(&shared).await;
                stream
                    .write_all(b"HTTP/1.1 200 Fine\r\n\r\n")
                    .await
                    .unwrap();
                http1(stream, shared).await;
            }
        })
    };
    let h2 = {
        let shared = shared.clone();
        serve(listen().await, move |stream| http2(stream, shared.clone()))
    };
    let (listener, queued) = full().await;
    let unreachable = listener.local_addr().unwrap().port();

    let ports = format!("{plain} {secure} {slow} {proxy} {h2} {unreachable}");
    let mut child = ClientProcess::start(&[(PORTS, &ports), (FLAVOR, flavor)]);
    let held = KINDS.iter().map(|(kind, _)| count(kind)).sum::<usize>() - count("connect");
    let all = shared.wait(|progress| (progress.held == held).then_some(()));
    within("all requests under way", all).await;

    child.signal("-STOP");
    shared.update(|progress| progress.goes = true);
    drop(queued);
    let answering = shared.clone();
    serve(listener, move |stream| http1(stream, answering.clone()));
    // Real time must pass.
    tokio::time::sleep(TIMEOUT + Duration::from_secs(1)).await;
    child.signal("-CONT");

    let outcomes = tokio::task::spawn_blocking(move || child.outcomes());
    let outcomes = within("the outcomes", outcomes).await.unwrap();
    let expected = KINDS
        .iter()
        .map(|(kind, outcome)| (format!("{kind} {outcome}"), count(kind)));
    assert_eq!(outcomes, expected.collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_responses_received_while_the_process_was_stopped_are_no_timeouts() {
    suspend("one thread").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_responses_received_while_a_process_of_many_threads_was_stopped_are_no_timeouts() {
    suspend("many threads").await;
}

// --- the client ---

fn limits() -> OriginConfig {
    let mut config = OriginConfig::default();
    config.exchange.headers_timeout = Some(TIMEOUT);
    config.exchange.body_timeout = Some(TIMEOUT);
    config.exchange.continue_timeout = TIMEOUT;
    config.connect.timeout = Some(TIMEOUT);
    config.connect.tls.verify = false;
    config
}

fn upload(target: &str) -> Request {
    post_chunked(target)
}

fn feed(call: &Call) {
    call.chunk("some of it");
    call.finish();
}

async fn run() {
    let ports = env::var(PORTS).unwrap();
    let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    let [plain, secure, slow, proxy, h2, unreachable] = ports[..] else {
        panic!("six ports");
    };
    let mut prior = limits();
    prior.http2.prior_knowledge = true;
    let mut tunnelled = limits();
    tunnelled.connect.proxy = Some(Box::new(Proxy::new(
        ProxyProtocol::HttpTunnel {
            headers: HeaderBlock::new(),
        },
        "127.0.0.1".to_owned(),
        proxy,
    )));
    let origin = Origin::new(Scheme::Http, "127.0.0.1", 1);
    let clients = BTreeMap::from([
        ("plain", Client::new(plain, limits())),
        ("tls", Client::tls(secure, limits())),
        ("handshake", Client::tls(slow, limits())),
        ("tunnel", Client::to(origin, tunnelled)),
        ("h2", Client::new(h2, prior)),
        ("connect", Client::new(unreachable, limits())),
    ]);
    let mut unlimited = BTreeMap::new();
    for (name, port) in [("plain", plain), ("h2", h2)] {
        let mut config = limits();
        config.exchange.headers_timeout = None;
        config.exchange.body_timeout = None;
        config.http2.prior_knowledge = name == "h2";
        unlimited.insert(name, Client::new(port, config));
    }
    let mut calls = Vec::new();
    let mut sent = Vec::new();
    for (kind, _) in KINDS {
        let client = match kind {
            "connect" | "handshake" | "tunnel" => &clients[kind],
            "tls" | "tls-upload" => &clients["tls"],
            "h2" | "h2-body" | "h2-upload" => &clients["h2"],
            _ => &clients["plain"],
        };
        for _ in 0..count(kind) {
            let target = match kind {
                "send" | "send-h2" => "/plain",
                "send-body" => "/body",
                "send-never" => "/never",
                _ => "",
            };
            if !target.is_empty() {
                let client = &unlimited[if kind == "send-h2" { "h2" } else { "plain" }];
                let answer = tokio::spawn(timed(client.pool.clone(), target));
                sent.push((kind, answer));
                continue;
            }
            let total = |client: &Client, target: &str| {
                client.send(with(get(target), |request| {
                    request.total_timeout = Some(TIMEOUT);
                }))
            };
            let call = match kind {
                "total" => total(&unlimited["plain"], "/plain"),
                "total-body" => total(&unlimited["plain"], "/body"),
                "total-h2" => total(&unlimited["h2"], "/plain"),
                "total-never" => total(&unlimited["plain"], "/never"),
                "connect" | "handshake" | "tunnel" => client.get("/connected"),
                "body" | "h2-body" => client.get("/body"),
                "upload" | "tls-upload" | "h2-upload" => {
                    let call = client.send(upload("/upload"));
                    feed(&call);
                    call
                }
                "expect" => client.send(with(
                    Request::new(
                        "POST /expect HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n\
                         content-length: 4\r\n\r\n",
                    )
                    .with_body(BodyKind::Full(Bytes::from_static(b"body"))),
                    |request| request.expect_continue = true,
                )),
                "never" | "trickle" => client.send(get(&format!("/{kind}"))),
                _ => client.get("/plain"),
            };
            calls.push((kind, call));
        }
    }
    for (kind, call) in calls {
        let seen = call.settled().await;
        let outcome = match seen.error_kind() {
            None if seen.body == b"done" => "ok".to_owned(),
            None => format!("a body of {} bytes", seen.body.len()),
            Some(error) => format!("{error:?}"),
        };
        println!("outcome {kind} {outcome}");
    }
    for (kind, answer) in sent {
        println!("outcome {kind} {}", answer.await.unwrap());
    }
}

/// A request with the caller's own timeout, as in the reqwest API.
async fn timed(pool: Pool, target: &'static str) -> String {
    let look = LastLook::default();
    let request = http::Request::get(target).extension(look.clone());
    let request = request.body(String::new()).unwrap();
    let mut answer = pin!(async {
        let response = pool.send(request).await?;
        response.into_body().collect().await
    });
    let mut sleep = pin!(tokio::time::sleep(TIMEOUT));
    let mut is_up = false;
    let answer = poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        if !is_up {
            ready!(sleep.as_mut().poll(cx));
            is_up = true;
        }
        ready!(look.poll(cx));
        // Once more, for what the check has delivered.
        match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        }
    });
    match answer.await {
        Some(Ok((body, _))) if body == "done" => "ok".to_owned(),
        Some(other) => format!("{other:?}"),
        None => "time is up".to_owned(),
    }
}

#[test]
#[ignore = "the client's half of the other cases"]
fn client() {
    let mut runtime = match env::var(FLAVOR).as_deref() {
        Ok("many threads") => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    // Ends with the server.
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
    runtime.enable_all().build().unwrap().block_on(run());
}
