//! A connection carries a sequence of complete requests, whatever a peer does: it reads few
//! bytes at a time, responds before it has read a request, switches protocols during one. A
//! connection that cannot guarantee this ends, and the next request uses another one.

use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dodici::{
    BodyKind, ConnectHooks, Engine, HeaderBlock, NoEvents, Origin, OriginConfig, Pool, Request,
    RequestHandle, RequestKind, Scheme, SocketHook,
};
use dodici_testkit::recording::Seen;
use dodici_testkit::with;
use dodici_testkit::{OK, Recording, Watched, within};
use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// What either side's kernel buffers: little enough for most bodies here to be split.
const SMALL: usize = 8 * 1024;

struct SmallBuffer;

impl SocketHook for SmallBuffer {
    fn prepare(&self, socket: SockRef<'_>) -> io::Result<()> {
        socket.set_send_buffer_size(SMALL)
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Full,
    Sized,
    Chunked,
    Trailers,
    Expect,
}

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    /// Bytes of the body, in slices of 64 KiB.
    size: usize,
    /// The peer responds when it has read this many bytes after the head; none: the whole request.
    answers_at: Option<usize>,
}

fn body(case: &Case) -> Vec<Bytes> {
    vec![b'a'; case.size]
        .chunks(64 * 1024)
        .map(Bytes::copy_from_slice)
        .collect()
}

fn request(number: usize, case: &Case) -> Request {
    let framing = match case.kind {
        Kind::Plain => String::new(),
        Kind::Full | Kind::Sized => format!("content-length: {}\r\n", case.size),
        Kind::Expect => format!("expect: 100-continue\r\ncontent-length: {}\r\n", case.size),
        Kind::Chunked | Kind::Trailers => "transfer-encoding: chunked\r\n".to_owned(),
    };
    with(
        Request::new(format!(
            "POST /{number} HTTP/1.1\r\nhost: test\r\n{framing}\r\n"
        ))
        .with_body(match case.kind {
            Kind::Plain => BodyKind::None,
            Kind::Full => BodyKind::Full(Bytes::from(vec![b'a'; case.size])),
            Kind::Sized | Kind::Expect => BodyKind::Sized(case.size as u64),
            Kind::Chunked | Kind::Trailers => BodyKind::Chunked,
        }),
        |request| {
            request.expect_continue = matches!(case.kind, Kind::Expect);
            request.blocking = false;
        },
    )
}

struct Client {
    pool: Pool,
}

impl Client {
    fn new(port: u16, pipelining: u32) -> Self {
        let mut config = OriginConfig::default();
        config.pool.max_connections = NonZeroU32::new(1);
        config.pool.pipelining = pipelining;
        let hooks = with(ConnectHooks::default(), |hooks| {
            hooks.socket = Some(Arc::new(SmallBuffer))
        });
        let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
        let engine = Engine::on_runtime(tokio::runtime::Handle::current());
        let pool = engine.open_pool_with(origin, config, hooks, Arc::new(NoEvents));
        Self {
            pool: pool.unwrap(),
        }
    }

    fn dispatch(&self, request: Request) -> (Recording, RequestHandle) {
        let (recording, sink) = Recording::new();
        let handle = self.pool.dispatch(request, Box::new(sink));
        (recording, handle)
    }

    fn send(&self, number: usize, case: &Case) -> Recording {
        let (recording, handle) = self.dispatch(request(number, case));
        if request(number, case).body.is_pulled() {
            for slice in body(case) {
                handle.body_chunk(slice);
            }
            let mut trailers = HeaderBlock::new();
            if matches!(case.kind, Kind::Trailers) {
                trailers.push(b"x-sum", b"1234");
            }
            handle.body_end(trailers);
        }
        recording
    }
}

/// Everything each connection of the peer received, in the order of acceptance.
type Received = Arc<Mutex<Vec<Vec<u8>>>>;

type Peers = Arc<Mutex<Vec<JoinHandle<()>>>>;

struct Peer {
    stream: TcpStream,
    calls: Watched<Vec<Arc<Recording>>>,
    received: Received,
    index: usize,
    read: usize,
}

impl Peer {
    /// Reads what is available. False at the end.
    async fn fill(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most];
        match self.stream.read(&mut bytes).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.received.lock().unwrap()[self.index].extend_from_slice(&bytes[..read]);
                true
            }
        }
    }

    fn unread(&self) -> Vec<u8> {
        self.received.lock().unwrap()[self.index][self.read..].to_vec()
    }

    async fn answer(&mut self, status: &str) {
        // The client may have closed the connection.
        let _sent = self.stream.write_all(status.as_bytes()).await;
    }

    /// Serves one request as its case says; `None` if there is no other one.
    async fn serve(&mut self, cases: &[Case]) -> Option<()> {
        let head = loop {
            if let Some(end) = dodici_testkit::message::head_end(&self.unread()) {
                break end;
            }
            self.fill(256).await.then_some(())?;
        };
        let unread = self.unread();
        let target = unread.strip_prefix(b"POST /")?;
        let number = usize::from(target[0] - b'0');
        let case = &cases[number];
        let mut answered = false;
        if matches!(case.kind, Kind::Expect) && case.answers_at.is_some() {
            self.answer("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        loop {
            let unread = self.unread();
            let end = whole_request(&unread).unwrap();
            let early = case.answers_at.is_some_and(|at| unread.len() >= head + at);
            if early && !answered {
                answered = true;
                self.answer(OK).await;
                // The client receives it before there is room for the rest.
                let call = self.calls.wait(|calls| calls.get(number).cloned()).await;
                call.settled().await;
            }
            if let Some(end) = end {
                if !answered {
                    self.answer(OK).await;
                }
                self.read += end;
                return Some(());
            }
            self.fill(SMALL).await.then_some(())?;
        }
    }
}

