//! What is offered to a server, who else judges it, and where the secrets go.

use std::pin::Pin;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Phase, TlsConfig};
use parking_lot::Mutex;
use rustls::SignatureScheme;

use super::support::{
    Cert, Server, ServerSetup, authority, config, connect, connector, issued, params, self_signed,
};
use crate::connect::{ConnectHooks, Connector, IdentityHook};

fn cert() -> Cert {
    self_signed(params("localhost", &["localhost"]))
}

/// Handshakes with a server that supports everything.
async fn negotiated(change: impl FnOnce(&mut TlsConfig)) -> Result<(String, String), Error> {
    let cert = cert();
    let mut server = Server::start(ServerSetup::new(&cert, &[])).await;
    let mut config = config(&[&cert]);
    change(&mut config.tls);
    let (_, info) = connector(server.addr, config).connect().await?;
    let peer = server.next().await.unwrap();
    let group = peer.get_ref().1.negotiated_key_exchange_group().unwrap();
    Ok((
        info.tls.unwrap().cipher.to_owned(),
        format!("{:?}", group.name()),
    ))
}

#[tokio::test]
async fn only_the_cipher_suites_of_the_configuration_are_offered() {
    for (suites, expected) in [
        (&[0x1303][..], "TLS_CHACHA20_POLY1305_SHA256"),
        (&[0x1301, 0x1302], "TLS_AES_128_GCM_SHA256"),
        // CBC, which rustls does not have, then one of TLS 1.2.
        (&[0xc009, 0xc02b], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ] {
        let wanted = Some(suites.to_vec());
        let (cipher, _) = negotiated(|tls| tls.cipher_suites = wanted).await.unwrap();
        assert_eq!(cipher, expected);
    }
}

#[tokio::test]
async fn only_the_groups_of_the_configuration_are_offered() {
    for (groups, expected) in [
        (&[0x18][..], "secp384r1"),
        (&[0x19, 0x17, 0x1d], "secp256r1"),
    ] {
        let wanted = Some(groups.to_vec());
        let (_, group) = negotiated(|tls| tls.groups = wanted).await.unwrap();
        assert_eq!(group, expected);
    }
}

#[tokio::test]
async fn only_the_signature_schemes_of_the_configuration_are_accepted() {
    let only = |scheme: SignatureScheme| Some(vec![scheme.into()]);
    let fine = only(SignatureScheme::ECDSA_NISTP256_SHA256);
    negotiated(|tls| tls.signature_schemes = fine)
        .await
        .unwrap();
    let others = only(SignatureScheme::RSA_PSS_SHA256);
    let error = negotiated(|tls| tls.signature_schemes = others)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

/// Host, chain, whether it is a proxy.
type Question = (String, Vec<Vec<u8>>, bool);

/// Remembers whom it was asked about, and rejects them if it is to.
#[derive(Default)]
struct Judge {
    asked: Mutex<Vec<Question>>,
    rejects: bool,
}

impl IdentityHook for Judge {
    fn check(
        &self,
        host: &str,
        chain: Vec<Vec<u8>>,
        is_proxy: bool,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        self.asked.lock().push((host.to_owned(), chain, is_proxy));
        let error = Error::new(ErrorKind::Tls, Phase::TlsHandshake, "not you");
        let verdict = if self.rejects { Err(error) } else { Ok(()) };
        Box::pin(std::future::ready(verdict))
    }
}

#[tokio::test]
async fn a_hook_judges_the_owner_of_a_valid_chain_instead_of_its_names() {
    let (root, stranger) = (authority("root"), authority("stranger"));
    let leaf = issued(&root, params("leaf", &["elsewhere.test"]));
    for (trusted, rejects, expected) in [
        (&root, false, None),
        (&root, true, Some("not you")),
        (
            &stranger,
            false,
            Some("unable to verify the first certificate"),
        ),
    ] {
        let mut setup = config(&[trusted]);
        setup.tls.check_identity = true;
        let judge = Arc::new(Judge {
            rejects,
            ..Judge::default()
        });
        let hooks = ConnectHooks {
            identity: Some(judge.clone()),
            ..ConnectHooks::default()
        };
        let server = Server::start(ServerSetup::new(&leaf, &[])).await;
        let origin =
            dodici_pool::Origin::new(dodici_pool::Scheme::Https, "127.0.0.1", server.addr.port());
        let connector = Connector::with_hooks(origin, setup, hooks).unwrap();
        let error = connector.connect().await.err();
        assert_eq!(error.as_ref().map(Error::message), expected);
        let chain = vec![leaf.der.to_vec(), root.der.to_vec()];
        let asked = vec![("localhost".to_owned(), chain, false)];
        let is_valid = std::ptr::eq(trusted, &root);
        assert_eq!(
            *judge.asked.lock(),
            if is_valid { asked } else { Vec::new() }
        );
    }
}

#[tokio::test]
async fn more_roots_are_trusted_in_addition() {
    let (one, other) = (authority("one"), authority("other"));
    for root in [&one, &other] {
        let leaf = issued(root, params("leaf", &["localhost"]));
        let server = Server::start(ServerSetup::new(&leaf, &[])).await;
        let mut both = config(&[&one]);
        both.tls.more_roots = vec![other.pem_bytes()];
        connect(&connector(server.addr, both)).await;
    }
}

#[tokio::test]
async fn the_secrets_of_sessions_are_appended_to_the_key_log() {
    let folder = std::env::temp_dir().join(format!("dodici-key-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keys");
    for connections in [1, 2] {
        negotiated(|tls| tls.key_log = Some(path.clone()))
            .await
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| {
            let parts: Vec<_> = line.split(' ').collect();
            parts[0] == "CLIENT_TRAFFIC_SECRET_0" && parts[1].len() == 64 && parts.len() == 3
        });
        assert_eq!(lines.count(), connections);
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    // As in Node, a handshake does not fail because of it.
    let nowhere = folder.join("missing").join("keys");
    negotiated(|tls| tls.key_log = Some(nowhere)).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
