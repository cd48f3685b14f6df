//! Name resolution by hickory instead of the system.
//!
//! Behind the feature `hickory-dns`; the builder uses it if no other resolver was given. It must
//! not know connections.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::dns::{Addrs, Name, Resolve, Resolving};
use crate::error::BoxError;

/// Queries the system's configured name servers. Answers are cached for their TTL.
///
/// Created with the first name, because there may be no runtime before.
#[derive(Clone, Default)]
pub(crate) struct Hickory {
    made: Arc<OnceLock<TokioResolver>>,
    /// Name servers; `None`: the system's (`/etc/resolv.conf`).
    servers: Option<ResolverConfig>,
}

impl Hickory {
    fn resolver(&self) -> Result<&TokioResolver, BoxError> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let mut builder = match &self.servers {
            Some(servers) => {
                let provider = TokioRuntimeProvider::default();
                TokioResolver::builder_with_config(servers.clone(), provider)
            }
            // If it cannot be read, no server is asked: names must not leak to a public one.
            None => TokioResolver::builder_tokio()?,
        };
        // Both families: addresses are raced.
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let made = builder.build()?;
        // If two names are first at the same time, the later resolver is dropped.
        Ok(self.made.get_or_init(|| made))
    }
}

impl Resolve for Hickory {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.resolver()?.lookup_ip(name.as_str()).await?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::net::{IpAddr, Ipv6Addr};

    use dodici_testkit::name_server::{Family, NameServer};
    use dodici_testkit::{Conn, ScriptedPeer, within};
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};

    use super::*;
    use crate::{Client, ClientBuilder};

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// A builder whose client queries this server over UDP.
    fn asking(server: &NameServer) -> ClientBuilder {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.address().port();
        let server = NameServerConfig::new(server.address().ip(), true, vec![connection]);
        let hickory = Hickory {
            servers: Some(ResolverConfig::from_name_servers(vec![server])),
            ..Hickory::default()
        };
        Client::builder().no_proxy().dns_resolver(hickory)
    }

    async fn peer() -> ScriptedPeer {
        ScriptedPeer::tcp().await.run(|mut conn: Conn| async move {
            while conn.next_head().await.is_some() {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        })
    }

    async fn ask(client: &Client, url: &str) -> crate::Result<String> {
        within("an answer", client.get(url).send())
            .await?
            .text()
            .await
    }

    #[tokio::test]
    async fn a_name_is_resolved_in_both_families() {
        let names = NameServer::start([("some.example", vec![HOME])]).await;
        let peer = peer().await;
        let client = asking(&names).build().unwrap();
        let url = format!("http://some.example:{}/", peer.port());
        assert_eq!(ask(&client, &url).await.unwrap(), "ok");
        let mut asked = names.asked();
        asked.sort();
        let name = "some.example".to_owned();
        assert_eq!(asked, [(name.clone(), Family::V4), (name, Family::V6)]);
    }

    #[tokio::test]
    async fn an_answer_is_cached_for_the_next_connection() {
        let names = NameServer::start([("some.example", vec![HOME])]).await;
        let peer = peer().await;
        let client = asking(&names).pool_max_idle_per_host(0).build().unwrap();
        let url = format!("http://some.example:{}/", peer.port());
        for _ in 0..3 {
            assert_eq!(ask(&client, &url).await.unwrap(), "ok");
        }
        assert_eq!(peer.accepted(), 3);
        // The absence of an IPv6 address is not cached: this server gives no TTL for it.
        let asked = names.asked().into_iter();
        assert_eq!(asked.filter(|(_, family)| *family == Family::V4).count(), 1);
    }

    #[tokio::test]
    async fn an_address_that_answers_is_found_among_those_that_do_not() {
        // Nothing listens on the one, and the other is unreachable.
        let dead = [IpAddr::V6(Ipv6Addr::LOCALHOST), "100::1".parse().unwrap()];
        let found = [dead.as_slice(), &[HOME]].concat();
        let names = NameServer::start([("some.example", found)]).await;
        let peer = peer().await;
        let client = asking(&names).build().unwrap();
        let url = format!("http://some.example:{}/", peer.port());
        assert_eq!(ask(&client, &url).await.unwrap(), "ok");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error_of_name_resolution() {
        let names = NameServer::start([("some.example", vec![HOME])]).await;
        let client = asking(&names).build().unwrap();
        let refused = ask(&client, "http://other.example/").await.unwrap_err();
        assert!(refused.is_connect() && refused.is_dns(), "{refused:?}");
        assert!(!names.asked().is_empty());
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_an_error_of_name_resolution() {
        let names = NameServer::start([("some.example", vec![])]).await;
        let client = asking(&names).build().unwrap();
        let refused = ask(&client, "http://some.example/").await.unwrap_err();
        assert!(refused.is_connect() && refused.is_dns(), "{refused:?}");
    }

    #[test]
    fn the_feature_turns_it_on_and_options_turn_it_off() {
        let is_used = |builder: ClientBuilder| builder.config.names_in_use().resolver.is_some();
        assert!(is_used(Client::builder()));
        assert!(!is_used(Client::builder().no_hickory_dns()));
        assert!(!is_used(Client::builder().hickory_dns(false)));
        assert!(is_used(
            Client::builder().hickory_dns(false).hickory_dns(true)
        ));
    }

    #[test]
    fn a_callers_resolver_takes_precedence() {
        let own: Arc<dyn Resolve> = Arc::new(Hickory::default());
        let builder = Client::builder().dns_resolver(Arc::clone(&own));
        let used = builder.config.names_in_use().resolver.unwrap();
        assert!(Arc::ptr_eq(&own, &used));
    }
}
