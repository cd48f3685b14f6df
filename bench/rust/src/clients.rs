//! The compared clients, behind one method.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::server::Protocol;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dodici,
    Reqwest,
    Hyper,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Dodici, Self::Reqwest, Self::Hyper];

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "dodici" => Ok(Self::Dodici),
            "reqwest" => Ok(Self::Reqwest),
            "hyper" => Ok(Self::Hyper),
            other => Err(format!("no client is called {other}")),
        }
    }
}

pub(crate) enum Client {
    Dodici(dodici_reqwest::Client),
    Reqwest(reqwest::Client),
    Hyper(Box<legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>),
}

impl Client {
    pub(crate) fn new(kind: Kind, protocol: Protocol) -> Result<Self, BoxError> {
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
    pub(crate) async fn get(&self, url: &str) -> Result<usize, BoxError> {
        Ok(match self {
            Self::Dodici(client) => client.get(url).send().await?.bytes().await?.len(),
            Self::Reqwest(client) => client.get(url).send().await?.bytes().await?.len(),
            Self::Hyper(client) => {
                let response = client.get(url.parse()?).await?;
                response.into_body().collect().await?.to_bytes().len()
            }
        })
    }
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
