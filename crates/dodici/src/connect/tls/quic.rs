//! TLS inside QUIC (RFC 9001): the same trust, certificates and names as over TCP, with a cache of
//! sessions of its own.
//!
//! Called by the QUIC leg. Must not know addresses or deadlines.

use std::any::Any;
use std::io;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Phase, Replay, TlsInfo};
use parking_lot::Mutex;
use quinn_proto::crypto::rustls::{HandshakeData, QuicClientConfig};
use quinn_proto::{Connection, ConnectionError, TransportError, crypto};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::quic::{ClientConnection, Suite, Version};
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
    client: ClientConfig,
    initial: Suite,
    /// As it is sent and verified.
    name: String,
    /// `None` if the caller's configuration has another.
    verifier: Option<Arc<NodeVerifier>>,
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
        if self.verifier.is_some() {
            client.resumption = match sessions {
                0 => Resumption::disabled(),
                limit => Resumption::in_memory_sessions(limit as usize),
            };
        }
        let name = self.server_name.to_str().into_owned();
        let probe = ClientConnection::new(
            Arc::new(client.clone()),
            Version::V1,
            self.server_name.clone(),
            Vec::new(),
        );
        let suite = TLS13_AES_128_GCM_SHA256.tls13();
        match (probe, suite.and_then(|suite| suite.quic_suite())) {
            (Ok(_), Some(initial)) => Ok(QuicTls {
                client,
                initial,
                name,
                verifier: self.verifier.clone(),
            }),
            (Err(error), _) => Err(bad_option("maxVersion", error)),
            (Ok(_), None) => Err(bad_option("ciphers", "QUIC needs AES-128-GCM")),
        }
    }

    /// Checks the server's identity where that is the caller's, and describes what was negotiated.
    ///
    /// # Errors
    /// The caller's.
    pub(in crate::connect) async fn finish_quic(
        &self,
        conn: &Connection,
        tls: &QuicTls,
        witness: Option<&Witness>,
    ) -> Result<TlsInfo, Error> {
        let chain = peer_certificates(conn.crypto_session());
        if let Some(judge) = &self.judge {
            judge.check(&chain).await?;
        }
        let mut info = TlsInfo::default();
        info.version = "TLSv1.3";
        info.alpn = handshake_data(conn.crypto_session())
            .and_then(|data| data.protocol)
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        info.resumed = witness.is_some_and(|witness| !witness.seen.lock().called);
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
pub(in crate::connect) fn quic_error(error: &ConnectionError, witness: Option<&Witness>) -> Error {
    let seen = witness.and_then(|witness| witness.seen.lock().error.take());
    if let Some(error) = seen {
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
    /// The configuration of one attempt, and what sees its certificates.
    pub(in crate::connect) fn begin(
        &self,
    ) -> Result<(Arc<QuicClientConfig>, Option<Arc<Witness>>), Error> {
        let mut client = self.client.clone();
        let witness = self.verifier.as_ref().map(|verifier| {
            Arc::new(Witness {
                verifier: Arc::clone(verifier),
                seen: Mutex::default(),
            })
        });
        if let Some(witness) = &witness {
            client
                .dangerous()
                .set_certificate_verifier(Arc::<Witness>::clone(witness));
        }
        let made = QuicClientConfig::with_initial(Arc::new(client), self.initial)
            .map_err(|error| bad_option("ciphers", error))?;
        Ok((Arc::new(made), witness))
    }

    pub(in crate::connect) fn name(&self) -> &str {
        &self.name
    }
}

/// Remembers what the verifier said: QUIC reduces its error to a text, and does not say whether a
/// session was resumed.
#[derive(Debug)]
pub(in crate::connect) struct Witness {
    verifier: Arc<NodeVerifier>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    called: bool,
    error: Option<TlsError>,
}

impl Witness {
    fn note<T>(&self, result: Result<T, TlsError>) -> Result<T, TlsError> {
        let mut seen = self.seen.lock();
        seen.called = true;
        if let Err(error) = &result {
            seen.error = Some(error.clone());
        }
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
        let verifier = &self.verifier;
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
        self.note(self.verifier.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.note(self.verifier.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
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
