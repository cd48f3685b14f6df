//! Cost of a request through both Rust APIs, over a real connection. main.rs lists these.
//!
//! Client and server take turns on one thread, so that the kernel has nothing to reorder. The server
//! does the same few hundred instructions each time, and allocates nothing.

use std::sync::Arc;

use bytes::Bytes;
use dodici::{Engine, NoEvents, Origin, OriginConfig, Pool, Scheme, SendBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world!";

/// Bytes of a request's body.
const BODY: usize = 1024;

pub(crate) fn pool_get(times: u64) {
    run(0, async move |port| {
        let pool = pool(port)?;
        for _ in 0..times {
            let response = pool.send(http::Request::new(String::new())).await?;
            let (body, _) = response.into_body().collect().await?;
            assert_eq!(body.len(), 13);
        }
        Ok(())
    });
}

pub(crate) fn pool_post(times: u64) {
    run(BODY, async move |port| {
        let (pool, bytes) = (pool(port)?, Bytes::from(vec![b'x'; BODY]));
        for _ in 0..times {
            let (parts, ()) = http::Request::post("/").body(())?.into_parts();
            let body = SendBody::<String>::Full(bytes.clone());
            let response = pool.send_known(&parts, body, None).await?;
            let (body, _) = response.into_body().collect().await?;
            assert_eq!(body.len(), 13);
        }
        Ok(())
    });
}

pub(crate) fn reqwest_get(times: u64) {
    run(0, async move |port| {
        let (client, url) = client(port)?;
        for _ in 0..times {
            let body = client.get(&url).send().await?.bytes().await?;
            assert_eq!(body.len(), 13);
        }
        Ok(())
    });
}

pub(crate) fn reqwest_post(times: u64) {
    run(BODY, async move |port| {
        let ((client, url), bytes) = (client(port)?, Bytes::from(vec![b'x'; BODY]));
        for _ in 0..times {
            let request = client.post(&url).body(bytes.clone());
            let body = request.send().await?.bytes().await?;
            assert_eq!(body.len(), 13);
        }
        Ok(())
    });
}

fn pool(port: u16) -> Result<Pool, Failure> {
    let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
    let engine = Engine::on_runtime(Handle::current());
    Ok(engine.open_pool(origin, OriginConfig::default(), Arc::new(NoEvents))?)
}

fn client(port: u16) -> Result<(dodici_reqwest::Client, String), Failure> {
    let client = dodici_reqwest::Client::builder().no_proxy().build()?;
    Ok((client, format!("http://127.0.0.1:{port}/")))
}

/// Runs the work against a server for requests with bodies of this length.
#[expect(
    clippy::expect_used,
    reason = "work that fails has no cost to be counted"
)]
fn run<W>(body: usize, work: impl FnOnce(u16) -> W)
where
    W: Future<Output = Result<(), Failure>>,
{
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let done = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            serve(stream, body).await
        });
        work(port).await?;
        server.abort();
        Ok::<_, Failure>(())
    });
    done.expect("requests are answered");
}

/// Answers each request once it is complete.
async fn serve(mut stream: TcpStream, body: usize) -> std::io::Result<()> {
    let mut buffer = [0; 8 * 1024];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let head = buffer[..filled]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|end| filled == end + 4 + body) {
            stream.write_all(ANSWER).await?;
            filled = 0;
        }
    }
}
