//! Certificates, a scripted TLS server and connectors for the tests beside it.

use std::net::SocketAddr;
use std::sync::Arc;

use dodici_pool::{ConnectConfig, Error, Origin, RootSource, Scheme, SystemDetail, TlsConfig};
use dodici_testkit::with;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureScheme};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connect::{Connector, Transport};

/// A certificate with its key, able to issue others.
pub(super) struct Cert {
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
}

impl Cert {
    pub(super) fn pem_bytes(&self) -> Vec<u8> {
        self.pem.clone().into_bytes()
    }
}

/// Parameters with a common name and DNS or IP alternative names.
pub(super) fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

pub(super) fn san(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(super) fn self_signed(params: CertificateParams) -> Cert {
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    Cert {
        der: cert.der().clone(),
        pem: cert.pem(),
        params,
        key,
    }
}

pub(super) fn authority(common_name: &str) -> Cert {
    let mut params = params(common_name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    self_signed(params)
}

pub(super) fn issued(by: &Cert, params: CertificateParams) -> Cert {
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&by.params, &by.key);
    let cert = params.signed_by(&key, &issuer).unwrap();
    Cert {
        der: cert.der().clone(),
        pem: cert.pem(),
        params,
        key,
    }
}

/// The certificates in a PEM text.
pub(super) fn pem_certs(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .map(Result::unwrap)
        .collect()
}

/// What a test server presents and demands.
pub(super) struct ServerSetup {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    pub(super) versions: Vec<&'static rustls::SupportedProtocolVersion>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) client_roots: Option<CertificateDer<'static>>,
    /// Those that clients may sign with; none: all.
    pub(super) client_schemes: Vec<SignatureScheme>,
}

impl ServerSetup {
    pub(super) fn new(leaf: &Cert, others: &[&Cert]) -> Self {
        let mut chain = vec![leaf.der.clone()];
        chain.extend(others.iter().map(|cert| cert.der.clone()));
        Self {
            chain,
            key: leaf.key.serialize_der().into(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: Vec::new(),
            client_roots: None,
            client_schemes: Vec::new(),
        }
    }

    pub(super) fn build(self) -> ServerConfig {
        let mut provider = aws_lc_rs::default_provider();
        let schemes = self.client_schemes;
        if !schemes.is_empty() {
            let algorithms = &mut provider.signature_verification_algorithms;
            let known = algorithms.mapping.iter();
            let some: Vec<_> = known
                .filter(|(one, _)| schemes.contains(one))
                .copied()
                .collect();
            algorithms.mapping = some.leak();
        }
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.client_roots {
            None => builder.with_no_client_auth(),
            Some(root) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(root).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        // Without the check that key and certificate match: some tests need a thief.
        let key = aws_lc_rs::sign::any_supported_type(&self.key.into()).unwrap();
        let certified = SingleCertAndKey::from(CertifiedKey::new(self.chain, key));
        let mut config = builder.with_cert_resolver(Arc::new(certified));
        config.alpn_protocols = self.alpn;
        config
    }
}

/// A TLS server whose accepted streams (or failed handshakes) the test receives in order.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    accepted: mpsc::UnboundedReceiver<std::io::Result<TlsStream<TcpStream>>>,
}

impl Server {
    pub(super) async fn start(setup: ServerSetup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(setup.build()));
        let (sender, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(acceptor.accept(stream).await).is_err() {
                    return;
                }
            }
        });
        Self { addr, accepted }
    }

    pub(super) async fn next(&mut self) -> std::io::Result<TlsStream<TcpStream>> {
        self.accepted.recv().await.unwrap()
    }
}

/// `https://127.0.0.1:<port>` that asks for `localhost` and trusts `roots`.
pub(super) fn config(roots: &[&Cert]) -> ConnectConfig {
    with(ConnectConfig::default(), |config| {
        config.tls = with(TlsConfig::default(), |tls| {
            tls.server_name = Some("localhost".into());
            tls.roots = RootSource::Custom(roots.iter().map(|cert| cert.pem_bytes()).collect());
        })
    })
}

pub(super) fn connector(addr: SocketAddr, config: ConnectConfig) -> Connector {
    try_connector(addr, config).unwrap()
}

pub(super) fn try_connector(addr: SocketAddr, config: ConnectConfig) -> Result<Connector, Error> {
    let origin = Origin::new(Scheme::Https, &addr.ip().to_string(), addr.port());
    Connector::new(origin, config)
}

pub(crate) fn plain(addr: SocketAddr, config: ConnectConfig) -> Connector {
    let origin = Origin::new(Scheme::Http, &addr.ip().to_string(), addr.port());
    Connector::new(origin, config).unwrap()
}

pub(crate) async fn connect(connector: &Connector) -> (Transport, dodici_pool::ConnectInfo) {
    connector.connect().await.unwrap()
}

pub(super) fn code(error: &Error) -> &str {
    &detail(error).code
}

pub(super) fn detail(error: &Error) -> &SystemDetail {
    error.system().unwrap()
}
