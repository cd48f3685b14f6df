//! The clients that are compared, behind one method.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

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
}

pub(crate) enum Client {
    Dodici(dodici_reqwest::Client),
    Reqwest(reqwest::Client),
    Hyper(Box<legacy::Client<HttpConnector, Empty<Bytes>>>),
}

impl Client {
    /// `None` where a client does not speak the protocol by itself: hyper-util has no TLS.
    pub(crate) fn new(kind: Kind, protocol: Protocol) -> Result<Option<Self>, BoxError> {
        Ok(match kind {
            Kind::Dodici => {
                let mut builder = dodici_reqwest::Client::builder()
                    .no_proxy()
                    .tls_danger_accept_invalid_certs(true);
                if protocol == Protocol::Tls {
                    builder = builder.http1_only();
                }
                Some(Self::Dodici(builder.build()?))
            }
            Kind::Reqwest => {
                let mut builder = reqwest::Client::builder()
                    .no_proxy()
                    .tls_danger_accept_invalid_certs(true);
                if protocol == Protocol::Tls {
                    builder = builder.http1_only();
                }
                Some(Self::Reqwest(builder.build()?))
            }
            Kind::Hyper if protocol == Protocol::Http1 => Some(Self::Hyper(Box::new(
                legacy::Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .build_http(),
            ))),
            Kind::Hyper => None,
        })
    }

    /// One request; bytes of its response's body.
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
