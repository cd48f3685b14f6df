//! SOCKS client: version 5 (RFC 1928, with RFC 1929 for user name and password), 4 and 4a.
//!
//! Called by the proxy leg. Must not know sockets or TLS.
//!
//! Our own implementation, because existing crates (tokio-socks, hyper-util's `SocksV5`) hide the
//! proxy's reply in their errors: undici reports the reply byte as a code. The protocol is four
//! messages of known length.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dodici_pool::{DnsCacheConfig, Error, ErrorKind, Family, Origin, ProxyCredentials};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{SocksResolve, broken, check_host, refused};
use crate::connect::allow::{self, Rule};
use crate::connect::dns;
use crate::connect::errors::bad_option;
use crate::connect::hooks::ResolveHook;

const V5: u8 = 5;
const V4: u8 = 4;
const CONNECT: u8 = 1;
const NO_AUTH: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;
/// Version of the sub-negotiation of RFC 1929.
const PASSWORD_VERSION: u8 = 1;
/// "Request granted" of SOCKS4.
const GRANTED: u8 = 90;

/// What the proxy must connect to, and the credentials.
pub(super) struct Socks {
    version: Version,
    host: String,
    port: u16,
    resolve: SocksResolve,
    /// Resolves instead of the system.
    pub(super) names: Option<Arc<dyn ResolveHook>>,
    /// Asked about an address that was resolved here.
    pub(super) allow: Rule,
    pub(super) cache: Option<DnsCacheConfig>,
}

enum Version {
    /// The message of RFC 1929, if there are credentials.
    V5 {
        login: Option<Vec<u8>>,
    },
    V4 {
        user: Vec<u8>,
    },
}

/// The target as sent to the proxy.
enum Target<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl Socks {
    /// # Errors
    /// `InvalidRequest` for anything that does not fit its length byte (S19).
    pub(super) fn v5(
        target: &Origin,
        resolve: SocksResolve,
        credentials: Option<&ProxyCredentials>,
    ) -> Result<Self, Error> {
        if target.host.len() > 255 {
            return Err(bad_option("proxy", "Domain name too long (max 255 bytes)"));
        }
        let login = match credentials {
            None => None,
            Some(ProxyCredentials { username, password }) => {
                let (Ok(name_len), Ok(len)) =
                    (u8::try_from(username.len()), u8::try_from(password.len()))
                else {
                    return Err(bad_option("proxy", "Username or password too long"));
                };
                let mut login = vec![PASSWORD_VERSION, name_len];
                login.extend_from_slice(username);
                login.push(len);
                login.extend_from_slice(password);
                Some(login)
            }
        };
        Self::new(Version::V5 { login }, target, resolve)
    }

    /// # Errors
    /// `InvalidRequest` for a NUL in the user name, and for an IPv6 address.
    pub(super) fn v4(
        target: &Origin,
        resolve: SocksResolve,
        credentials: Option<&ProxyCredentials>,
    ) -> Result<Self, Error> {
        let user = credentials.map_or_else(Vec::new, |known| known.username.clone());
        if user.contains(&0) {
            return Err(bad_option("proxy", "the user name is invalid"));
        }
        if target.is_ipv6_literal() {
            return Err(bad_option("proxy", "SOCKS4 knows IPv4 only"));
        }
        Self::new(Version::V4 { user }, target, resolve)
    }

    fn new(version: Version, target: &Origin, resolve: SocksResolve) -> Result<Self, Error> {
        check_host(&target.host)?;
        Ok(Self {
            version,
            host: target.host.to_string(),
            port: target.port,
            resolve,
            names: None,
            allow: None,
            cache: None,
        })
    }

    /// Negotiates; reads exactly the proxy's replies.
    ///
    /// # Errors
    /// `Socks` with undici's code for the proxy's replies, `Resolve` for a failed local lookup,
    /// `Socket` for system errors.
    pub(super) async fn ask<S>(&self, stream: &mut S) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let target = self.target().await?;
        match &self.version {
            Version::V5 { login } => {
                greet(stream, login.as_deref()).await?;
                connect_v5(stream, &target, self.port).await
            }
            Version::V4 { user } => connect_v4(stream, &target, self.port, user).await,
        }
    }

    async fn target(&self) -> Result<Target<'_>, Error> {
        if let Ok(address) = self.host.parse() {
            return Ok(Target::Address(address));
        }
        if self.resolve == SocksResolve::Proxy {
            return Ok(Target::Name(&self.host));
        }
        let family = match self.version {
            Version::V4 { .. } => Family::V4,
            Version::V5 { .. } => Family::Any,
        };
        let hooked = self.names.as_ref();
        let found = match hooked.and_then(|hook| hook.resolve(&self.host, self.port)) {
            Some(answer) => answer.await?.into(),
            None => {
                let cache = self.cache.as_ref();
                dns::SYSTEM
                    .resolve_cached(&self.host, family, cache)
                    .await?
            }
        };
        let usable = |address: &&SocketAddr| family == Family::Any || address.is_ipv4();
        let mut outcome = Err(bad_option("proxy", "SOCKS4 knows IPv4 only"));
        for address in found.iter().filter(usable) {
            let checked = allow::check(&self.allow, address.ip(), &self.host).await;
            outcome = checked.map(|()| Target::Address(address.ip()));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// Negotiates a method, and authenticates if the proxy requires it. A method that was not offered
/// is an error, so that a proxy can neither ask for a password we do not have nor invent a method.
async fn greet<S>(stream: &mut S, login: Option<&[u8]>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match login {
        Some(_) => send(stream, &[V5, 2, PASSWORD, NO_AUTH]).await?,
        None => send(stream, &[V5, 1, NO_AUTH]).await?,
    }
    let [version, method] = receive(stream).await?;
    if version != V5 {
        return Err(failure(
            "_VERSION",
            format!("Invalid SOCKS version: {version}"),
        ));
    }
    match (method, login) {
        (NO_AUTH, _) => Ok(()),
        (PASSWORD, Some(login)) => log_in(stream, login).await,
        (NONE_ACCEPTABLE, _) => Err(failure(
            "_AUTH_REJECTED",
            "No acceptable authentication method".to_owned(),
        )),
        _ => Err(failure(
            "_AUTH_METHOD",
            format!("Unsupported authentication method: {method}"),
        )),
    }
}

/// RFC 1929.
async fn log_in<S>(stream: &mut S, login: &[u8]) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    send(stream, login).await?;
    let [version, status] = receive(stream).await?;
    if version != PASSWORD_VERSION {
        return Err(failure(
            "_AUTH_VERSION",
            format!("Invalid auth sub-negotiation version: {version}"),
        ));
    }
    if status != 0 {
        return Err(failure("_AUTH_FAILED", "Authentication failed".to_owned()));
    }
    Ok(())
}

