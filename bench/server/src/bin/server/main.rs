//! The smallest HTTP/1.1 keep-alive server that a client benchmark needs: one thread, one prepared
//! response, no allocation per request. `bench/lib/origins.mjs` starts it; it knows nothing of
//! the clients.
//!
//! It prints one JSON line when it listens (`{"port":N,"ports":[N,…]}` or `{"path":"…"}`) and
//! serves until its standard input ends. Then, and for each line that it reads before, it prints
//! what it has served so far, so that a driver can check a client's count against the wire:
//! `{"requests":N,"connections":N}`, and with `--waits` the percentiles of [`waits`].

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use connection::{Answer, serve};
use waits::Waits;

mod connection;
mod requests;
mod waits;

const HELP: &str = "\
Minimal HTTP/1.1 keep-alive server for benchmarks.

Usage: dodici-bench-server [--body BYTES] [--delay MILLISECONDS] [--each] [--tls DIRECTORY]
                           [--waits] [--port PORT | --ports N | --unix PATH]

  --body BYTES   size of every response body (default 13)
  --delay MS     wait before the responses to what one read brought (default 0)
  --each         answer each request with a write of its own, also pipelined ones
  --tls DIR      TLS 1.3 with cert.pem and key.pem of this directory
  --waits        tell how long requests had waited since their `x-dispatched: MICROSECONDS`
                 (since 1970) when they arrived
  --port PORT    TCP port on 127.0.0.1 (default 0: any free one)
  --ports N      as many free ports
  --unix PATH    listen on a unix socket instead
";

struct Options {
    body: u64,
    delay: Duration,
    each: bool,
    tls: Option<PathBuf>,
    waits: bool,
    listen: Listen,
}

enum Listen {
    Tcp { port: u16, count: usize },
    Unix(PathBuf),
}

/// Requests served so far.
#[derive(Default)]
struct Served {
    requests: Cell<u64>,
    connections: Cell<u64>,
    /// Present if they are recorded.
    waits: Option<RefCell<Waits>>,
}

impl Served {
    fn account(&self) -> String {
        let (requests, connections) = (self.requests.get(), self.connections.get());
        let waits = match &self.waits {
            Some(waits) => waits.borrow_mut().account(),
            None => String::new(),
        };
        format!("{{\"requests\":{requests},\"connections\":{connections}{waits}}}")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    let mut options = Options {
        body: 13,
        delay: Duration::ZERO,
        each: false,
        tls: None,
        waits: false,
        listen: Listen::Tcp { port: 0, count: 1 },
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("body") => options.body = args.value()?.parse()?,
            Long("delay") => options.delay = Duration::from_millis(args.value()?.parse()?),
            Long("each") => options.each = true,
            Long("tls") => options.tls = Some(args.value()?.into()),
            Long("waits") => options.waits = true,
            Long("port") => {
                let port = args.value()?.parse()?;
                options.listen = Listen::Tcp { port, count: 1 };
            }
            Long("ports") => {
                let count = args.value()?.parse()?;
                options.listen = Listen::Tcp { port: 0, count };
            }
            Long("unix") => options.listen = Listen::Unix(args.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

/// What the connections' tasks share.
#[derive(Clone)]
struct Shared {
    answer: Rc<Answer>,
    served: Rc<Served>,
    tls: Option<TlsAcceptor>,
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let shared = Shared {
        answer: Rc::new(Answer::new(options.body, options.delay, options.each)),
        served: Rc::new(Served {
            waits: options.waits.then(RefCell::default),
            ..Served::default()
        }),
        tls: options.tls.as_deref().map(acceptor).transpose()?,
    };
    let mut lines = stdin_lines();
    match options.listen {
        Listen::Tcp { port, count } => {
            let mut ports = Vec::with_capacity(count);
            for _ in 0..count {
                let listener = TcpListener::bind(("127.0.0.1", port)).await?;
                ports.push(listener.local_addr()?.port());
                tokio::task::spawn_local(accept_tcp(listener, shared.clone()));
            }
            let first = ports.first().copied().unwrap_or_default();
            announce(&format!("{{\"port\":{first},\"ports\":{ports:?}}}"))?;
            accounts(&mut lines, &shared.served).await?;
        }
        Listen::Unix(path) => {
            let listener = tokio::net::UnixListener::bind(&path)?;
            announce(&format!("{{\"path\":{:?}}}", path.display().to_string()))?;
            let accepting = shared.clone();
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    spawn(stream, &accepting);
                }
            });
            let ended = accounts(&mut lines, &shared.served).await;
            std::fs::remove_file(&path)?;
            ended?;
        }
    }
    Ok(())
}

async fn accept_tcp(listener: TcpListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        // Without it, small responses would wait for acknowledgements.
        if stream.set_nodelay(true).is_ok() {
            secure(stream, &shared);
        }
    }
}

/// Serves a TCP connection, behind TLS if that was asked for.
fn secure(stream: TcpStream, shared: &Shared) {
    let Some(tls) = shared.tls.clone() else {
        return spawn(stream, shared);
    };
    let shared = shared.clone();
    tokio::task::spawn_local(async move {
        // A failed handshake is the client's to report.
        if let Ok(stream) = tls.accept(stream).await {
            spawn(stream, &shared);
        }
    });
}

fn spawn(stream: impl connection::Stream, shared: &Shared) {
    let Shared { answer, served, .. } = shared.clone();
    served.connections.set(served.connections.get() + 1);
    tokio::task::spawn_local(async move {
        // A client that disconnects ends its connection's task and nothing else.
        let _gone = serve(stream, &answer, &served).await;
    });
}

fn acceptor(directory: &std::path::Path) -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(directory.join("cert.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem"))?;
    let mut config =
        rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Prints an account for each line, and a final one when there are no more.
async fn accounts(lines: &mut UnboundedReceiver<()>, served: &Served) -> std::io::Result<()> {
    while lines.recv().await.is_some() {
        announce(&served.account())?;
    }
    announce(&served.account())
}

fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// One message for each line of standard input; closed when that ends, because the driver has
/// gone or wants the last account.
fn stdin_lines() -> UnboundedReceiver<()> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(()).is_err() {
                break;
            }
        }
    });
    receiver
}
