//! The smallest HTTP/1.1 keep-alive server that a client benchmark needs: one thread, one prepared
//! response, no allocation per request. `bench/lib/origins.mjs` starts it; it knows nothing of
//! the clients.
//!
//! It prints one JSON line when it listens (`{"port":N}` or `{"path":"…"}`), serves until its
//! standard input ends, and then prints what it served (`{"requests":N,"connections":N}`), so
//! that a driver can check a client's count against the wire.

use std::cell::Cell;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use requests::RequestCounter;

mod requests;

const HELP: &str = "\
Minimal HTTP/1.1 keep-alive server for benchmarks.

Usage: dodici-bench-server [--body BYTES] [--delay MILLISECONDS] [--port PORT | --unix PATH]

  --body BYTES   size of every response body (default 13)
  --delay MS     wait before the responses to what one read brought (default 0)
  --port PORT    TCP port on 127.0.0.1 (default 0: any free one)
  --unix PATH    listen on a unix socket instead
";

/// Bytes asked for in one read. 64 KiB holds some thousand small pipelined requests.
const READ_BUFFER: usize = 64 * 1024;

struct Options {
    body: usize,
    delay: Duration,
    listen: Listen,
}

enum Listen {
    Tcp(u16),
    Unix(PathBuf),
}

#[derive(Default)]
struct Served {
    requests: Cell<u64>,
    connections: Cell<u64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(options))?;
    Ok(())
}

/// The options, or `None` if help was asked for.
fn parse(mut args: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        body: 13,
        delay: Duration::ZERO,
        listen: Listen::Tcp(0),
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("body") => options.body = args.value()?.parse()?,
            Long("delay") => options.delay = Duration::from_millis(args.value()?.parse()?),
            Long("port") => options.listen = Listen::Tcp(args.value()?.parse()?),
            Long("unix") => options.listen = Listen::Unix(args.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

async fn serve(options: Options) -> std::io::Result<()> {
    let response: Rc<[u8]> = response(options.body).into();
    let served = Rc::new(Served::default());
    let stop = stdin_end();
    match options.listen {
        Listen::Tcp(port) => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
            announce(&format!("{{\"port\":{}}}", listener.local_addr()?.port()))?;
            let accept = async {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    spawn(stream, &response, &served, options.delay);
                }
            };
            until(stop, accept).await?;
        }
        Listen::Unix(path) => {
            let listener = tokio::net::UnixListener::bind(&path)?;
            announce(&format!("{{\"path\":{:?}}}", path.display().to_string()))?;
            let accept = async {
                loop {
                    let (stream, _) = listener.accept().await?;
                    spawn(stream, &response, &served, options.delay);
                }
            };
            let ended = until(stop, accept).await;
            std::fs::remove_file(&path)?;
            ended?;
        }
    }
    announce(&format!(
        "{{\"requests\":{},\"connections\":{}}}",
        served.requests.get(),
        served.connections.get()
    ))
}

async fn until(
    stop: tokio::sync::oneshot::Receiver<()>,
    accept: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::select! {
        _ = stop => Ok(()),
        failed = accept => failed,
    }
}

fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Resolves when standard input ends: the driver has gone or wants the account.
fn stdin_end() -> tokio::sync::oneshot::Receiver<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().read(&mut ignored), Ok(n) if n > 0) {}
        drop(sender);
    });
    receiver
}

/// What Node's own server sends for a short text, so that clients parse a usual head.
fn response(body: usize) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
         Connection: keep-alive\r\n\
         Keep-Alive: timeout=60\r\n\
         Content-Length: {body}\r\n\r\n"
    )
    .into_bytes();
    bytes.resize(bytes.len() + body, b'x');
    bytes
}

fn spawn(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    response: &Rc<[u8]>,
    served: &Rc<Served>,
    delay: Duration,
) {
    let (response, served) = (Rc::clone(response), Rc::clone(served));
    served.connections.set(served.connections.get() + 1);
    tokio::task::spawn_local(async move {
        // A client that goes away in the middle ends its connection's task and nothing else.
        let _gone = connection(stream, &response, &served, delay).await;
    });
}

async fn connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    response: &[u8],
    served: &Served,
    delay: Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BUFFER];
    let mut many = Vec::new();
    let mut counter = RequestCounter::default();
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let requests = counter.feed(&buffer[..read]);
        if requests == 0 {
            continue;
        }
        served.requests.set(served.requests.get() + requests);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if requests == 1 {
            stream.write_all(response).await?;
        } else {
            // Pipelined requests are answered with one write, as a good server would.
            many.clear();
            (0..requests).for_each(|_| many.extend_from_slice(response));
            stream.write_all(&many).await?;
        }
    }
}
