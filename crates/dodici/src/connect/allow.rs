//! The rule about addresses: asked before anything is sent to one.
//!
//! Called by the TCP leg before it connects, by the Unix leg, and by the proxy leg about the address
//! that a proxy is to connect to. Must not know where addresses come from.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Phase, Replay, SystemDetail};

use super::hooks::AddressRule;
use super::public::is_public;

/// The [rule](AddressRule) that allows [public addresses](is_public) only.
pub fn public(address: IpAddr, _host: &str) -> bool {
    is_public(address)
}

/// A rule, or none, which allows everything.
pub(super) type Rule = Option<Arc<dyn AddressRule>>;

/// Asks a rule about the host that a proxy is to connect to, if it is a literal address. Only for
/// requests that a proxy forwards: the connector asks
/// [`ConnectHooks::allow_proxied`](crate::ConnectHooks::allow_proxied) about its own.
///
/// # Errors
/// [`AddressNotAllowed`](dodici_pool::ErrorKind::AddressNotAllowed), or the rule's.
pub async fn check_literal(rule: &Option<Arc<dyn AddressRule>>, host: &str) -> Result<(), Error> {
    match host.parse() {
        Ok(address) => check(rule, address, host).await,
        Err(_) => Ok(()),
    }
}

/// Asks the rule.
///
/// # Errors
/// `AddressNotAllowed`, or the rule's.
pub(super) async fn check(rule: &Rule, address: IpAddr, host: &str) -> Result<(), Error> {
    let Some(rule) = rule else {
        return Ok(());
    };
    let address = address.to_canonical();
    if rule.allows(address, host).await? {
        return Ok(());
    }
    let address = address.to_string();
    let message = if address == host {
        format!("connecting to {address} is not allowed")
    } else {
        format!("connecting to {address} ({host}) is not allowed")
    };
    Err(refused(message, address, Some(host.to_owned())))
}

/// Only a socket with an address can be asked about.
pub(super) fn check_path(rule: &Rule, path: &Path) -> Result<(), Error> {
    if rule.is_none() {
        return Ok(());
    }
    let path = path.to_string_lossy().into_owned();
    let message = format!("connecting to the Unix socket {path} is not allowed");
    Err(refused(message, path, None))
}

fn refused(message: String, address: String, hostname: Option<String>) -> Error {
    let mut detail = SystemDetail::new("");
    detail.address = Some(address);
    detail.hostname = hostname;
    Error::new(ErrorKind::AddressNotAllowed, Phase::Connect, message)
        .with_replay(Replay::Unsent)
        .with_system(detail)
}
