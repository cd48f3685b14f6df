//! Extensions of both client builders.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dodici::{ConnectInfo, DnsCacheConfig, Event, Origin, RequestTimings};

use crate::IntoUrl;
use crate::origin_options::{OriginOptions, at_least_one};

/// Settings that reqwest's builder does not have.
pub trait ClientBuilderExt: Sized + sealed::Change {
    /// Settings for one origin, or one proxy: scheme, host and port of this URL. Later calls override
    /// earlier ones. An invalid URL is a builder error.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientBuilderExt};
    ///
    /// let client = Client::builder()
    ///     .origin("https://slow.example", |origin| origin.max_connections(1))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn origin<U: IntoUrl>(
        self,
        url: U,
        options: impl FnOnce(OriginOptions) -> OriginOptions,
    ) -> Self {
        let options = options(OriginOptions::default());
        let url = url.into_url();
        self.change_config(move |config| match url {
            Ok(url) => {
                let origin = crate::util::origin(Some(url.scheme()), url.host_str(), url.port());
                config.origins.push((origin, options));
            }
            Err(error) => config.error = Some(error),
        })
    }

    /// Maximum number of connections per origin; further requests wait. Zero counts as one.
    /// Default: no limit.
    #[must_use]
    fn max_connections_per_origin(self, max: u32) -> Self {
        self.change_config(|config| config.engine.pool.max_connections = at_least_one(max))
    }

    /// Maximum number of connections to all origins together, including idle ones. A request that
    /// needs another one closes an idle one of any origin, or waits. Zero counts as one. Default:
    /// no limit.
    #[must_use]
    fn max_connections(self, max: u32) -> Self {
        self.change_config(|config| config.max_connections = at_least_one(max))
    }

    /// Age after which a connection accepts no further requests. Default: no limit.
    #[must_use]
    fn max_connection_age(self, age: Duration) -> Self {
        self.change_config(|config| config.engine.pool.max_connection_age = Some(age))
    }

    /// Uses HTTP/3 with `https` origins that offer it in an `Alt-Svc` header (RFC 7838). Later
    /// connections try it first, and TCP 250 ms later at most; requests wait for whichever is
    /// connected first, so a network without UDP delays one of them by that much. Without effect
    /// through a proxy. Default false.
    ///
    /// Needs the feature `http3`.
    #[cfg(feature = "http3")]
    #[must_use]
    fn http3_discovery(self, enable: bool) -> Self {
        self.change_config(|config| {
            config.engine.http3.mode = match enable {
                true => dodici::Http3Mode::Discovered,
                false => dodici::Http3Mode::Off,
            };
        })
    }

    /// Rejects HTTP/1 responses with invalid framing that reqwest accepts: header lines that end
    /// with LF only, a repeated `content-length` or one beside `transfer-encoding: chunked` (which
    /// takes precedence), whitespace after a chunk size, and malformed chunk extensions. Default
    /// false: they are accepted, and their connection is closed, because such a server may be
    /// subject to response splitting.
    #[must_use]
    fn http1_strict_framing(self, strict: bool) -> Self {
        self.change_config(|config| config.engine.exchange.leniency.doubtful_framing = !strict)
    }

    /// Maximum size of a response body, after decoding. A larger body fails when it exceeds the
    /// limit, or immediately if its length does. Default: no limit.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientBuilderExt};
    ///
    /// let client = Client::builder().max_body_size(16 * 1024 * 1024).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn max_body_size(self, bytes: u64) -> Self {
        self.change_config(|config| config.max_body = Some(bytes))
    }

    /// Connects only to addresses for which the function returns true: of the origins, which may be
    /// literal, resolved or redirected to, and of proxies. It gets the address, and the host it belongs
    /// to. To others nothing is sent: the request fails with a connect error, whose source is
    /// the engine's error of the kind `AddressNotAllowed`. Unix sockets are refused. Where a
    /// proxy connects to the origin, only a literal address, or one resolved for SOCKS, can be checked.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::{self, ClientBuilderExt}};
    ///
    /// // Against requests to inward addresses (SSRF): only public ones.
    /// let client = Client::builder().allow_addresses(ext::public).build()?;
    /// // And one of our own.
    /// let client = Client::builder()
    ///     .allow_addresses(|address, host| ext::is_public(address) || host == "hooks.internal")
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn allow_addresses<F>(self, rule: F) -> Self
    where
        F: Fn(IpAddr, &str) -> bool + Send + Sync + 'static,
    {
        self.change_config(|config| config.allow = Some(Arc::new(rule)))
    }

    /// Keeps the addresses of names that the system's resolver finds, for all clients of the process
    /// together; each uses answers up to the age in its own configuration. Fixed addresses and those of
    /// a resolver are not kept. [`clear_dns_cache`](crate::ext::clear_dns_cache) forgets them. Default:
    /// the system is asked for each connection.
    ///
    /// ```
    /// use std::time::Duration;
    /// use dodici_reqwest::{Client, ext::{ClientBuilderExt, DnsCacheConfig}};
    ///
    /// let mut cache = DnsCacheConfig::default();
    /// cache.stale_ttl = Duration::from_secs(60);
    /// let client = Client::builder().dns_cache(cache).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn dns_cache(self, cache: DnsCacheConfig) -> Self {
        self.change_config(|config| config.engine.connect.dns_cache = Some(cache))
    }

    /// Minimum rate of a response body, in bytes per second before decoding: a body of which less
    /// arrives in five seconds fails with a timeout. Time in which nobody reads the body does not
    /// count. Zero: no minimum, which is the default.
    ///
    /// ```
    /// use dodici_reqwest::{Client, ext::ClientBuilderExt};
    ///
    /// let client = Client::builder().min_body_rate(1024).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[must_use]
    fn min_body_rate(self, bytes_per_second: u32) -> Self {
        self.change_config(move |config| {
            config.engine.exchange.min_body_rate = NonZeroU32::new(bytes_per_second);
        })
    }

    /// Calls a function with every connection event of the client: connected (with the time of each
    /// leg), disconnected (with the reason), connect error. Each connect is followed by exactly one
    /// disconnect. It must not block.
    #[must_use]
    fn on_connection_event<F>(self, callback: F) -> Self
    where
        F: Fn(&Origin, &Event) + Send + Sync + 'static,
    {
        self.change_config(|config| config.events.push(Arc::new(callback)))
    }

    /// Calls a function when a request of the client has ended, with its timings and the details of
    /// its connection, if it had one. Each redirect and each retry is a request. The origin is that
    /// of a forwarding proxy, if there is one. It must not block.
    #[must_use]
    fn on_timings<F>(self, callback: F) -> Self
    where
        F: Fn(&Origin, &RequestTimings, Option<&ConnectInfo>) + Send + Sync + 'static,
    {
        self.change_config(|config| config.timings.push(Arc::new(callback)))
    }
}

impl<B: sealed::Change> ClientBuilderExt for B {}

mod sealed {
    use crate::builder::Config;

    pub trait Change {
        #[doc(hidden)]
        #[must_use]
        fn change_config(self, change: impl FnOnce(&mut Config)) -> Self;
    }

    macro_rules! builders {
        ($($(#[$meta:meta])* $builder:ty),*) => {$(
            $(#[$meta])*
            impl Change for $builder {
                fn change_config(self, change: impl FnOnce(&mut Config)) -> Self {
                    self.change(change)
                }
            }
        )*};
    }

    builders!(
        crate::ClientBuilder,
        #[cfg(feature = "blocking")]
        crate::blocking::ClientBuilder
    );
}
