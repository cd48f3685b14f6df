//! Third-party servers for these tests: hyper's in this process, and those that may be
//! installed.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici_testkit::Authority;
use dodici_testkit::within;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A body of this many bytes, generated as it is read.
pub(crate) struct Made {
    left: u64,
    trailers: Option<http::HeaderMap>,
}

impl Made {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            trailers: None,
        }
    }

    /// With a trailer `x-sum`, the number of its bytes.
    fn summed(bytes: u64) -> Self {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", bytes.into());
        Self {
            left: bytes,
            trailers: Some(trailers),
        }
    }
}

impl Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 1 << 16] = [b'x'; 1 << 16];
        let size = self.left.min(CHUNK.len() as u64);
        self.left -= size;
        Poll::Ready(if size > 0 {
            let chunk = Bytes::from_static(&CHUNK[..size as usize]);
            Some(Ok(Frame::data(chunk)))
        } else {
            self.trailers.take().map(Frame::trailers).map(Ok)
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The body of a response of hyper's server.
enum Answer {
    Made(Made),
    Echo(Incoming),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Made(made) => {
                let frame = ready!(Pin::new(made).poll_frame(cx));
                Poll::Ready(frame.map(|frame| Ok(frame.unwrap())))
            }
            Self::Echo(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

/// Answers `GET /bytes/N` with N bytes, `PUT /count` with the length of the body in
/// `x-count`, and echoes any other body with its trailers.
async fn answer(request: http::Request<Incoming>) -> Result<http::Response<Answer>, hyper::Error> {
    let builder = http::Response::builder();
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    let answer = if let Some(count) = path.strip_prefix("/bytes/") {
        Answer::Made(Made::summed(count.parse().unwrap()))
    } else if path == "/count" {
        let mut count = 0;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            count += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        return Ok(builder
            .header("x-count", count)
            .body(Answer::Made(Made::new(0)))
            .unwrap());
    } else {
        Answer::Echo(body)
    };
    Ok(builder.body(answer).unwrap())
}

/// hyper's server, without TLS; its port.
pub(crate) async fn hyper_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service_fn(answer));
            // How a connection ends is up to the client.
            tokio::spawn(async { drop(served.await) });
        }
    });
    port
}

/// A server's process and its files.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn new(child: Child, directory: PathBuf, port: u16) -> Self {
        Self {
            child,
            directory,
            port,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A directory with a certificate, its key, and bodies to serve; the large one has no bytes on
/// disk.
pub(crate) fn files(name: &str, authority: &Authority, large: u64) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("dodici-{name}-{}", std::process::id()));
    fs::create_dir_all(directory.join("www")).unwrap();
    let leaf = authority.localhost();
    fs::write(directory.join("cert.pem"), &leaf.cert_pem).unwrap();
    fs::write(directory.join("key.pem"), &leaf.key_pem).unwrap();
    let both = format!("{}{}", leaf.cert_pem, leaf.key_pem);
    fs::write(directory.join("both.pem"), both).unwrap();
    fs::write(directory.join("www/small"), "small").unwrap();
    let sparse = fs::File::create(directory.join("www/large")).unwrap();
    sparse.set_len(large).unwrap();
    directory
}

pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server; `None` if it is not installed.
pub(crate) async fn start(
    program: &str,
    directory: PathBuf,
    port: u16,
    arguments: &[String],
) -> Option<Server> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        eprintln!("left out: {program} is not installed");
        let _ = fs::remove_dir_all(&directory);
        return None;
    };
    let server = Server::new(child, directory, port);
    let up = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("the server listens", up).await;
    Some(server)
}

/// A proxy to this port that delays everything, in both directions; returns its own port.
pub(crate) async fn far_away(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            tokio::spawn(carry(near_in, far_out, delay));
            tokio::spawn(carry(far_in, near_out, delay));
        }
    });
    own
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut under_way) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    loop {
        let mut bytes = Vec::with_capacity(1 << 16);
        match from.read_buf(&mut bytes).await {
            Ok(1..) if sender.send((Instant::now() + delay, bytes)).is_ok() => {}
            _ => return,
        }
    }
}
