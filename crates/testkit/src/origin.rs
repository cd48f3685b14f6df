//! A small real HTTP/1.1 server that logs the id of every request it executed.
//!
//! Keep-alive, strict about requests, one route per kind of response (see [`TestOrigin`]). It is
//! built on the scripted peer and shares no code with the engine. Used by integration tests that
//! need a server rather than exact bytes.

use std::time::Duration;

use crate::certs::ServerTls;
use crate::conn::Conn;
use crate::message::{Framing, RequestBody, RequestHead, checksum, pattern};
use crate::peer_log::PeerLog;
use crate::scripted::{Builder, ScriptedPeer};
use crate::stream::Address;
use crate::watched::{Signal, Watched};

/// One request that the origin received completely and then answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Value of `x-request-id`, else the empty string.
    pub id: String,
    /// Method.
    pub method: String,
    /// Request target.
    pub target: String,
    /// Number of its connection.
    pub connection: usize,
    /// Bytes of its body.
    pub body_len: usize,
    /// [`checksum`] of its body.
    pub body_checksum: u64,
    /// Trailers of its body.
    pub trailers: Vec<(String, String)>,
}

/// The server. Routes, each for every method (`HEAD` gets the same head without a body):
///
/// | target | answer |
/// |---|---|
/// | `/bytes/{n}` | 200 with `content-length: n` and the [`pattern`] of n bytes |
/// | `/chunked/{n}/{size}` | the same n bytes in chunks of `size`, then trailers `X-Checksum` ([`checksum`] in hex) and, twice in different letter case, `X-Part` |
/// | `/early` | 103 with a `Link`, then 200 with the body `early` |
/// | `/slow/{count}/{ms}` | chunked: `count` chunks `tick{i}`, one each `ms` milliseconds |
/// | `/gated` | chunked: `before`, then `after` once [`TestOrigin::open_gate`] was called |
/// | `/hold` | a 200 with body `held`, once [`TestOrigin::open_gate`] was called |
/// | `/echo` | the request's body and its `content-type` |
/// | `/digest` | text `{length} {checksum in hex} {number of trailers}` of the request's body |
/// | `/head` | the request head as sent on the wire |
/// | `/status/{code}` | that status; body `status` where the code allows one |
/// | `/close` | 200 with `connection: close`, then FIN |
/// | `/until-close/{n}` | n bytes without a length, then FIN |
/// | `/hint/{s}` | 200 with `keep-alive: timeout={s}` |
/// | `/upgrade` | with an `upgrade` field: 101 and an echo of all bytes; without: 426 |
/// | anything else | 404 |
///
/// `CONNECT` to any authority is answered 200, after which all bytes are echoed. A request with
/// `expect: 100-continue` gets `100 Continue` before its body is read, except on `/status/417`,
/// which refuses without reading it and closes.
#[derive(Debug)]
pub struct TestOrigin {
    peer: ScriptedPeer,
    executed: Watched<Vec<Executed>>,
    gate: Signal,
}

impl TestOrigin {
    /// On a free TCP port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::on(ScriptedPeer::tcp().await)
    }

    /// The same with TLS.
    pub async fn start_tls(tls: ServerTls) -> Self {
        Self::on(ScriptedPeer::tcp().await.tls(tls))
    }

    /// On any listener of the scripted peer.
    pub fn on(builder: Builder) -> Self {
        let executed = Watched::<Vec<Executed>>::default();
        let gate = Signal::new();
        let state = State {
            executed: executed.clone(),
            gate: gate.clone(),
        };
        let peer = builder.run(move |conn| serve(conn, state.clone()));
        Self {
            peer,
            executed,
            gate,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        self.peer.address()
    }

    /// TCP port.
    ///
    /// # Panics
    /// On a unix socket.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// The underlying peer: connections, handshakes, closes.
    pub fn peer(&self) -> &ScriptedPeer {
        &self.peer
    }

    /// Requests executed so far, in order.
    pub fn executed(&self) -> Vec<Executed> {
        self.executed.read(Vec::clone)
    }

    /// How often the request with this id was executed.
    pub fn executions(&self, id: &str) -> usize {
        self.executed
            .read(|list| list.iter().filter(|entry| entry.id == id).count())
    }

    /// Resolves once `count` requests were executed.
    pub async fn wait_executed(&self, count: usize) {
        self.executed
            .wait(|list| (list.len() >= count).then_some(()))
            .await;
    }

    /// Releases `/gated` and `/hold`, permanently.
    pub fn open_gate(&self) {
        self.gate.raise();
    }

    /// Stops it.
    ///
    /// # Panics
    /// If a request was malformed.
    pub async fn finish(self) -> PeerLog {
        self.peer.finish().await
    }
}

#[derive(Clone)]
struct State {
    executed: Watched<Vec<Executed>>,
    gate: Signal,
}

