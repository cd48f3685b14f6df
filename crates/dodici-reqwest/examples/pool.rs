//! What reqwest's API cannot show: connection events, limits for one origin, early hints, and
//! trailers, against a server of its own.
//!
//! `cargo run -p dodici-reqwest --example pool`

use std::error::Error;
use std::sync::{Arc, Mutex};

use dodici_reqwest::Client;
use dodici_reqwest::ext::{ClientBuilderExt, ClientExt, Event, RequestBuilderExt, ResponseExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

/// Does everything and returns what happened, line by line.
pub async fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let url = serve().await?;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let say = {
        let lines = Arc::clone(&lines);
        move |line: String| {
            lines
                .lock()
                .unwrap_or_else(|broken| broken.into_inner())
                .push(line)
        }
    };

    let told = say.clone();
    let client = Client::builder()
        .no_proxy()
        // Two requests at the same time will share this one connection, one after the other.
        .origin(&url, |origin| origin.max_connections(1))
        .on_connection_event(move |_, event| match event {
            Event::Connected { .. } => told("connected".to_owned()),
            Event::Disconnected { info, .. } => {
                told(format!("disconnected after {} requests", info.requests));
            }
            _ => {}
        })
        .build()?;

    let told = say.clone();
    let ask = |name: &'static str| {
        let told = told.clone();
        let early = told.clone();
        let request = client
            .get(format!("{url}{name}"))
            .on_informational(move |head| early(format!("{name}: hint {}", head.status)));
        async move {
            let mut response = request.send().await?;
            let connection = if response.is_reused() {
                "reused"
            } else {
                "new"
            };
            while response.chunk().await?.is_some() {}
            let trailers = response.trailers().map(|trailers| format!("{trailers:?}"));
            told(format!(
                "{name}: {} on a {connection} connection, trailers {}",
                response.status(),
                trailers.unwrap_or_default()
            ));
            Ok::<_, dodici_reqwest::Error>(())
        }
    };
    let (first, second) = tokio::join!(ask("first"), ask("second"));
    first?;
    second?;
    for (_, stats) in client.pool_stats() {
        say(format!("{} connection open", stats.connected));
    }
    let lines = lines.lock().map_err(|_| "a callback panicked")?.clone();
    Ok(lines)
}

/// Answers every request with an early hint, a chunked body and a trailer.
async fn serve() -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(tokio::spawn(answer(stream)));
        }
    }));
    Ok(url)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        head.push(stream.read_u8().await?);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            stream
                .write_all(
                    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
                      HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      5\r\nhello\r\n0\r\nX-Checksum: 5d41402a\r\n\r\n",
                )
                .await?;
        }
    }
}
