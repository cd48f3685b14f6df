//! The TLS leg: rustls with aws-lc-rs, configured from one [`TlsConfig`].
//!
//! - `roots`: trust anchors. `identity`: client certificates and keys. `key_log`: secrets in a file.
//! - `verifier`: verifies a server's certificate. `chain`: chain validation like OpenSSL's, with
//!   `fault`, its errors. `names`: host names and name constraints. `revocation`: revocation lists.
//!   `certificate`: the parsed fields, with its `extensions`. `refusal`: a rejection in Node's terms.
//! - `strict`: the same checks in addition to another verifier.
//! - `node_codes`: Node's error codes. `quic`: the same leg for QUIC.
//!
//! Called by the connector. Must not know DNS, addresses or deadlines.

mod certificate;
mod chain;
mod extensions;
mod fault;
mod identity;
mod key_log;
mod names;
pub(super) mod node_codes;
#[cfg(feature = "http3")]
pub(super) mod quic;
mod refusal;
mod revocation;
pub(super) mod roots;
pub(super) mod strict;
mod verifier;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Origin, Phase, Replay, TlsConfig, TlsInfo, TlsVersion};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, ContentType, Error as TlsError,
    HandshakeKind, PeerIncompatible, ProtocolVersion,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::identity::Identities;
use self::key_log::KeyLogFile;
use self::roots::{DefaultRoots, TrustStore};
use self::verifier::NodeVerifier;
use super::errors::bad_option;
use super::read_ahead::ReadAhead;
use super::socket::Socket;

/// TLS handshakes for one pool key, including its sessions.
pub(super) struct TlsLeg {
    connector: TlsConnector,
    server_name: ServerName<'static>,
    /// Whether the server's certificate is verified.
    verifies: bool,
    /// Checks identities instead of the verifier.
    judge: Option<Judge>,
    /// `None` if the caller's configuration has another.
    #[cfg(feature = "http3")]
    verifier: Option<Arc<NodeVerifier>>,
}

/// See [`ConnectHooks::identity`](super::ConnectHooks::identity).
pub trait IdentityHook: Send + Sync {
    /// Whether the server is `host`. Its `chain` is valid: DER, the server's certificate first, up to
    /// the trust anchor if that is known. Called for every connection, also one that resumes a
    /// session. `is_proxy`: the server is the proxy.
    ///
    /// The error is the connection's.
    fn check(
        &self,
        host: &str,
        chain: Vec<Vec<u8>>,
        is_proxy: bool,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
}

/// The caller's hook and its arguments.
struct Judge {
    hook: Arc<dyn IdentityHook>,
    verifier: Arc<NodeVerifier>,
    is_proxy: bool,
}

impl Judge {
    async fn check(&self, presented: &[CertificateDer<'_>]) -> Result<(), Error> {
        let path = self.verifier.path(presented);
        let host = self.verifier.host();
        self.hook.check(host, path, self.is_proxy).await
    }
}

impl TlsLeg {
    /// # Errors
    /// `InvalidRequest` naming the invalid option, or saying that the default roots are unusable.
    pub(super) fn new(
        origin: &Origin,
        config: &TlsConfig,
        roots: &DefaultRoots,
        hook: Option<&Arc<dyn IdentityHook>>,
        is_proxy: bool,
    ) -> Result<Self, Error> {
        let provider = Arc::new(provider(config));
        let versions = versions(config)?;
        let (host, server_name) = server_name(origin, config);
        let hook = hook.filter(|_| config.check_identity && config.verify);
        // Of servers that are not verified, the roots do not matter.
        let store = match TrustStore::of(config, roots) {
            Err(error) if config.verify => return Err(error),
            known => known.ok().flatten(),
        };
        let identities = Identities::load(config, store.as_deref(), &provider)?;
        let verifier = NodeVerifier::new(host, config, store, hook.is_none(), &provider)?;
        let verifier = Arc::new(verifier);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| bad_option("minVersion", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut client = builder.with_client_cert_resolver(Arc::new(identities));
        if let Some(path) = &config.key_log {
            client.key_log = Arc::new(KeyLogFile(path.clone()));
        }
        client.alpn_protocols.clone_from(&config.alpn);
        client.resumption = match config.max_cached_sessions {
            0 => Resumption::disabled(),
            limit => Resumption::in_memory_sessions(limit as usize),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            server_name: server_name.unwrap_or_else(no_name),
            verifies: config.verify,
            #[cfg(feature = "http3")]
            verifier: Some(Arc::clone(&verifier)),
            judge: hook.map(|hook| Judge {
                hook: Arc::clone(hook),
                verifier,
                is_proxy,
            }),
        })
    }

    /// Handshakes with the caller's configuration; of `config`, only the server name is used.
    ///
    /// # Errors
    /// `InvalidRequest` if the server name is invalid.
    pub(super) fn preconfigured(
        origin: &Origin,
        config: &TlsConfig,
        client: Arc<ClientConfig>,
    ) -> Result<Self, Error> {
        let (host, server_name) = server_name(origin, config);
        let server_name = server_name.ok_or_else(|| {
            let why = format_args!("{host:?} is neither a host name nor an address");
            bad_option("servername", why)
        })?;
        Ok(Self {
            connector: TlsConnector::from(client),
            server_name,
            verifies: true,
            judge: None,
            #[cfg(feature = "http3")]
            verifier: None,
        })
    }