/// Whether the connection continues after an answer.
#[derive(PartialEq, Eq)]
enum Then {
    KeepAlive,
    Close,
}

async fn serve(mut conn: Conn, state: State) {
    while let Some(head) = conn.next_head().await {
        let refused = head.path() == "/status/417" && head.get("expect").is_some();
        let body = if refused {
            RequestBody::default()
        } else {
            if head.get("expect") == Some("100-continue") && head.framing() != Framing::None {
                conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            }
            conn.read_body(&head).await
        };
        state.executed.update(|list| {
            list.push(Executed {
                id: head.get("x-request-id").unwrap_or_default().to_owned(),
                method: head.method.clone(),
                target: head.target.clone(),
                connection: conn.index(),
                body_len: body.data.len(),
                body_checksum: checksum(&body.data),
                trailers: body.trailers.clone(),
            });
        });
        let asked_to_close = head
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let then = answer(&mut conn, &state, &head, &body).await;
        if refused || asked_to_close || then == Then::Close {
            return;
        }
    }
}

async fn answer(conn: &mut Conn, state: &State, head: &RequestHead, body: &RequestBody) -> Then {
    if head.method == "CONNECT" {
        conn.send("HTTP/1.1 200 Connection Established\r\n\r\n")
            .await;
        return echo_stream(conn).await;
    }
    let mut parts = head.path().trim_start_matches('/').split('/');
    let route = parts.next().unwrap_or_default();
    let mut number = || -> u64 {
        let part = parts.next().unwrap_or_default();
        part.parse()
            .unwrap_or_else(|_| panic!("no number in {}", head.target))
    };
    let mut reply = Reply { conn, head };
    match route {
        "bytes" => reply.sized("200 OK", "", &pattern(number() as usize)).await,
        "chunked" => {
            let (data, size) = (pattern(number() as usize), number() as usize);
            reply.begin_chunked("Trailer: X-Checksum, X-Part\r\n").await;
            for chunk in data.chunks(size) {
                reply.chunk(chunk).await;
            }
            let sum = checksum(&data);
            reply
                .end_chunked(&format!(
                    "X-Checksum: {sum:016x}\r\nX-Part: 1\r\nx-part: 2\r\n"
                ))
                .await;
        }
        "early" => {
            reply
                .conn
                .send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
                .await;
            reply.sized("200 OK", "", b"early").await;
        }
        "slow" => {
            let (count, pause) = (number(), Duration::from_millis(number()));
            reply.begin_chunked("").await;
            for index in 0..count {
                tokio::time::sleep(pause).await;
                reply.chunk(format!("tick{index}").as_bytes()).await;
            }
            reply.end_chunked("").await;
        }
        "gated" => {
            reply.begin_chunked("").await;
            reply.chunk(b"before").await;
            state.gate.raised().await;
            reply.chunk(b"after").await;
            reply.end_chunked("").await;
        }
        "hold" => {
            state.gate.raised().await;
            reply.sized("200 OK", "", b"held").await;
        }
        "echo" => {
            let kind = head
                .get("content-type")
                .unwrap_or("application/octet-stream");
            reply
                .sized("200 OK", &format!("Content-Type: {kind}\r\n"), &body.data)
                .await;
        }
        "digest" => {
            let text = format!(
                "{} {:016x} {}",
                body.data.len(),
                checksum(&body.data),
                body.trailers.len()
            );
            reply
                .sized("200 OK", "Content-Type: text/plain\r\n", text.as_bytes())
                .await;
        }
        "head" => reply.sized("200 OK", "", &head.raw).await,
        "status" => match number() {
            code @ (204 | 304) => {
                reply
                    .conn
                    .send(format!("HTTP/1.1 {code} Status\r\n\r\n"))
                    .await;
            }
            code => reply.sized(&format!("{code} Status"), "", b"status").await,
        },
        "close" => {
            reply
                .sized("200 OK", "Connection: close\r\n", b"closing")
                .await;
            return Then::Close;
        }
        "until-close" => {
            reply
                .conn
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                .await;
            if head.method != "HEAD" {
                let data = pattern(number() as usize);
                reply.conn.send(&data).await;
            }
            return Then::Close;
        }
        "hint" => {
            let hint = format!("Keep-Alive: timeout={}\r\n", number());
            reply.sized("200 OK", &hint, b"hint").await;
        }
        "upgrade" => match head.get("upgrade") {
            None => {
                reply
                    .sized("426 Upgrade Required", "Upgrade: echo\r\n", b"")
                    .await
            }
            Some(protocol) => {
                conn.send(format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: {protocol}\r\n\r\n"
                ))
                .await;
                return echo_stream(conn).await;
            }
        },
        _ => reply.sized("404 Not Found", "", b"no such route").await,
    }
    Then::KeepAlive
}

