//! Custom name resolution.
//!
//! ```
//! use std::net::SocketAddr;
//! use dodici_reqwest::{Client, dns::{Addrs, Name, Resolve, Resolving}};
//!
//! struct Everything(SocketAddr);
//!
//! impl Resolve for Everything {
//!     fn resolve(&self, _name: Name) -> Resolving {
//!         let addresses: Addrs = Box::new(std::iter::once(self.0));
//!         Box::pin(std::future::ready(Ok(addresses)))
//!     }
//! }
//!
//! let client = Client::builder()
//!     .dns_resolver(Everything(([127, 0, 0, 1], 0).into()))
//!     .build()?;
//! # Ok::<_, dodici_reqwest::Error>(())
//! ```

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "http3")]
pub use dodici::{Alternative, Offer};
use dodici::{ErrorKind, HookFuture, Phase, Replay};

use crate::error::BoxError;

/// Addresses of a name. Port 0 stands for the URL's port; any other is used if the URL has none.
pub type Addrs = Box<dyn Iterator<Item = SocketAddr> + Send>;

/// What [`Resolve::resolve`] returns.
pub type Resolving = Pin<Box<dyn Future<Output = Result<Addrs, BoxError>> + Send>>;

/// Resolves names for a client. Not called for literal addresses.
pub trait Resolve: Send + Sync {
    /// Addresses of `name`, in the order to try them.
    fn resolve(&self, name: Name) -> Resolving;

    /// Where `https://name:port` is served over HTTP/3 according to its HTTPS records (RFC 9460), best
    /// first. Asked by clients with
    /// [`http3_discovery`](crate::ClientBuilder::http3_discovery) that know of none, which wait for
    /// it for at most 250 ms. reqwest has no such method. `None`, the default: such records are not
    /// asked for.
    #[cfg(feature = "http3")]
    fn alternatives(&self, name: Name, port: u16) -> Option<HookFuture<Vec<Offer>>> {
        let _ = (name, port);
        None
    }
}

/// Accepted by [`ClientBuilder::dns_resolver`](crate::ClientBuilder::dns_resolver): a resolver, or
/// an `Arc` of one.
pub trait IntoResolve {
    #[doc(hidden)]
    fn into_resolve(self) -> Arc<dyn Resolve>;
}

impl IntoResolve for Arc<dyn Resolve> {
    fn into_resolve(self) -> Arc<dyn Resolve> {
        self
    }
}

impl<R: Resolve + 'static> IntoResolve for Arc<R> {
    fn into_resolve(self) -> Arc<dyn Resolve> {
        self
    }
}

impl<R: Resolve + 'static> IntoResolve for R {
    fn into_resolve(self) -> Arc<dyn Resolve> {
        Arc::new(self)
    }
}

/// A host name.
#[derive(Debug)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    ///
    /// ```
    /// let name: dodici_reqwest::dns::Name = "example.com".parse().unwrap();
    /// assert_eq!(name.as_str(), "example.com");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = sealed::InvalidNameError;

    /// Accepts any text that is valid as the host of a URL, whether or not it resolves.
    fn from_str(host: &str) -> Result<Self, Self::Err> {
        Ok(Self(host.into()))
    }
}

mod sealed {
    use std::fmt;

    #[derive(Debug)]
    pub struct InvalidNameError(());

    impl fmt::Display for InvalidNameError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("invalid DNS name")
        }
    }

    impl std::error::Error for InvalidNameError {}
}

/// A client's names: fixed addresses first, then its resolver, then the system.
#[derive(Clone, Default)]
pub(crate) struct Names {
    pub(crate) fixed: HashMap<String, Vec<SocketAddr>>,
    pub(crate) resolver: Option<Arc<dyn Resolve>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("fixed", &self.fixed)
            .field("resolver", &self.resolver.is_some())
            .finish()
    }
}

impl Names {
    /// Fixed addresses of a host.
    pub(crate) fn fix(&mut self, host: &str, addresses: &[SocketAddr]) {
        let host = host.to_ascii_lowercase();
        self.fixed.insert(host, addresses.to_vec());
    }

    /// Whether any names are resolved here instead of by the system.
    pub(crate) fn is_used(&self) -> bool {
        !self.fixed.is_empty() || self.resolver.is_some()
    }

    /// Addresses of a host with the ports to connect to; `None` leaves it to the system. `port` is
    /// the URL's; where it is the scheme's `default_port`, a port in an address counts.
    pub(crate) fn resolve(
        &self,
        host: &str,
        port: u16,
        default_port: u16,
    ) -> Option<HookFuture<Result<Vec<SocketAddr>, dodici::Error>>> {
        let with_port = move |mut address: SocketAddr| {
            if port != default_port || address.port() == 0 {
                address.set_port(port);
            }
            address
        };
        if let Some(addresses) = self.fixed.get(host) {
            let found = addresses.iter().copied().map(with_port).collect();
            return Some(Box::pin(std::future::ready(non_empty(found))));
        }
        let answer = self.resolver.as_ref()?.resolve(Name(host.into()));
        Some(Box::pin(async move {
            match answer.await {
                Ok(found) => non_empty(found.map(with_port).collect()),
                Err(cause) => Err(resolve_error("the resolver failed", Some(cause))),
            }
        }))
    }
}

#[cfg(feature = "http3")]
impl Names {
    /// See [`Resolve::alternatives`]. A host with fixed addresses is not asked about.
    pub(crate) fn alternatives(&self, host: &str, port: u16) -> Option<HookFuture<Vec<Offer>>> {
        if self.fixed.contains_key(host) {
            return None;
        }
        self.resolver
            .as_ref()?
            .alternatives(Name(host.into()), port)
    }
}

fn non_empty(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, dodici::Error> {
    if found.is_empty() {
        return Err(resolve_error("the name has no address", None));
    }
    Ok(found)
}

fn resolve_error(message: &'static str, cause: Option<BoxError>) -> dodici::Error {
    let error =
        dodici::Error::new(ErrorKind::Resolve, Phase::Resolve, message).with_replay(Replay::Unsent);
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    async fn resolved(fixed: &str, port: u16) -> SocketAddr {
        let mut names = Names::default();
        let address: SocketAddr = fixed.parse().expect("an address");
        names.fixed.insert("host".into(), vec![address]);
        let answer = names.resolve("host", port, 80).expect("a rule");
        answer.await.expect("found")[0]
    }

    #[tokio::test]
    async fn the_port_of_a_url_wins_over_the_address() {
        assert_eq!(resolved("1.2.3.4:9", 8080).await.port(), 8080);
    }

    #[tokio::test]
    async fn the_port_of_an_address_counts_where_the_url_names_none() {
        assert_eq!(resolved("1.2.3.4:9", 80).await.port(), 9);
        assert_eq!(resolved("1.2.3.4:0", 80).await.port(), 80);
    }

    #[test]
    fn a_host_without_a_rule_is_left_to_the_system() {
        assert!(Names::default().resolve("host", 80, 80).is_none());
    }
}