/// Serves the cases, on however many connections.
async fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL as u32).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(16).unwrap()
}

fn serve(
    listener: TcpListener,
    cases: Vec<Case>,
    calls: Watched<Vec<Arc<Recording>>>,
) -> (Received, JoinHandle<()>, Peers) {
    let received = Received::default();
    let all = Arc::clone(&received);
    let peers = Peers::default();
    let running = Arc::clone(&peers);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let index = {
                let mut all = all.lock().unwrap();
                all.push(Vec::new());
                all.len() - 1
            };
            let mut peer = Peer {
                stream,
                calls: calls.clone(),
                received: Arc::clone(&all),
                index,
                read: 0,
            };
            let cases = cases.clone();
            let peer = tokio::spawn(async move { while peer.serve(&cases).await.is_some() {} });
            running.lock().unwrap().push(peer);
        }
    });
    (received, task, peers)
}

/// A panic in a peer fails the test.
async fn join(peers: Peers) {
    let peers = std::mem::take(&mut *peers.lock().unwrap());
    for peer in peers {
        within("a peer", peer).await.unwrap();
    }
}

/// Length of the request at the front; `Ok(None)` if it is cut off.
///
/// # Errors
/// The fault in it.
fn whole_request(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(head) = dodici_testkit::message::head_end(bytes) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..head]);
    if !text.starts_with("POST /") || text.matches("HTTP/1.1").count() != 1 {
        return Err(format!("no head: {text}"));
    }
    let length = text.split("content-length: ").nth(1);
    let length = length.map(|rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
    let mut at = head;
    let data = |at: usize, length: usize| match bytes
        .get(at..)
        .map(|rest| &rest[..rest.len().min(length)])
    {
        Some(data) if data.iter().any(|byte| *byte != b'a') => {
            Err(format!("inside a body: {}", data.escape_ascii()))
        }
        data => Ok(data.is_some_and(|data| data.len() == length)),
    };
    if text.contains("chunked") {
        loop {
            let Some(line) = bytes[at..].windows(2).position(|pair| pair == b"\r\n") else {
                return Ok(None);
            };
            let size = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
            let size =
                usize::from_str_radix(&size, 16).map_err(|_| format!("chunk size {size}"))?;
            at += line + 2;
            if size == 0 {
                let trailers = &bytes[at..];
                return match trailers {
                    [b'\r', b'\n', ..] => Ok(Some(at + 2)),
                    _ => Ok(dodici_testkit::message::head_end(trailers).map(|end| at + end)),
                };
            }
            if !data(at, size)? || bytes.len() < at + size + 2 {
                return Ok(None);
            }
            at += size + 2;
        }
    }
    let length = length.unwrap_or(0);
    Ok(data(at, length)?.then_some(at + length))
}

/// Checks that a connection carried complete requests, and at most one truncated one at its end.
fn check(received: &[u8]) -> Result<usize, String> {
    let mut rest = received;
    let mut whole = 0;
    while let Some(end) = whole_request(rest)? {
        rest = &rest[end..];
        whole += 1;
    }
    if let Some(line) = rest
        .split(|byte| *byte == b'\r')
        .next()
        .filter(|line| !line.is_empty())
    {
        let start = b"POST /".len().min(line.len());
        if line[..start] != b"POST /"[..start] {
            return Err(format!("behind a request: {}", line.escape_ascii()));
        }
    }
    Ok(whole)
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    let kind = prop_oneof![
        1 => Just(Kind::Plain),
        1 => Just(Kind::Full),
        1 => Just(Kind::Sized),
        1 => Just(Kind::Chunked),
        3 => Just(Kind::Trailers),
        1 => Just(Kind::Expect),
    ];
    let size = prop_oneof![1 => Just(0), 1 => 1..2_000_usize, 3 => 200_000..400_000_usize];
    let case = (kind, size, proptest::option::weighted(0.6, 0.0..0.3));
    let case = case.prop_map(|(kind, size, early): (Kind, usize, Option<f64>)| {
        let size = if matches!(kind, Kind::Plain) { 0 } else { size };
        Case {
            kind,
            size,
            answers_at: early.map(|part| (part * size as f64) as usize),
        }
    });
    proptest::collection::vec(case, 1..6)
}

