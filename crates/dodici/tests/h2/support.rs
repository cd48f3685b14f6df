//! Peers and configurations that several of these files use.

use std::num::NonZeroU32;

use dodici::OriginConfig;
use dodici_testkit::config::http2;
use dodici_testkit::{Conn, H2Peer, ScriptedPeer};

/// Before SETTINGS arrive, one request is sent.
pub(crate) fn config() -> OriginConfig {
    let mut config = http2();
    config.http2.streams_before_settings = 1;
    config
}

/// The same on one connection.
pub(crate) fn single() -> OriginConfig {
    let mut config = config();
    config.pool.max_connections = NonZeroU32::new(1);
    config
}

/// One connection, and the default number of requests before SETTINGS.
pub(crate) fn one_connection() -> OriginConfig {
    let mut config = http2();
    config.pool.max_connections = NonZeroU32::new(1);
    config
}

/// Runs this script on every connection.
pub(crate) async fn serve<F, Fut>(script: F) -> ScriptedPeer
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    ScriptedPeer::tcp().await.run(script)
}

/// Answers every request with its own body.
pub(crate) async fn echo(mut peer: H2Peer) {
    while let Some(request) = peer.next_request().await {
        peer.respond(request.stream, request.body).await;
    }
}

/// A peer that answers every request with its own body.
pub(crate) async fn serve_echo() -> ScriptedPeer {
    serve(|conn| async { echo(H2Peer::accept(conn, &[]).await).await }).await
}

pub(crate) fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}
