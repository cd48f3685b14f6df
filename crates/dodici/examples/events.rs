//! Prints the connection events, informational responses and trailers of a real exchange.
//!
//! `cargo run -p dodici --example events` talks to a server of its own; give a URL
//! (`http://host:port/path`) to talk to another.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};

use dodici::{Engine, Event, HeaderBlock, Origin, OriginConfig, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let url = match std::env::args().nth(1) {
        Some(url) if url == "--help" => {
            println!("usage: events [http[s]://host[:port]/path]");
            return Ok(());
        }
        Some(url) => url,
        None => serve().await?,
    };
    let uri: http::Uri = url.parse()?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err("the URL must start with http:// or https://".into()),
    };
    let host = uri.host().ok_or("the URL names no host")?;
    let port = uri.port_u16().unwrap_or(scheme.default_port());

    let engine = Engine::on_runtime(tokio::runtime::Handle::current());
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let events = Arc::new(move |event: Event| print_event(event, &closed));
    let pool = engine.open_pool(
        Origin::new(scheme, host, port),
        OriginConfig::default(),
        events,
    )?;

    for _ in 0..2 {
        let response = pool
            .send(http::Request::get(&url).body(String::new())?)
            .await?;
        let detail = response.body().detail();
        for early in detail.informational.iter() {
            println!("early       {} {:?}", early.status, early.headers);
        }
        let reused = if detail.info.reused {
            "reused"
        } else {
            "fresh"
        };
        println!(
            "response    {} on {} ({reused})",
            detail.head.status, detail.info.conn
        );
        print_fields("header", &detail.head.headers);
        let (body, trailers) = response.into_body().collect().await?;
        println!("body        {} bytes", body.len());
        print_fields("trailer", &trailers);
    }
    pool.close();
    is_closed.await?;
    Ok(())
}

fn print_event(event: Event, closed: &Mutex<Option<tokio::sync::oneshot::Sender<()>>>) {
    match event {
        Event::Connected { conn, info } => println!(
            "connect     {conn}: {:?} in {:.2?} (dns {:?}, tcp {:?}, tls {:?})",
            info.remote, info.timings.total, info.timings.dns, info.timings.tcp, info.timings.tls,
        ),
        Event::Disconnected { conn, info } => println!(
            "disconnect  {conn}: {} after {} requests, {} bytes in, {} bytes out",
            info.reason, info.requests, info.bytes_read, info.bytes_written,
        ),
        Event::ConnectFailed { conn, error } => println!("connect     {conn} failed: {error}"),
        Event::ConnectGivenUp { conn } => println!("connect     {conn} given up"),
        Event::Concurrency { conn, streams } => println!("streams     {conn}: {streams} at once"),
        Event::Pong { conn, round_trip } => println!("pong        {conn}: {round_trip:.2?}"),
        Event::Closed => {
            if let Ok(mut closed) = closed.lock()
                && let Some(closed) = closed.take()
            {
                let _receiver_may_be_gone = closed.send(());
            }
        }
        _ => {}
    }
}

fn print_fields(what: &str, fields: &HeaderBlock) {
    for (name, value) in fields.iter() {
        let (name, value) = (
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
        );
        println!("{what:<11} {name}: {value}");
    }
}

/// A server that answers every request with 103, then a chunked 200 with trailers.
async fn serve() -> std::io::Result<String> {
    const ANSWER: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\
        Trailer: X-Checksum\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\nX-Checksum: 31\r\n\
        x-Checksum: 32\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buf = vec![0; 4096];
                let mut seen = Vec::new();
                while let Ok(n @ 1..) = socket.read(&mut buf).await {
                    seen.extend_from_slice(&buf[..n]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        if socket.write_all(ANSWER).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(url)
}
