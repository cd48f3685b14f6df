//! Servers and configurations that several of these files use.

use std::num::NonZeroU32;

use dodici::{Http3Mode, OriginConfig, RootSource};
use dodici_testkit::config::config;
use dodici_testkit::{Authority, Leaf, ServerTls};

/// An authority, and a certificate of `localhost` from it.
pub(crate) struct Trust {
    pub(crate) authority: Authority,
    pub(crate) leaf: Leaf,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("HTTP/3 tests");
        let leaf = authority.localhost();
        Self { authority, leaf }
    }

    pub(crate) fn server(&self) -> ServerTls {
        ServerTls::http3(&self.leaf)
    }

    /// HTTP/3 with prior knowledge, trusting the authority.
    pub(crate) fn config(&self) -> OriginConfig {
        let pem = self.authority.pem().as_bytes().to_vec();
        config(|config| {
            config.http3.mode = Http3Mode::PriorKnowledge;
            config.connect.tls.roots = RootSource::Custom(vec![pem]);
        })
    }

    /// The same on one connection.
    pub(crate) fn single(&self) -> OriginConfig {
        let mut config = self.config();
        config.pool.max_connections = NonZeroU32::new(1);
        config
    }
}

pub(crate) fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}
