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
    pub(crate) fn start(protocol: Protocol, body: usize) -> Result<Self, Failure> {
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
                let _ = runtime.block_on(serve(listener, tls, protocol, body));
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
    body: usize,
) -> Result<(), Failure> {
    let listener = TcpListener::from_std(listener)?;
    let body = Bytes::from(vec![b'x'; body]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, body) = (tls.clone(), body.clone());
        drop(tokio::spawn(async move {
            // A client that goes away is no failure.
            let _ = match protocol {
                Protocol::Http1 => http1(stream, body).await,
                Protocol::Tls => match tls.accept(stream).await {
                    Ok(stream) => http1(stream, body).await,
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

async fn http1(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    body: Bytes,
) -> std::io::Result<()> {
    let mut response =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(&body);
    let mut buffer = vec![0; READ];
    let mut matched = 0;
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        for &byte in &buffer[..count] {
            matched = match (matched, byte) {
                (0 | 2, b'\r') => matched + 1,
                (1 | 3, b'\n') => matched + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if matched == 4 {
                matched = 0;
                stream.write_all(&response).await?;
            }
        }
        stream.flush().await?;
    }
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin, body: Bytes) -> Result<(), h2::Error> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1000)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (_, mut respond) = request?;
        let head = http::Response::new(());
        let mut sender = respond.send_response(head, false)?;
        sender.send_data(body.clone(), true)?;
    }
    Ok(())
}