    /// Whether HTTP/2 is among the protocols offered.
    pub(super) fn offers_http2(&self) -> bool {
        let offered = &self.connector.config().alpn_protocols;
        offered.iter().any(|name| name == b"h2")
    }

    /// Cancelling the future closes the socket.
    pub(super) async fn handshake(
        &self,
        socket: Socket,
    ) -> Result<(Box<TlsStream<ReadAhead>>, TlsInfo), Error> {
        let handshake = self
            .connector
            .connect(self.server_name.clone(), ReadAhead::new(socket));
        // Boxed at once: the future and the stream are large, and the stream stays boxed.
        let stream = Box::new(
            Box::pin(handshake.into_fallible())
                .await
                .map_err(|(error, io)| handshake_error(error, io.first()))?,
        );
        if let Some(judge) = &self.judge {
            let presented = stream.get_ref().1.peer_certificates();
            judge.check(presented.unwrap_or_default()).await?;
        }
        let info = self.describe(stream.get_ref().1);
        Ok((stream, info))
    }

    fn describe(&self, session: &ClientConnection) -> TlsInfo {
        let mut info = TlsInfo::default();
        info.version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        info.cipher = session
            .negotiated_cipher_suite()
            .map_or("", |suite| node_codes::iana_name(suite.suite()));
        info.alpn = session
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        info.resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        info.server_name = match &self.server_name {
            ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
            _ => None,
        };
        info.verified = self.verifies;
        info.peer_certificate = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|certificate| Arc::new(certificate.to_vec()));
        info
    }
}

impl std::fmt::Debug for TlsLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsLeg")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Placeholder for a name that SNI cannot carry, such as the path of a socket: rustls sends no SNI
/// for an address. The verifier knows the name.
fn no_name() -> ServerName<'static> {
    IpAddr::from(Ipv4Addr::UNSPECIFIED).into()
}

/// The host that the certificate must match, and rustls's representation of it, if there is one. An
/// IP address is verified against the certificate but never sent in SNI (RFC 6066, section 3).
fn server_name(origin: &Origin, config: &TlsConfig) -> (String, Option<ServerName<'static>>) {
    let configured = config
        .server_name
        .as_deref()
        .filter(|name| !name.is_empty());
    let name = configured.unwrap_or(&origin.host);
    (name.to_owned(), ServerName::try_from(name.to_owned()).ok())
}

/// rustls's cryptography, restricted to what is to be offered.
fn provider(config: &TlsConfig) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(wanted) = &config.cipher_suites {
        let suites = std::mem::take(&mut provider.cipher_suites);
        provider.cipher_suites = in_order(wanted, &suites, |suite| suite.suite().into());
    }
    if let Some(wanted) = &config.groups {
        let all = aws_lc_rs::ALL_KX_GROUPS;
        provider.kx_groups = in_order(wanted, all, |group| group.name().into());
    }
    provider
}

/// Those of `all` that are wanted, in that order.
fn in_order<T: Copy>(wanted: &[u16], all: &[T], number: impl Fn(&T) -> u16) -> Vec<T> {
    let find = |wanted: &u16| all.iter().find(|one| number(one) == *wanted).copied();
    wanted.iter().filter_map(find).collect()
}

fn versions(config: &TlsConfig) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, Error> {
    let offered = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ];
    let range = config.min_version..=config.max_version;
    let versions: Vec<_> = offered
        .into_iter()
        .filter(|(version, _)| range.contains(version))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(bad_option("minVersion", "it is newer than maxVersion"));
    }
    Ok(versions)
}

/// A failed handshake. If the peer broke it off, the error is Node's: for a plain end the message
/// of `tls.connect`, for a reset `read ECONNRESET`. `first`: the first byte from the peer.
fn handshake_error(error: io::Error, first: Option<u8>) -> Error {
    let (message, detail) = if error.kind() == io::ErrorKind::UnexpectedEof {
        node_codes::disconnected()
    } else {
        node_codes::describe_io_error(&error, "read")
    };
    let phase = match node_codes::rustls_error(&error) {
        Some(tls) if refuses_hello(tls, first) => Phase::TlsHello,
        _ => Phase::TlsHandshake,
    };
    let failure = Error::new(ErrorKind::Tls, phase, message)
        .with_replay(Replay::Unsent)
        .with_system(detail);
    match node_codes::rustls_error(&error) {
        Some(tls) => failure.with_source(tls.clone()),
        None => failure.with_source(error),
    }
}

/// Whether the server has no version, cipher suite or group in common with us, and none of its
/// certificates was examined. The same alerts can come later for the client's certificate.
fn refuses_hello(error: &TlsError, first: Option<u8>) -> bool {
    match error {
        TlsError::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => first == Some(u8::from(ContentType::Alert)),
        // Reasons to reject a ServerHello.
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon,
        ) => true,
        _ => false,
    }
}
