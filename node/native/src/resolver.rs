//! Name resolution in JavaScript, as the connector's hook.
//!
//! The connector calls the hook on the I/O thread; `Lookup` and `LookupAnswer` records carry the
//! question and the answer. Order and families of addresses are up to the user.

use std::net::{SocketAddr, ToSocketAddrs};

use dodici::{HookFuture, ResolveHook};
use dodici_pool::{Error, ErrorKind, Phase, Replay, SystemDetail};
use dodici_wire::Target;
use dodici_wire::completion::put_lookup;
use dodici_wire::submission::FoundAddress;

use crate::local::with_env;

/// Code of the error that represents one of JavaScript's; its number is the errno.
const KEPT_ERROR: &str = "DODICI_LOOKUP";

/// The address with its port. A zone unknown to the system is dropped, as in Node, and the system
/// refuses to connect.
fn with_port(found: FoundAddress, port: u16) -> SocketAddr {
    let plain = SocketAddr::new(found.ip, port);
    if found.zone.is_none() {
        return plain;
    }
    // The system knows interface names: an address with a zone is never looked up in DNS.
    let text = found.to_string();
    let known = (text.as_str(), port).to_socket_addrs().ok();
    known.and_then(|mut found| found.next()).unwrap_or(plain)
}

/// Asks one environment for the names of one pool.
pub(crate) struct JsResolver {
    pub(crate) env: u32,
    pub(crate) pool: u32,
}

impl ResolveHook for JsResolver {
    fn resolve(&self, host: &str, port: u16) -> Option<HookFuture<Result<Vec<SocketAddr>, Error>>> {
        let asked = with_env(self.env, |env| {
            let (number, receiver) = env.pools.get_mut(&self.pool)?.lookups.ask();
            let target = Target {
                slot: self.pool,
                generation: number,
            };
            env.batch.put(|out| put_lookup(out, target, host));
            Some(receiver)
        });
        let receiver = asked.flatten();
        let host = host.to_owned();
        Some(Box::pin(async move {
            let answer = match receiver {
                Some(receiver) => receiver.await.ok(),
                None => None,
            };
            match answer {
                Some(Ok(addresses)) if !addresses.is_empty() => Ok(addresses
                    .into_iter()
                    .map(|found| with_port(found, port))
                    .collect()),
                Some(Err(number)) => Err(failed(&host, KEPT_ERROR, number)),
                _ => Err(failed(&host, "ENOTFOUND", 0)),
            }
        }))
    }

    /// `lookups.ts` does: what JavaScript has found in time may be delivered late.
    fn keeps_time(&self) -> bool {
        true
    }
}

fn failed(host: &str, code: &'static str, number: u32) -> Error {
    let mut detail = SystemDetail::of_call("lookup", code, number.cast_signed());
    detail.hostname = Some(host.to_owned());
    let message = format!("lookup {code} {host}");
    Error::new(ErrorKind::Resolve, Phase::Resolve, message)
        .with_replay(Replay::Unsent)
        .with_system(detail)
}
