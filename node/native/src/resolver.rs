//! What the connector asks JavaScript: names to resolve, addresses and servers to judge.
//!
//! The connector calls the hooks on the I/O thread; `Lookup`, `Address`, `Identity` and
//! `LookupResult` records carry questions and answers. Order and families of addresses are up to the user.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use dodici::{AddressRule, HookFuture, IdentityHook, ResolveHook};
use dodici_pool::{Error, ErrorKind, Phase, Replay, SystemDetail};
use dodici_wire::Target;
use dodici_wire::completion::{put_address, put_identity, put_lookup};
use dodici_wire::submission::FoundAddress;
use tokio::sync::oneshot::Receiver;

use crate::local::with_env;
use crate::lookup::Answer;

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
        let asked = ask(self.env, self.pool, |out, target| {
            put_lookup(out, target, host);
        });
        let host = host.to_owned();
        Some(Box::pin(async move {
            match answer_to(asked).await {
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

/// Asks one environment about the addresses of one pool.
pub(crate) struct JsRule {
    pub(crate) env: u32,
    pub(crate) pool: u32,
    /// Whether a proxy connects to them.
    pub(crate) is_proxied: bool,
}

impl AddressRule for JsRule {
    fn allows(&self, address: IpAddr, host: &str) -> HookFuture<Result<bool, Error>> {
        let asked = ask(self.env, self.pool, |out, target| {
            put_address(out, target, self.is_proxied, address, host);
        });
        Box::pin(async move {
            match answer_to(asked).await {
                Some(Ok(_)) => Ok(true),
                Some(Err(number)) if number != 0 => {
                    let (kind, phase) = (ErrorKind::AddressNotAllowed, Phase::Connect);
                    let message = "the address is not allowed";
                    Err(refused(kind, phase, message, KEPT_ERROR, number))
                }
                // It said no, or the environment has ended.
                Some(Err(_)) | None => Ok(false),
            }
        })
    }
}

/// Asks one environment about the servers of one pool.
pub(crate) struct JsJudge {
    pub(crate) env: u32,
    pub(crate) pool: u32,
}

impl IdentityHook for JsJudge {
    fn check(
        &self,
        host: &str,
        chain: Vec<Vec<u8>>,
        is_proxy: bool,
    ) -> HookFuture<Result<(), Error>> {
        let asked = ask(self.env, self.pool, |out, target| {
            put_identity(out, target, is_proxy, host, &chain);
        });
        Box::pin(async move {
            let refusal = |code, number| {
                let (kind, phase) = (ErrorKind::Tls, Phase::TlsHandshake);
                let message = "the server's identity was refused";
                Err(refused(kind, phase, message, code, number))
            };
            match answer_to(asked).await {
                Some(Ok(_)) => Ok(()),
                Some(Err(number)) => refusal(KEPT_ERROR, number),
                // The environment has ended.
                None => refusal("ECONNRESET", 0),
            }
        })
    }
}

fn refused(
    kind: ErrorKind,
    phase: Phase,
    message: &'static str,
    code: &'static str,
    number: u32,
) -> Error {
    Error::new(kind, phase, message)
        .with_replay(Replay::Unsent)
        .with_system(SystemDetail::of_call("", code, number.cast_signed()))
}

/// Where the answer to a question of JavaScript will be; `None`: nobody answers.
type Asked = Option<Receiver<Answer>>;

fn ask(env: u32, pool: u32, put: impl FnOnce(&mut Vec<u8>, Target)) -> Asked {
    let asked = with_env(env, |env| {
        let (number, receiver) = env.pools.get_mut(&pool)?.lookups.ask();
        let target = Target {
            slot: pool,
            generation: number,
        };
        env.batch.put(|out| put(out, target));
        Some(receiver)
    });
    asked.flatten()
}

async fn answer_to(asked: Asked) -> Option<Answer> {
    asked?.await.ok()
}

fn failed(host: &str, code: &'static str, number: u32) -> Error {
    let mut detail = SystemDetail::of_call("lookup", code, number.cast_signed());
    detail.hostname = Some(host.to_owned());
    let message = format!("lookup {code} {host}");
    Error::new(ErrorKind::Resolve, Phase::Resolve, message)
        .with_replay(Replay::Unsent)
        .with_system(detail)
}
