//! The servers: one thread each, one prepared response, as little work as the protocol allows.

use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

/// A server that runs as long as the process.
pub(crate) struct Server {
    url: String,
}

type Failure = crate::clients::BoxError;

/// Bytes asked for in one read: some hundred small requests.
const READ: usize = 64 * 1024;

impl Server {
    pub(crate) fn start(protocol: Protocol, answer: (Bytes, u64)) -> Result<Self, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let scheme = match protocol {
            Protocol::Http1 => "http",
            Protocol::Tls | Protocol::Http2 => "https",
        };
        let url = format!("{scheme}://{}/", listener.local_addr()?);
        let tls = acceptor(protocol)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("server".into())
            .spawn(move || {
                // Ends with the process; if it fails, requests do.
                let _ = runtime.block_on(serve(listener, tls, protocol, answer));
            })?;
        Ok(Self { url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn acceptor(protocol: Protocol) -> Result<TlsAcceptor, Failure> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".into()])?.self_signed(&key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    listener: std::net::TcpListener,
    tls: TlsAcceptor,
    protocol: Protocol,
    (body, times): (Bytes, u64),
) -> Result<(), Failure> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, body) = (tls.clone(), body.clone());
        drop(tokio::spawn(async move {
            // A client that goes away is no failure.
            let _ = match protocol {
                Protocol::Http1 => http1(stream, body, times).await,
                Protocol::Tls => match tls.accept(stream).await {
                    Ok(stream) => http1(stream, body, times).await,
                    Err(error) => Err(error),
                },
                Protocol::Http2 => match tls.accept(stream).await {
                    Ok(stream) => http2(stream, body).await.map_err(std::io::Error::other),
                    Err(error) => Err(error),
                },
            };
        }));
    }
}

/// Answers each request, once it is complete, with a body of `times` the same bytes.
async fn http1(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    body: Bytes,
    times: u64,
) -> std::io::Result<()> {
    let length = body.len() as u64 * times;
    let mut response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    if times == 1 {
        response.extend_from_slice(&body);
    }
    let mut buffer = vec![0; READ];
    // The begin of a head, and what is left of a request's body.
    let (mut head, mut left) = (Vec::new(), 0_u64);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut unread = &buffer[..count];
        while !unread.is_empty() {
            if left == 0 {
                let before = head.len();
                head.extend_from_slice(unread);
                let from = before.saturating_sub(3);
                let Some(end) = head[from..].windows(4).position(|four| four == b"\r\n\r\n") else {
                    break;
                };
                let end = from + end + 4;
                left = declared(&head[..end]);
                unread = &unread[end - before..];
                head.clear();
            }
            let of_body = unread
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            unread = &unread[of_body..];
            left -= of_body as u64;
            if left > 0 {
                continue;
            }
            stream.write_all(&response).await?;
            if times > 1 {
                for _ in 0..times {
                    stream.write_all(&body).await?;
                }
            }
        }
        stream.flush().await?;
    }
}

/// `content-length` of a head; 0 if there is none.
fn declared(head: &[u8]) -> u64 {
    const NAME: &[u8] = b"content-length:";
    for line in head.split(|byte| *byte == b'\n') {
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            let text = std::str::from_utf8(value).unwrap_or_default();
            return text.trim().parse().unwrap_or(0);
        }
    }
    0
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin, body: Bytes) -> Result<(), h2::Error> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1000)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 26)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let incoming = request.into_body();
        if incoming.is_end_stream() {
            answer(respond, body.clone())?;
        } else {
            // A request that its client gives up is no failure.
            drop(tokio::spawn(after_body(incoming, respond, body.clone())));
        }
    }
    Ok(())
}

async fn after_body(
    mut incoming: h2::RecvStream,
    respond: h2::server::SendResponse<Bytes>,
    body: Bytes,
) -> Result<(), h2::Error> {
    while let Some(chunk) = incoming.data().await {
        let length = chunk?.len();
        incoming.flow_control().release_capacity(length)?;
    }
    answer(respond, body)
}

fn answer(mut respond: h2::server::SendResponse<Bytes>, body: Bytes) -> Result<(), h2::Error> {
    let mut sender = respond.send_response(http::Response::new(()), false)?;
    sender.send_data(body, true)
}
