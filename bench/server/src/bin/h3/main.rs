//! An HTTP/3 server for client benchmarks: quinn and h3 on one thread, one prepared response.
//! `bench/lib/origins.mjs` starts it; it knows nothing of the clients.
//!
//! It prints one JSON line when it listens (`{"port":N}`) and serves until its standard input ends.
//! Then, and for each line that it reads before, it prints what it has served so far, so that a
//! driver can check a client's count, and its bytes, against the wire:
//! `{"requests":N,"connections":N,"received":BYTES}`.

use std::cell::Cell;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::{BidiStream, Connection};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const HELP: &str = "\
HTTP/3 server for benchmarks.

Usage: dodici-bench-h3 --tls DIRECTORY [--body BYTES] [--listen ADDRESS]

  --tls DIR         cert.pem and key.pem of this directory
  --body BYTES      size of every response body (default 13)
  --listen ADDRESS  where it listens (default 127.0.0.1:0, any free port)
";

/// Bytes of a piece of a body.
const PIECE: usize = 1 << 16;
/// What a connection may have received and not read, and what it may have sent and the client not
/// acknowledged: more than a path of 50 ms needs.
const WINDOW: u32 = 16 << 20;
/// Requests of a connection at a time.
const STREAMS: u32 = 1000;

struct Options {
    tls: PathBuf,
    body: u64,
    listen: SocketAddr,
}

/// What was served so far.
#[derive(Default)]
struct Served {
    requests: Cell<u64>,
    connections: Cell<u64>,
    received: Cell<u64>,
}

impl Served {
    fn account(&self) -> String {
        let (requests, connections) = (self.requests.get(), self.connections.get());
        let received = self.received.get();
        format!("{{\"requests\":{requests},\"connections\":{connections},\"received\":{received}}}")
    }
}

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(options))
}

/// The options, or `None` if help was asked for.
fn parse(mut args: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut tls, mut body, mut listen) = (None, 13, SocketAddr::from(([127, 0, 0, 1], 0)));
    while let Some(arg) = args.next()? {
        match arg {
            Long("tls") => tls = Some(args.value()?.into()),
            Long("body") => body = args.value()?.parse()?,
            Long("listen") => listen = args.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    let tls = tls.ok_or("--tls is missing")?;
    Ok(Some(Options { tls, body, listen }))
}

async fn run(options: Options) -> Result<(), Error> {
    let endpoint = Endpoint::server(configuration(&options.tls)?, options.listen)?;
    announce(&format!("{{\"port\":{}}}", endpoint.local_addr()?.port()))?;
    let served = Rc::new(Served::default());
    let (accepting, counting) = (endpoint.clone(), Rc::clone(&served));
    tokio::task::spawn_local(async move {
        while let Some(incoming) = accepting.accept().await {
            let served = Rc::clone(&counting);
            tokio::task::spawn_local(async move {
                // A failed handshake is the client's to report, and so is the end of a connection.
                if let Ok(quic) = incoming.await {
                    let _gone = serve(Connection::new(quic), options.body, served).await;
                }
            });
        }
    });
    let mut lines = stdin_lines();
    while lines.recv().await.is_some() {
        announce(&served.account())?;
    }
    announce(&served.account())?;
    endpoint.close(VarInt::from_u32(0x100), b"");
    Ok(())
}

fn configuration(directory: &Path) -> Result<ServerConfig, Error> {
    let chain = CertificateDer::pem_file_iter(directory.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into());
    let crypto = QuicServerConfig::try_from(tls)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn serve(quic: Connection, body: u64, served: Rc<Served>) -> Result<(), Error> {
    let mut http = h3::server::Connection::new(quic).await?;
    served.connections.set(served.connections.get() + 1);
    while let Some(resolver) = http.accept().await? {
        let served = Rc::clone(&served);
        tokio::task::spawn_local(async move {
            // What a client resets is its own to report.
            let _reset = answer(resolver, body, &served).await;
        });
    }
    Ok(())
}

async fn answer(
    resolver: RequestResolver<Connection, Bytes>,
    body: u64,
    served: &Served,
) -> Result<(), Error> {
    let (_request, mut stream) = resolver.resolve_request().await?;
    while let Some(piece) = stream.recv_data().await? {
        let received = served.received.get() + piece.remaining() as u64;
        served.received.set(received);
    }
    let response = http::Response::builder().header("content-length", body);
    stream.send_response(response.body(())?).await?;
    send(&mut stream, body).await?;
    stream.finish().await?;
    served.requests.set(served.requests.get() + 1);
    Ok(())
}

async fn send(
    stream: &mut RequestStream<BidiStream<Bytes>, Bytes>,
    body: u64,
) -> Result<(), Error> {
    static BODY: [u8; PIECE] = [b'x'; PIECE];
    let mut left = body;
    while left > 0 {
        let size = left.min(PIECE as u64);
        stream
            .send_data(Bytes::from_static(&BODY[..size as usize]))
            .await?;
        left -= size;
    }
    Ok(())
}

/// Lines of standard input, which ends when the driver does.
fn stdin_lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Prints one line immediately, so that a waiting driver sees it.
fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
