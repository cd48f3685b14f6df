//! The compared clients, behind one method.

use std::sync::Arc;

use bytes::Bytes;
use dodici::{Engine, NoEvents, Origin, OriginConfig, Pool, Scheme, SendBody};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::runtime::Handle;

use crate::server::Protocol;
use crate::work::{Order, Work, Zeros};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dodici,
    /// The engine's pool, without what dodici-reqwest adds to it.
    Pool,
    Reqwest,
    Hyper,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Dodici, Self::Pool, Self::Reqwest, Self::Hyper];

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "dodici" => Ok(Self::Dodici),
            "pool" => Ok(Self::Pool),
            "reqwest" => Ok(Self::Reqwest),
            "hyper" => Ok(Self::Hyper),
            other => Err(format!("no client is called {other}")),
        }
    }
}

pub(crate) enum Client {
    Dodici(dodici_reqwest::Client),
    Pool(Pool),
    Reqwest(reqwest::Client),
    Hyper(Box<legacy::Client<HttpsConnector<HttpConnector>, Sent>>),
}

/// A request body of the clients that take any.
type Sent = Either<Full<Bytes>, Zeros>;

/// Sends one request through a client with reqwest's API.
macro_rules! through_reqwest {
    ($client:ident, $url:ident, $work:ident, $body:ty) => {
        match $work {
            Work::Get(_) => {
                let response = $client.get($url).send().await?;
                Ok(response.bytes().await?.len() as u64)
            }
            Work::Post(bytes) => {
                let response = $client.post($url).body(bytes.clone()).send().await?;
                Ok(response.bytes().await?.len() as u64)
            }
            Work::Json => {
                let response = $client.post($url).json(&Order::example()).send().await?;
                let length = response.content_length().unwrap_or(0);
                response.json::<Order>().await?;
                Ok(length)
            }
            Work::Upload(bytes) => {
                let body = <$body>::wrap(Zeros::new(*bytes));
                let response = $client.post($url).body(body).send().await?;
                Ok(response.bytes().await?.len() as u64)
            }
            Work::Download(_) => {
                let mut response = $client.get($url).send().await?;
                let mut length = 0;
                while let Some(chunk) = response.chunk().await? {
                    length += chunk.len() as u64;
                }
                Ok(length)
            }
        }
    };
}
impl Client {
    /// A client for requests to `url`.
    pub(crate) fn new(kind: Kind, protocol: Protocol, url: &str) -> Result<Self, BoxError> {
        Ok(match kind {
            Kind::Dodici => {
                let mut builder = dodici_reqwest::Client::builder()
                    .no_proxy()
                    .tls_danger_accept_invalid_certs(true);
                if protocol == Protocol::Tls {
                    builder = builder.http1_only();
                }
                Self::Dodici(builder.build()?)
            }
            Kind::Pool => Self::Pool(pool(protocol, url)?),
            Kind::Reqwest => {
                let mut builder = reqwest::Client::builder()
                    .no_proxy()
                    .tls_danger_accept_invalid_certs(true);
                if protocol == Protocol::Tls {
                    builder = builder.http1_only();
                }
                Self::Reqwest(builder.build()?)
            }
            Kind::Hyper => Self::Hyper(Box::new(
                legacy::Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .build(connector(protocol)?),
            )),
        })
    }

    /// Sends one request; returns the size of the response body.
    pub(crate) async fn run(&self, url: &str, work: &Work) -> Result<u64, BoxError> {
        match self {
            Self::Dodici(client) => through_reqwest!(client, url, work, dodici_reqwest::Body),
            Self::Reqwest(client) => through_reqwest!(client, url, work, reqwest::Body),
            Self::Pool(pool) => {
                let (parts, body) = request(url, work)?.into_parts();
                // What is in memory is said to be.
                let body = match (work, body) {
                    (Work::Upload(_), body) => SendBody::Stream(body),
                    (_, body) => SendBody::Full(body.collect().await?.to_bytes()),
                };
                let response = pool.send_known(&parts, body, None).await?;
                received(response.into_body(), work).await
            }
            Self::Hyper(client) => {
                let body = client.request(request(url, work)?).await?.into_body();
                received(body, work).await
            }
        }
    }
}

/// The same for the others.
fn request(url: &str, work: &Work) -> Result<http::Request<Sent>, BoxError> {
    let (method, body) = match work {
        Work::Get(_) | Work::Download(_) => ("GET", Either::Left(Full::default())),
        Work::Post(bytes) => ("POST", Either::Left(Full::new(bytes.clone()))),
        Work::Json => {
            let json = serde_json::to_vec(&Order::example())?;
            ("POST", Either::Left(Full::new(json.into())))
        }
        Work::Upload(bytes) => ("POST", Either::Right(Zeros::new(*bytes))),
    };
    let mut request = http::Request::builder().method(method).uri(url);
    if matches!(work, Work::Json) {
        request = request.header("content-type", "application/json");
    }
    Ok(request.body(body)?)
}

async fn received<B>(mut body: B, work: &Work) -> Result<u64, BoxError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if let Work::Download(_) = work {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(Into::into)?;
            length += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        return Ok(length);
    }
    let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
    if let Work::Json = work {
        serde_json::from_slice::<Order>(&bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn pool(protocol: Protocol, url: &str) -> Result<Pool, BoxError> {
    let uri: http::Uri = url.parse()?;
    let scheme = match protocol {
        Protocol::Http1 => Scheme::Http,
        Protocol::Tls | Protocol::Http2 => Scheme::Https,
    };
    let origin = Origin::new(
        scheme,
        uri.host().unwrap_or_default(),
        uri.port_u16().unwrap_or(0),
    );
    let mut config = OriginConfig::default();
    config.connect.tls.verify = false;
    if protocol == Protocol::Http2 {
        config.connect.tls.alpn = vec![b"h2".to_vec()];
    }
    let engine = Engine::on_runtime(Handle::current());
    Ok(engine.open_pool(origin, config, Arc::new(NoEvents))?)
}

/// hyper-util's connector with rustls, set up as reqwest sets it up.
fn connector(protocol: Protocol) -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnything))
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    Ok(match protocol {
        Protocol::Http1 | Protocol::Tls => builder.enable_http1().wrap_connector(http),
        Protocol::Http2 => builder.enable_http2().wrap_connector(http),
    })
}

/// The servers' certificates are self-signed.
#[derive(Debug)]
struct TakesAnything;

impl ServerCertVerifier for TakesAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
