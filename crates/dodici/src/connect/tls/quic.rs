//! TLS inside QUIC (RFC 9001): the same trust, certificates and names as over TCP, with a cache of
//! sessions of its own.
//!
//! Called by the QUIC leg. Must not know addresses or deadlines.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Phase, Replay, TlsInfo};
use quinn_proto::crypto::rustls::{HandshakeData, QuicClientConfig};
use quinn_proto::{Connection, ConnectionError, TransportError, crypto};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::quic::{ClientConnection, Version};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme};

use super::verifier::NodeVerifier;
use super::{TlsLeg, handshake_error};
use crate::connect::errors::bad_option;

/// The protocol that is negotiated (RFC 9114, section 3.1).
const ALPN: &[u8] = b"h3";

/// The first code of a connection error that stands for a TLS alert (RFC 9001, section 4.8).
const FIRST_ALERT: u64 = 0x100;

/// What QUIC needs of the TLS leg.
pub(in crate::connect) struct QuicTls {
    crypto: Arc<QuicClientConfig>,
    /// As it is sent and verified.
    name: String,
    /// Whether the verifier tells what it sees: not that of the caller's configuration.
    is_watched: bool,
}

impl TlsLeg {
    /// The same over QUIC.
    ///
    /// # Errors
    /// `InvalidRequest` if the options exclude what QUIC needs: TLS 1.3.
    pub(in crate::connect) fn over_quic(
        &self,
        early_data: bool,
        sessions: u32,
    ) -> Result<QuicTls, Error> {
        let mut client = ClientConfig::clone(self.connector.config());
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.enable_early_data = early_data;
        if let Some(verifier) = &self.verifier {
            let witness = Arc::new(Witness(Arc::clone(verifier)));
            client.dangerous().set_certificate_verifier(witness);
            client.resumption = match sessions {
                0 => Resumption::disabled(),
                limit => Resumption::in_memory_sessions(limit as usize),
            };
        }
        let name = self.server_name.to_str().into_owned();
        let client = Arc::new(client);
        // What it says now, it would not say in an attempt.
        ClientConnection::new(
            Arc::clone(&client),
            Version::V1,
            self.server_name.clone(),
            Vec::new(),
        )
        .map_err(|error| bad_option("maxVersion", error))?;
        let initial = TLS13_AES_128_GCM_SHA256
            .tls13()
            .and_then(|suite| suite.quic_suite());
        let crypto = initial
            .and_then(|initial| QuicClientConfig::with_initial(client, initial).ok())
            .ok_or_else(|| bad_option("ciphers", "QUIC needs AES-128-GCM"))?;
        Ok(QuicTls {
            crypto: Arc::new(crypto),
            name,
            is_watched: self.verifier.is_some(),
        })
    }

    /// Whether the caller judges the server's identity.
    pub(in crate::connect) fn is_judged(&self) -> bool {
        self.judge.is_some()
    }

    /// Checks the server's identity where that is the caller's, and describes what was negotiated.
    ///
    /// # Errors
    /// The caller's.
    pub(in crate::connect) async fn finish_quic(
        &self,
        conn: &Connection,
        tls: &QuicTls,
        seen: &Seen,
    ) -> Result<TlsInfo, Error> {
        let chain = peer_certificates(conn.crypto_session());
        if let Some(judge) = &self.judge {
            judge.check(&chain).await?;
        }
        let mut info = TlsInfo::default();
        info.version = "TLSv1.3";
        // Before the handshake is complete, it is that of the session.
        let alpn = handshake_data(conn.crypto_session()).and_then(|data| data.protocol);
        let alpn = alpn.as_deref().unwrap_or(ALPN);
        info.alpn = Some(String::from_utf8_lossy(alpn).into_owned());
        info.resumed = tls.is_watched && !seen.called;
        info.server_name = match &self.server_name {
            ServerName::DnsName(_) => Some(tls.name.clone()),
            _ => None,
        };
        info.verified = self.verifies;
        info.peer_certificate = chain
            .first()
            .map(|certificate| Arc::new(certificate.to_vec()));
        Ok(info)
    }
}

/// The error of a handshake that has failed.
pub(in crate::connect) fn quic_error(error: &ConnectionError, seen: &mut Seen) -> Error {
    if let Some(error) = seen.error.take() {
        return handshake_error(io::Error::new(io::ErrorKind::InvalidData, error), None);
    }
    let phase = match error {
        // That of a server without HTTP/3 on this port: no_application_protocol.
        ConnectionError::VersionMismatch => Phase::TlsHello,
        _ => Phase::TlsHandshake,
    };
    let kind = match error {
        ConnectionError::TransportError(TransportError { code, .. })
            if u64::from(*code) >= FIRST_ALERT =>
        {
            ErrorKind::Tls
        }
        ConnectionError::ConnectionClosed(close) if u64::from(close.error_code) >= FIRST_ALERT => {
            ErrorKind::Tls
        }
        _ => ErrorKind::Connect,
    };
    Error::new(kind, phase, format!("QUIC: {error}"))
        .with_replay(Replay::Unsent)
        .with_source(io::Error::from(error.clone()))
}

impl QuicTls {
    pub(in crate::connect) fn crypto(&self) -> Arc<QuicClientConfig> {
        Arc::clone(&self.crypto)
    }

    pub(in crate::connect) fn name(&self) -> &str {
        &self.name
    }
}

/// What the verifier has said about one attempt: QUIC reduces its error to a text, and does not say
/// whether a session was resumed.
#[derive(Debug, Default)]
pub(in crate::connect) struct Seen {
    called: bool,
    error: Option<TlsError>,
}

thread_local! {
    /// Of the attempt that is being polled.
    static SEEN: RefCell<Seen> = RefCell::default();
}

impl Seen {
    /// Polls an attempt, and takes note of what the verifier says meanwhile.
    pub(in crate::connect) fn during<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        SEEN.take();
        let polled = poll();
        let Self { called, error } = SEEN.take();
        self.called |= called;
        self.error = error.or(self.error.take());
        polled
    }
}

/// Remembers what the verifier says. One for all attempts, because sessions belong to a verifier.
#[derive(Debug)]
struct Witness(Arc<NodeVerifier>);

impl Witness {
    #[expect(clippy::unused_self, reason = "reads like the verifier")]
    fn note<T>(&self, result: Result<T, TlsError>) -> Result<T, TlsError> {
        SEEN.with_borrow_mut(|seen| {
            seen.called = true;
            seen.error = result.as_ref().err().cloned();
        });
        result
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verifier = &self.0;
        self.note(verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.note(self.0.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.note(self.0.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn peer_certificates(session: &dyn crypto::Session) -> Vec<CertificateDer<'static>> {
    let chain = session.peer_identity().and_then(|identity: Box<dyn Any>| {
        identity.downcast::<Vec<CertificateDer<'static>>>().ok()
    });
    chain.map(|chain| *chain).unwrap_or_default()
}

fn handshake_data(session: &dyn crypto::Session) -> Option<HandshakeData> {
    let data = session.handshake_data()?;
    data.downcast::<HandshakeData>().ok().map(|data| *data)
}