async fn connect_v5<S>(stream: &mut S, target: &Target<'_>, port: u16) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = vec![V5, CONNECT, 0];
    match target {
        Target::Address(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Target::Address(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Target::Name(name) => {
            request.push(DOMAIN);
            // At most 255, as `v5` has checked.
            request.push(name.len() as u8);
            request.extend_from_slice(name.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    send(stream, &request).await?;

    let [version, reply, _, kind] = receive(stream).await?;
    if version != V5 {
        return Err(failure(
            "_REPLY_VERSION",
            format!("Invalid SOCKS version in reply: {version}"),
        ));
    }
    // The address and port that the proxy used, which are not needed.
    let rest = match kind {
        IPV4 => 4 + 2,
        IPV6 => 16 + 2,
        DOMAIN => usize::from(receive::<1, S>(stream).await?[0]) + 2,
        _ => {
            return Err(failure(
                "_ADDR_TYPE",
                format!("Invalid address type in reply: {kind}"),
            ));
        }
    };
    let mut bound = [0; 255 + 2];
    read_exact(stream, &mut bound[..rest]).await?;
    if reply != 0 {
        return Err(failure(
            &format!("_REPLY_{reply}"),
            format!("SOCKS5 connection failed: {}", describe(reply)),
        ));
    }
    Ok(())
}

/// The meaning of a reply (RFC 1928, section 6), in undici's words.
fn describe(reply: u8) -> String {
    let known = match reply {
        1 => "General SOCKS server failure",
        2 => "Connection not allowed by ruleset",
        3 => "Network unreachable",
        4 => "Host unreachable",
        5 => "Connection refused",
        6 => "TTL expired",
        7 => "Command not supported",
        8 => "Address type not supported",
        _ => return format!("Unknown error code: {reply}"),
    };
    known.to_owned()
}

/// SOCKS4, or 4a if the proxy resolves: the address 0.0.0.1 says that a name follows.
async fn connect_v4<S>(
    stream: &mut S,
    target: &Target<'_>,
    port: u16,
    user: &[u8],
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = vec![V4, CONNECT];
    request.extend_from_slice(&port.to_be_bytes());
    match target {
        Target::Address(IpAddr::V4(address)) => request.extend_from_slice(&address.octets()),
        Target::Address(IpAddr::V6(_)) => {
            return Err(bad_option("proxy", "SOCKS4 knows IPv4 only"));
        }
        Target::Name(_) => request.extend_from_slice(&[0, 0, 0, 1]),
    }
    request.extend_from_slice(user);
    request.push(0);
    if let Target::Name(name) = target {
        request.extend_from_slice(name.as_bytes());
        request.push(0);
    }
    send(stream, &request).await?;

    let [version, reply] = receive(stream).await?;
    if version != 0 {
        return Err(refused(
            ErrorKind::Socks,
            "UND_ERR_SOCKS4_REPLY_VERSION".to_owned(),
            format!("Invalid SOCKS version in reply: {version}"),
        ));
    }
    let _: [u8; 6] = receive(stream).await?;
    if reply != GRANTED {
        return Err(refused(
            ErrorKind::Socks,
            format!("UND_ERR_SOCKS4_REPLY_{reply}"),
            format!("SOCKS4 connection failed: reply {reply}"),
        ));
    }
    Ok(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, message: &[u8]) -> Result<(), Error> {
    let write = async {
        stream.write_all(message).await?;
        stream.flush().await
    };
    write.await.map_err(|error| broken(&error, "write"))
}

async fn receive<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], Error> {
    let mut message = [0; N];
    read_exact(stream, &mut message).await?;
    Ok(message)
}

async fn read_exact<S: AsyncRead + Unpin>(stream: &mut S, into: &mut [u8]) -> Result<(), Error> {
    match stream.read_exact(into).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(failure(
            "",
            "the SOCKS proxy closed the connection".to_owned(),
        )),
        Err(error) => Err(broken(&error, "read")),
    }
}

fn failure(code: &str, message: String) -> Error {
    refused(ErrorKind::Socks, format!("UND_ERR_SOCKS5{code}"), message)
}
