//! A small real HTTP/3 server, made of quinn and h3, that logs the id of every request it executed.
//!
//! It is to HTTP/3 what [`TestOrigin`](crate::TestOrigin) is to HTTP/1.1, and shares no code with
//! the engine but quinn. Bodies in both directions are streamed, so that they may be of any size.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::error::StreamError;
use h3::server::RequestStream;
use h3_quinn::{BidiStream, Connection};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use quinn::{Endpoint, ServerConfig, TransportConfig};
use tokio::task::JoinHandle;

use super::quic::server_config;
use crate::certs::ServerTls;
use crate::message::{Fnv, checksum, pattern};
use crate::origin::Executed;
use crate::watched::{Signal, Watched};

/// Bytes of a piece of a body: a multiple of the length of the [`pattern`].
const PIECE: usize = 89 * 700;

/// The server. Routes, each for every method (`HEAD` gets the same head without a body):
///
/// | target | answer |
/// |---|---|
/// | `/bytes/{n}` | 200 with `content-length: n` and the [`pattern`] of n bytes |
/// | `/unsized/{n}/{size}` | the same n bytes in frames of `size` without a length, then trailers `x-checksum` ([`checksum`] in hex) and, twice, `x-part` |
/// | `/counted/{n}` | the same n bytes without a length, then a trailer `x-count` |
/// | `/early` | 103 with a `link`, then 200 with the body `early` |
/// | `/slow/{count}/{ms}` | `count` pieces `tick{i}`, one each `ms` milliseconds |
/// | `/gated` | `before`, then `after` once [`H3Origin::open_gate`] was called |
/// | `/hold` | a 200 with body `held`, once [`H3Origin::open_gate`] was called |
/// | `/echo` | the request's body, while it comes, and its `content-type` |
/// | `/digest` | text `{length} {checksum in hex} {number of trailers}` of the request's body |
/// | `/head` | a line for each field of the request |
/// | `/status/{code}` | that status; body `status` where the code allows one |
/// | anything else | 404 |
///
/// `CONNECT` to any authority is answered 200, after which all bytes are echoed.
#[derive(Debug)]
pub struct H3Origin {
    address: SocketAddr,
    endpoint: Endpoint,
    state: State,
    accept: JoinHandle<()>,
}

impl H3Origin {
    /// On a free UDP port of 127.0.0.1; with the configuration of [`ServerTls::http3`].
    ///
    /// # Panics
    /// If there is no port left.
    pub fn start(tls: &ServerTls) -> Self {
        Self::start_at(tls, ([127, 0, 0, 1], 0).into(), |_| {})
    }

    /// On this UDP address, with other limits, windows and timers.
    ///
    /// # Panics
    /// If it is taken.
    pub fn start_at(
        tls: &ServerTls,
        address: SocketAddr,
        change: impl FnOnce(&mut TransportConfig),
    ) -> Self {
        let mut transport = TransportConfig::default();
        change(&mut transport);
        Self::on(server_config(tls, transport), address)
    }

