//! Engines whose runtime has ended.

use std::num::NonZeroU32;
use std::sync::Arc;

use dodici::{Engine, ErrorKind, NoEvents, Origin, OriginConfig, Scheme};
use dodici_testkit::client::get;
use dodici_testkit::{Recording, TestOrigin, within};
use tokio::runtime::Runtime;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_every_request_settles_when_the_runtime_ends_and_after_it() {
    let server = TestOrigin::start().await;
    let runtime = Runtime::new().unwrap();
    let mut config = OriginConfig::default();
    config.pool.max_connections = NonZeroU32::new(2);
    let origin = Origin::new(Scheme::Http, "127.0.0.1", server.port());
    let pool = Engine::on_runtime(runtime.handle().clone())
        .open_pool(origin, config, Arc::new(NoEvents))
        .unwrap();
    let dispatch = || {
        let (recording, sink) = Recording::new();
        let handle = pool.dispatch(get("/hold"), Box::new(sink));
        (recording, handle)
    };

    // Many wait, because each used to be the reason for the next attempt.
    let waiting: Vec<_> = (0..20_000).map(|_| dispatch()).collect();
    runtime.shutdown_background();
    for (recording, _handle) in &waiting {
        let seen = within("an outcome", recording.settled()).await;
        assert!(seen.error_kind().is_some());
    }

    let (late, _handle) = dispatch();
    let seen = within("an outcome", late.settled()).await;
    assert_eq!(seen.error_kind(), Some(ErrorKind::Destroyed));
    let failed = within("preconnect", pool.preconnect(1)).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Destroyed);
}
