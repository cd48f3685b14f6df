//! Name resolution by hickory instead of the system.
//!
//! Behind the feature `hickory-dns`; the builder uses it if no other resolver was given. It must
//! not know connections.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

#[cfg(feature = "http3")]
use crate::dns::Offer;
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

    #[cfg(feature = "http3")]
    fn alternatives(&self, name: Name, port: u16) -> Option<dodici::HookFuture<Vec<Offer>>> {
        let this = self.clone();
        Some(Box::pin(async move {
            let Ok(resolver) = this.resolver() else {
                return Vec::new();
            };
            let records = service::lookup(resolver, name.as_str(), port);
            // A name server that does not answer for such records delays nothing for long.
            let late = async {
                drop(resolver.lookup_ip(name.as_str()).await);
                tokio::time::sleep(RESOLUTION_DELAY).await;
            };
            tokio::select! {
                offers = records => offers,
                () = late => Vec::new(),
            }
        }))
    }
}

/// HTTPS records are waited for this much longer than addresses (RFC 8305, section 3, which says it
/// of AAAA records).
#[cfg(feature = "http3")]
const RESOLUTION_DELAY: std::time::Duration = std::time::Duration::from_millis(50);

/// HTTPS records (RFC 9460).
#[cfg(feature = "http3")]
mod service {
    use std::time::Duration;

    use dodici::{Alternative, Offer};
    use hickory_resolver::TokioResolver;
    use hickory_resolver::proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
    use hickory_resolver::proto::rr::{RData, RecordType};

    /// The alternatives of `https://host:port` that its records name, in the order of their
    /// priority. Hints of addresses are not used: the names are resolved like others.
    pub(super) async fn lookup(resolver: &TokioResolver, host: &str, port: u16) -> Vec<Offer> {
        let owner = match port {
            443 => format!("{host}."),
            _ => format!("_{port}._https.{host}."),
        };
        let Ok(found) = resolver.lookup(owner, RecordType::HTTPS).await else {
            return Vec::new();
        };
        let records = found.answers().iter().filter_map(|record| {
            let RData::HTTPS(https) = &record.data else {
                return None;
            };
            let alternative = alternative(&https.0, host, port)?;
            let max_age = Duration::from_secs(record.ttl.into());
            Some((
                https.0.svc_priority,
                Offer {
                    alternative,
                    max_age,
                },
            ))
        });
        let mut records: Vec<_> = records.collect();
        records.sort_by_key(|(priority, _)| *priority);
        records.into_iter().map(|(_, offer)| offer).collect()
    }

    /// What a record says; `None` if it is an alias, is not for HTTP/3, or needs what is not known
    /// here (section 8).
    fn alternative(record: &SVCB, host: &str, mut port: u16) -> Option<Alternative> {
        let mut speaks_http3 = false;
        for (_, value) in &record.svc_params {
            match value {
                SvcParamValue::Alpn(alpn) => speaks_http3 = alpn.0.iter().any(|name| name == "h3"),
                SvcParamValue::Port(given) => port = *given,
                SvcParamValue::Mandatory(keys) if !keys.0.iter().all(is_known) => return None,
                _ => {}
            }
        }
        if record.svc_priority == 0 || !speaks_http3 {
            return None;
        }
        let target = record.target_name.to_ascii();
        Some(match target.trim_end_matches('.') {
            "" => Alternative::new(host, port),
            target => Alternative::new(target, port),
        })
    }