    fn on(config: ServerConfig, address: SocketAddr) -> Self {
        let endpoint = Endpoint::server(config, address).expect("a free port");
        let address = endpoint.local_addr().expect("a bound socket");
        let state = State::default();
        let (accepting, shared) = (endpoint.clone(), state.clone());
        let accept = tokio::spawn(async move {
            for connection in 0.. {
                let Some(incoming) = accepting.accept().await else {
                    return;
                };
                let state = shared.clone();
                tokio::spawn(async move {
                    // A handshake that fails is the client's to report.
                    if let Ok(quic) = incoming.await {
                        state.connections.update(|count| *count += 1);
                        serve(connection, quic, &state).await;
                    }
                });
            }
        });
        Self {
            address,
            endpoint,
            state,
            accept,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// UDP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Handshakes done so far.
    pub fn connections(&self) -> usize {
        self.state.connections.read(|count| *count)
    }

    /// Errors that requests and connections ended with on this side, so far. A client that goes
    /// away with H3_NO_ERROR is none.
    pub fn errors(&self) -> Vec<String> {
        self.state.errors.read(Vec::clone)
    }

    /// Requests executed so far, in order.
    pub fn executed(&self) -> Vec<Executed> {
        self.state.executed.read(Vec::clone)
    }

    /// How often the request with this id was executed.
    pub fn executions(&self, id: &str) -> usize {
        let executed = &self.state.executed;
        executed.read(|list| list.iter().filter(|entry| entry.id == id).count())
    }

    /// Resolves once `count` requests were executed.
    pub async fn wait_executed(&self, count: usize) {
        let executed = &self.state.executed;
        executed
            .wait(|list| (list.len() >= count).then_some(()))
            .await;
    }

    /// Releases `/gated` and `/hold`, permanently.
    pub fn open_gate(&self) {
        self.state.gate.raise();
    }

    /// Closes all connections with H3_NO_ERROR.
    pub fn close(&self) {
        self.accept.abort();
        self.endpoint
            .close(super::shared::var(super::code::NO_ERROR), b"");
    }

    /// Closes all connections, and resolves once all datagrams about that were sent.
    pub async fn finish(self) {
        self.close();
        self.endpoint.wait_idle().await;
    }
}

impl Drop for H3Origin {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    executed: Watched<Vec<Executed>>,
    connections: Watched<usize>,
    errors: Watched<Vec<String>>,
    gate: Signal,
}

type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

async fn serve(connection: usize, quic: quinn::Connection, state: &State) {
    let failed = |error: String| state.errors.update(|errors| errors.push(error));
    let built = h3::server::Connection::new(Connection::new(quic)).await;
    let mut http = match built {
        Ok(http) => http,
        Err(error) => return failed(error.to_string()),
    };
    loop {
        let resolver = match http.accept().await {
            Ok(Some(resolver)) => resolver,
            Ok(None) => return,
            Err(error) if error.is_h3_no_error() => return,
            Err(error) => return failed(error.to_string()),
        };
        let state = state.clone();
        tokio::spawn(async move {
            let outcome = match resolver.resolve_request().await {
                Ok((request, stream)) => {
                    Exchange::new(connection, request, stream, &state)
                        .run()
                        .await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                state.errors.update(|errors| errors.push(error.to_string()));
            }
        });
    }
}

/// One request and its answer.
struct Exchange<'a> {
    connection: usize,
    request: Request<()>,
    stream: Stream,
    state: &'a State,
    body: Fnv,
    body_len: usize,
    trailers: Vec<(String, String)>,
}

impl<'a> Exchange<'a> {
    fn new(connection: usize, request: Request<()>, stream: Stream, state: &'a State) -> Self {
        Self {
            connection,
            request,
            stream,
            state,
            body: Fnv::default(),
            body_len: 0,
            trailers: Vec::new(),
        }
    }

    async fn run(mut self) -> Result<(), StreamError> {
        let path = self.request.uri().path().to_owned();
        let connect = self.request.method() == http::Method::CONNECT;
        let mut parts = path.trim_start_matches('/').split('/');
        let route = parts.next().unwrap_or_default();
        if connect || route == "echo" {
            return self.echo().await;
        }
        while self.receive().await?.is_some() {}
        self.executed();
        let mut number = || -> usize {
            let part = parts.next().unwrap_or_default();
            part.parse()
                .unwrap_or_else(|_| panic!("no number in {path}"))
        };
        match route {
            "bytes" => {
                let len = number();
                self.head(200, &[("content-length", &len.to_string())])
                    .await?;
                self.pieces(len, PIECE).await?;
            }
            "unsized" => {
                let (len, size) = (number(), number());
                self.head(200, &[("trailer", "x-checksum, x-part")]).await?;
                self.pieces(len, size).await?;
                let sum = format!("{:016x}", checksum(&pattern(len)));
                let trailers = [("x-checksum", &*sum), ("x-part", "1"), ("x-part", "2")];
                self.stream.send_trailers(fields(&trailers)).await?;
            }
            "counted" => {
                let len = number();
                self.head(200, &[]).await?;
                self.pieces(len, PIECE).await?;
                let trailers = fields(&[("x-count", &len.to_string())]);
                self.stream.send_trailers(trailers).await?;
            }
            "early" => {
                self.head(103, &[("link", "</style.css>; rel=preload")])
                    .await?;
                self.sized(200, &[], b"early").await?;
            }
            "slow" => {
                let (count, pause) = (number(), Duration::from_millis(number() as u64));
                self.head(200, &[]).await?;
                for index in 0..count {
                    tokio::time::sleep(pause).await;
                    self.piece(format!("tick{index}").into()).await?;
                }
            }
            "gated" => {
                self.head(200, &[]).await?;
                self.piece(Bytes::from_static(b"before")).await?;
                self.state.gate.raised().await;
                self.piece(Bytes::from_static(b"after")).await?;
            }
            "hold" => {
                self.state.gate.raised().await;
                self.sized(200, &[], b"held").await?;
            }
            "digest" => {
                let (len, sum) = (self.body_len, self.body.0);
                let text = format!("{len} {sum:016x} {}", self.trailers.len());
                self.sized(200, &[("content-type", "text/plain")], text.as_bytes())
                    .await?;
            }
            "head" => {
                let lines = self.request.headers().iter();
                let lines = lines.map(|(name, value)| format!("{name}: {}\n", latin1(value)));
                let text: String = lines.collect();
                self.sized(200, &[], text.as_bytes()).await?;
            }
            "status" => match number() as u16 {
                code @ (204 | 304) => self.head(code, &[]).await?,
                code => self.sized(code, &[], b"status").await?,
            },
            _ => self.sized(404, &[], b"no such route").await?,
        }
        self.stream.finish().await
    }

    /// Sends back what comes, while it comes.
    async fn echo(mut self) -> Result<(), StreamError> {
        let kind = self.request.headers().get("content-type");
        let kind = kind.map_or_else(|| "application/octet-stream".to_owned(), latin1);
        self.head(200, &[("content-type", &kind)]).await?;
        while let Some(bytes) = self.receive().await? {
            self.piece(bytes).await?;
        }
        self.executed();
        self.stream.finish().await
    }

    /// The next piece of the request's body; at its end, notes the trailers.
    async fn receive(&mut self) -> Result<Option<Bytes>, StreamError> {
        if let Some(mut piece) = self.stream.recv_data().await? {
            let bytes = piece.copy_to_bytes(piece.remaining());
            self.body.update(&bytes);
            self.body_len += bytes.len();
            return Ok(Some(bytes));
        }
        if let Some(trailers) = self.stream.recv_trailers().await? {
            let trailers = trailers.iter();
            self.trailers
                .extend(trailers.map(|(name, value)| (name.to_string(), latin1(value))));
        }
        Ok(None)
    }

    fn executed(&self) {
        let id = self.request.headers().get("x-request-id");
        let target = self.request.uri().path_and_query();
        let executed = Executed {
            id: id.map(latin1).unwrap_or_default(),
            method: self.request.method().to_string(),
            target: target.map(ToString::to_string).unwrap_or_default(),
            connection: self.connection,
            body_len: self.body_len,
            body_checksum: self.body.0,
            trailers: self.trailers.clone(),
        };
        self.state.executed.update(|list| list.push(executed));
    }

    async fn head(&mut self, status: u16, list: &[(&str, &str)]) -> Result<(), StreamError> {
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().expect("a status");
        *response.headers_mut() = fields(list);
        self.stream.send_response(response).await
    }

    async fn sized(
        &mut self,
        status: u16,
        list: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(), StreamError> {
        let len = body.len().to_string();
        let list = [list, &[("content-length", &*len)]].concat();
        self.head(status, &list).await?;
        self.piece(Bytes::copy_from_slice(body)).await
    }

    /// The pattern, in pieces of this size.
    async fn pieces(&mut self, len: usize, size: usize) -> Result<(), StreamError> {
        let block = Bytes::from(pattern(size + 89));
        let mut at = 0;
        while at < len {
            let begin = at % 89;
            let piece = block.slice(begin..begin + size.min(len - at));
            at += piece.len();
            self.piece(piece).await?;
        }
        Ok(())
    }

    async fn piece(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        if self.request.method() == http::Method::HEAD || bytes.is_empty() {
            return Ok(());
        }
        self.stream.send_data(bytes).await
    }
}

fn fields(list: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        fields.append(name, value);
    }
    fields
}

fn latin1(value: &HeaderValue) -> String {
    value
        .as_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}