async fn run(cases: Vec<Case>, at_once: bool, pipelining: u32) -> Result<(), TestCaseError> {
    let listener = listen().await;
    let port = listener.local_addr().unwrap().port();
    let calls = Watched::new(Vec::new());
    let (received, task, peers) = serve(listener, cases.clone(), calls.clone());
    let client = Client::new(port, pipelining);
    for (number, case) in cases.iter().enumerate() {
        let call = Arc::new(client.send(number, case));
        calls.update(|calls| calls.push(Arc::clone(&call)));
        if !at_once {
            within("an outcome", call.settled()).await;
        }
    }
    for call in calls.read(Vec::clone) {
        let seen: Seen = within("an outcome", call.settled()).await;
        if seen.error_kind().is_none() {
            prop_assert_eq!(&seen.body[..], b"ok");
        }
    }
    client.pool.destroy();
    task.abort();
    join(peers).await;
    for connection in received.lock().unwrap().iter() {
        let whole = check(connection);
        prop_assert!(whole.is_ok(), "{}", whole.unwrap_err());
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn s25_a_connection_carries_only_complete_requests(
        cases in cases(),
        at_once in any::<bool>(),
        pipelining in 1..4_u32,
    ) {
        block_on(run(cases, at_once, pipelining))?;
    }
}

#[tokio::test]
async fn s25_a_connection_with_an_early_response_to_an_upload_with_trailers_is_not_reused() {
    let early = |kind| Case {
        kind,
        size: 400_000,
        answers_at: Some(0),
    };
    for kind in [
        Kind::Trailers,
        Kind::Chunked,
        Kind::Sized,
        Kind::Full,
        Kind::Expect,
    ] {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        // Reads one head and no more, except on another connection.
        let server = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            first.read_exact(&mut [0; 64]).await.unwrap();
            let consent = if matches!(kind, Kind::Expect) {
                "HTTP/1.1 100 Continue\r\n\r\n"
            } else {
                ""
            };
            first.write_all(consent.as_bytes()).await.unwrap();
            first.read_exact(&mut [0; 256]).await.unwrap();
            first.write_all(OK.as_bytes()).await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(second.read_u8().await.unwrap());
            }
            second.write_all(OK.as_bytes()).await.unwrap();
            assert!(head.starts_with(b"POST /1"), "{}", head.escape_ascii());
            let mut rest = Vec::new();
            // However the client closes it.
            let _end = first.read_to_end(&mut rest).await;
            rest
        });
        let client = Client::new(port, 1);
        let first = client.send(0, &early(kind));
        assert_eq!(
            within("the early answer", first.ended()).await.body,
            b"ok",
            "{kind:?}"
        );
        let second = Case {
            kind: Kind::Plain,
            size: 0,
            answers_at: None,
        };
        let second = client.send(1, &second);
        assert_eq!(
            within("the second answer", second.ended()).await.body,
            b"ok",
            "{kind:?}"
        );
        let rest = within("the end of the first connection", server)
            .await
            .unwrap();
        let other = rest.windows(6).position(|bytes| bytes == b"POST /");
        assert_eq!(other, None, "{kind:?}");
    }
}

#[tokio::test]
async fn requests_share_a_connection_however_they_were_written() {
    let whole = |kind, size| Case {
        kind,
        size,
        answers_at: None,
    };
    let cases = vec![
        whole(Kind::Trailers, 300_000),
        whole(Kind::Chunked, 300_000),
        whole(Kind::Sized, 300_000),
        whole(Kind::Full, 300_000),
        whole(Kind::Expect, 300_000),
        whole(Kind::Plain, 0),
    ];
    let listener = listen().await;
    let port = listener.local_addr().unwrap().port();
    let calls = Watched::new(Vec::new());
    let (received, task, peers) = serve(listener, cases.clone(), calls.clone());
    let client = Client::new(port, 1);
    for (number, case) in cases.iter().enumerate() {
        within("an answer", client.send(number, case).ended()).await;
    }
    client.pool.destroy();
    task.abort();
    join(peers).await;
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 1);
    assert_eq!(check(&received[0]), Ok(cases.len()));
}

#[tokio::test]
async fn a_switch_of_protocols_during_its_request_waits_for_the_rest_of_it() {
    let listener = listen().await;
    let port = listener.local_addr().unwrap().port();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: test\r\nx-long: {}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
        "b".repeat(200_000)
    );
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 100];
        stream.read_exact(&mut received).await.unwrap();
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        received
    });
    let client = Client::new(port, 1);
    let (call, handle) =
        client.dispatch(Request::new(head.clone()).with_kind(RequestKind::Upgrade));
    handle.body_chunk(Bytes::from_static(b"stream"));
    handle.body_end(HeaderBlock::new());
    let seen = within("the end of the stream", call.settled()).await;
    assert_eq!(seen.error_kind(), None);
    let received = within("the end", server).await.unwrap();
    assert!(received.starts_with(head.as_bytes()), "the head was cut");
    assert_eq!(received[head.len()..].escape_ascii().to_string(), "stream");
}