    fn is_known(key: &SvcParamKey) -> bool {
        use SvcParamKey::{Alpn, Ipv4Hint, Ipv6Hint, NoDefaultAlpn, Port};
        matches!(key, Alpn | NoDefaultAlpn | Port | Ipv4Hint | Ipv6Hint)
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

    #[cfg(feature = "http3")]
    mod services {
        use std::collections::HashMap;

        use dodici_testkit::name_server::service;
        use dodici_testkit::{Authority, H3Origin, ServerTls};

        use super::*;
        use crate::ext::ClientBuilderExt;
        use crate::{Certificate, Version};

        const ALPN: u16 = 1;
        const PORT: u16 = 3;
        const H3: &[u8] = b"\x02h3";

        struct Setup {
            authority: Authority,
            h3: H3Origin,
            tcp: ScriptedPeer,
        }

        impl Setup {
            async fn new() -> Self {
                let authority = Authority::new("HTTPS records");
                let leaf = authority.server(&["some.example"]);
                let tcp = ScriptedPeer::tcp().await.tls(ServerTls::new(&leaf));
                Self {
                    h3: H3Origin::start(&ServerTls::http3(&leaf)),
                    tcp: tcp.always("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntcp"),
                    authority,
                }
            }

            /// The version of the first response, where the origin has these records. Where they
            /// matter, nothing listens on its TCP port.
            async fn first(&self, port: u16, services: Option<Vec<Vec<u8>>>) -> Version {
                let owner = format!("_{port}._https.some.example");
                let services = services.map(|records| HashMap::from([(owner.clone(), records)]));
                let addresses = ["some.example", "other.example"].map(|name| (name, vec![HOME]));
                let names = NameServer::start_with(addresses, services).await;
                let pem = self.authority.pem();
                let client = asking(&names)
                    .tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()])
                    .http3_discovery(true)
                    .build()
                    .unwrap();
                let sent = client.get(format!("https://some.example:{port}/bytes/3"));
                let response = within("an answer", sent.send()).await.unwrap();
                assert!(names.asked().contains(&(owner, Family::Service)));
                let version = response.version();
                assert_eq!(response.bytes().await.unwrap().len(), 3);
                version
            }
        }

        #[tokio::test]
        async fn the_first_request_goes_where_a_record_says() {
            let setup = Setup::new().await;
            let port = setup.h3.port();
            for target in ["", "other.example"] {
                let record = service(1, target, &[(ALPN, H3)]);
                let version = setup.first(port, Some(vec![record])).await;
                assert_eq!(version, Version::HTTP_3, "{target}");
            }
        }

        #[tokio::test]
        async fn the_record_of_the_highest_priority_is_used() {
            let setup = Setup::new().await;
            let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let dead = silent.local_addr().unwrap().port().to_be_bytes();
            let port = setup.h3.port().to_be_bytes();
            let records = [(2, &dead), (1, &port)]
                .map(|(priority, port)| service(priority, "", &[(ALPN, H3), (PORT, port)]));
            let closed = setup.h3.port();
            let version = setup.first(closed, Some(records.into())).await;
            assert_eq!(version, Version::HTTP_3);
            silent.set_nonblocking(true).unwrap();
            assert!(silent.recv(&mut [0; 2048]).is_err(), "nothing was sent");
        }

        #[tokio::test]
        async fn a_record_that_does_not_offer_it_is_ignored() {
            let setup = Setup::new().await;
            let port = setup.h3.port().to_be_bytes();
            let unknown_key = [0x12, 0x34];
            let mandatory: &[u8] = &unknown_key;
            for (name, record) in [
                (
                    "HTTP/2 only",
                    service(1, "", &[(ALPN, b"\x02h2"), (PORT, &port)]),
                ),
                ("an alias", service(0, "other.example", &[])),
                (
                    "needs what is unknown",
                    service(
                        1,
                        "",
                        &[(0, mandatory), (ALPN, H3), (PORT, &port), (0x1234, b"")],
                    ),
                ),
                ("malformed", vec![0, 1, 200]),
            ] {
                let version = setup.first(setup.tcp.port(), Some(vec![record])).await;
                assert_eq!(version, Version::HTTP_11, "{name}");
            }
            assert_eq!(setup.h3.connections(), 0);
        }

        #[tokio::test]
        async fn a_name_server_without_an_answer_holds_up_nothing() {
            let setup = Setup::new().await;
            assert_eq!(setup.first(setup.tcp.port(), None).await, Version::HTTP_11);
        }
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