/// Echoes every byte until the other side closes its direction.
async fn echo_stream(conn: &mut Conn) -> Then {
    while let Some(bytes) = conn.read_some().await {
        conn.send(bytes).await;
    }
    Then::Close
}

/// Writes one answer; without its body for `HEAD`.
struct Reply<'a> {
    conn: &'a mut Conn,
    head: &'a RequestHead,
}

impl Reply<'_> {
    async fn sized(&mut self, status: &str, fields: &str, body: &[u8]) {
        let len = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {len}\r\n\r\n").into_bytes();
        if self.head.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.conn.send(bytes).await;
    }

    async fn begin_chunked(&mut self, fields: &str) {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
        self.conn.send(head).await;
    }

    async fn chunk(&mut self, data: &[u8]) {
        if self.head.method != "HEAD" {
            let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
            bytes.extend_from_slice(data);
            bytes.extend_from_slice(b"\r\n");
            self.conn.send(bytes).await;
        }
    }

    async fn end_chunked(&mut self, trailers: &str) {
        if self.head.method != "HEAD" {
            self.conn.send(format!("0\r\n{trailers}\r\n")).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::watched::within;

    async fn exchange(requests: &str) -> (String, Vec<Executed>) {
        let origin = TestOrigin::start().await;
        let mut client = TcpStream::connect(origin.address().tcp()).await.unwrap();
        client.write_all(requests.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut all = String::new();
        within("answers", client.read_to_string(&mut all))
            .await
            .unwrap();
        let executed = origin.executed();
        origin.finish().await;
        (all, executed)
    }

    #[tokio::test]
    async fn requests_are_answered_in_order_and_their_ids_logged() {
        let (all, executed) = exchange(
            "GET /bytes/3 HTTP/1.1\r\nx-request-id: a\r\n\r\n\
             POST /digest HTTP/1.1\r\nX-Request-Id: b\r\ntransfer-encoding: chunked\r\n\r\n\
             6\r\nfoobar\r\n0\r\nt: 1\r\n\r\n\
             HEAD /bytes/5 HTTP/1.1\r\n\r\n\
             GET /status/204 HTTP/1.1\r\n\r\n\
             GET /close HTTP/1.1\r\n\r\n\
             GET /bytes/1 HTTP/1.1\r\nx-request-id: never\r\n\r\n",
        )
        .await;
        assert_eq!(
            all,
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n!\"#\
             HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n\
             6 85944171f73967e8 1\
             HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\
             HTTP/1.1 204 Status\r\n\r\n\
             HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\nclosing"
        );
        let ids: Vec<&str> = executed.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "", "", ""]);
        assert_eq!(executed[1].body_len, 6);
        assert_eq!(executed[1].trailers, [("t".to_owned(), "1".to_owned())]);
    }

    #[tokio::test]
    async fn chunked_answers_carry_their_checksum_as_a_trailer() {
        let (all, _) = exchange("GET /chunked/5/2 HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        let sum = checksum(&pattern(5));
        assert_eq!(
            all,
            format!(
                "HTTP/1.1 200 OK\r\nTrailer: X-Checksum, X-Part\r\nTransfer-Encoding: chunked\r\n\
                 \r\n2\r\n!\"\r\n2\r\n#$\r\n1\r\n%\r\n0\r\n\
                 X-Checksum: {sum:016x}\r\nX-Part: 1\r\nx-part: 2\r\n\r\n"
            )
        );
    }

    #[tokio::test]
    async fn early_hints_and_continue_precede_the_response() {
        let (all, _) = exchange(
            "GET /early HTTP/1.1\r\n\r\n\
             POST /echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
        )
        .await;
        assert_eq!(
            all,
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly\
             HTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\
             \r\nhi"
        );
    }

    #[tokio::test]
    async fn upgrade_and_connect_echo_bytes() {
        let (all, _) = exchange("GET /upgrade HTTP/1.1\r\nUpgrade: x\r\n\r\nping").await;
        assert!(
            all.starts_with("HTTP/1.1 101 ") && all.ends_with("\r\n\r\nping"),
            "{all}"
        );
        let (all, _) = exchange("CONNECT a:1 HTTP/1.1\r\n\r\npong").await;
        assert_eq!(all, "HTTP/1.1 200 Connection Established\r\n\r\npong");
    }

    #[tokio::test]
    async fn held_answers_wait_for_the_gate() {
        let origin = TestOrigin::start().await;
        let mut client = TcpStream::connect(origin.address().tcp()).await.unwrap();
        client
            .write_all(b"GET /hold HTTP/1.1\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        within("execution", origin.wait_executed(1)).await;
        origin.open_gate();
        let mut all = String::new();
        within("answer", client.read_to_string(&mut all))
            .await
            .unwrap();
        assert!(all.ends_with("held"), "{all}");
        drop(client);
        origin.finish().await;
    }
}
