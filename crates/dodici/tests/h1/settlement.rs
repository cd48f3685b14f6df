//! Every request ends exactly once, whatever happens to its connection at any byte, and a
//! truncated response is never reported as complete.
//!
//! The recording sink fails the test on a second terminal call, on a call after it, and on a sink
//! that is dropped without one; a hang fails through `within`.

use std::sync::Arc;
use std::time::Duration;

use dodici::{ErrorKind, OriginConfig, Request, RootSource};
use dodici_testkit::certs::Authority;
use dodici_testkit::recording::{Seen, Terminal};
use dodici_testkit::{
    Client, Fault, FaultAction, FaultProxy, Pacing, ScriptedPeer, ServerTls, Shape, Verdict,
    shapes, within,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases in flight: enough to hide the timeouts of the stalled ones, few enough for any limit of
/// open files.
const PARALLEL: usize = 96;

/// Serves one shape on every connection.
async fn peer(shape: &Shape, tls: Option<ServerTls>) -> ScriptedPeer {
    let mut builder = ScriptedPeer::tcp().await;
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let shape = Arc::new(shape.clone());
    builder.run(move |mut conn| {
        let shape = Arc::clone(&shape);
        async move {
            // A client whose connection ends immediately may never send a request.
            while conn.next_head().await.is_some() {
                conn.send(&shape.bytes).await;
                if shape.expected.until_close {
                    return;
                }
            }
        }
    })
}

fn request(shape: &Shape) -> Request {
    Request::new(shape.request_head("test")).with_kind(shape.kind())
}

/// Short timeouts if the peer stalls, none otherwise: a loaded machine
/// must not turn a complete response into a timeout.
fn timeouts(config: &mut OriginConfig, soon: bool) {
    let timeout = soon.then_some(Duration::from_millis(100));
    config.exchange.headers_timeout = timeout;
    config.exchange.body_timeout = timeout;
}

/// Runs one request, and then closes the pool.
async fn run(client: Client, shape: &Shape, what: &str) -> Seen {
    let call = client.send(request(shape));
    within(what, call.settled()).await;
    client.pool.destroy();
    within(what, client.events.closed()).await;
    within(what, call.released()).await
}

fn assert_complete(seen: &Seen, shape: &Shape, body: &[u8], what: &str) {
    let mut expected = shape.expected.clone();
    expected.body = body.to_vec();
    assert!(
        matches!(seen.terminal, Some((_, Terminal::End(_)))),
        "{what}: {:?}",
        seen.terminal
    );
    assert!(
        seen.as_expected(&expected) == expected,
        "{what}: got {seen:?}"
    );
}

fn assert_verdict(seen: &Seen, shape: &Shape, cut: usize, action: FaultAction, what: &str) {
    let ended = seen.error_kind().is_none();
    match shape.verdict(cut, action) {
        Verdict::Complete => assert_complete(seen, shape, shape.body_at(cut), what),
        Verdict::Error => assert!(!ended, "{what}: a cut response was called complete"),
        Verdict::Either if ended => assert_complete(seen, shape, shape.body_at(cut), what),
        Verdict::Either => {}
    }
    if !ended {
        assert!(
            shape.expected.body.starts_with(&seen.body),
            "{what}: delivered bytes that were never sent"
        );
    }
    if action == FaultAction::Stall && !ended {
        assert!(
            matches!(
                seen.error_kind(),
                Some(ErrorKind::HeadersTimeout | ErrorKind::BodyTimeout)
            ),
            "{what}: {:?}",
            seen.terminal
        );
    }
}

/// Runs all cases, `PARALLEL` at a time.
async fn in_parallel<F>(cases: impl IntoIterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Arc::new(Semaphore::new(PARALLEL));
    let mut tasks = JoinSet::new();
    for case in cases {
        let permit = Arc::clone(&gate).acquire_owned().await.unwrap();
        tasks.spawn(async move {
            case.await;
            drop(permit);
        });
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Bodies that are large enough are read in two ways.
fn modes(shape: &Shape) -> impl Iterator<Item = bool> + use<> {
    let large = shape.expected.body.len() >= 16 * 1024;
    [false, true].into_iter().take(if large { 2 } else { 1 })
}

async fn cut_everywhere(action: FaultAction) {
    for shape in shapes::all() {
        let peer = peer(&shape, None).await;
        let upstream = peer.address().tcp();
        let shape = Arc::new(shape);
        let cases = shape
            .cuts()
            .into_iter()
            .flat_map(|cut| modes(&shape).map(move |mode| (cut, mode)));
        in_parallel(
            cases
                .collect::<Vec<_>>()
                .into_iter()
                .map(|(cut, in_place)| {
                    let shape = Arc::clone(&shape);
                    async move {
                        let what =
                            format!("{} {action:?} at {cut}, in place: {in_place}", shape.name);
                        let proxy =
                            FaultProxy::start(upstream, Fault::at(cut as u64, action)).await;
                        let mut config = OriginConfig::default();
                        let silent = action == FaultAction::Stall;
                        let error = shape.verdict(cut, action) == Verdict::Error;
                        timeouts(&mut config, silent && error);
                        let client = Client::new(proxy.port(), config).in_place(in_place);
                        let seen = run(client, &shape, &what).await;
                        assert_verdict(&seen, &shape, cut, action, &what);
                    }
                }),
        )
        .await;
        peer.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_s25_a_reset_at_every_byte_settles_once_and_truncates_nothing() {
    cut_everywhere(FaultAction::Reset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_s24_s25_a_fin_at_every_byte_settles_once_and_truncates_nothing() {
    cut_everywhere(FaultAction::Fin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_a_stall_at_every_byte_ends_in_a_timeout() {
    cut_everywhere(FaultAction::Stall).await;
}

#[tokio::test]
async fn a_fin_at_every_byte_settles_once_on_a_current_thread_runtime() {
    let shape = Arc::new(shapes::chunked_trailers());
    let peer = peer(&shape, None).await;
    for cut in shape.cuts() {
        let what = format!("{} at {cut}", shape.name);
        let fault = Fault::at(cut as u64, FaultAction::Fin);
        let proxy = FaultProxy::start(peer.address().tcp(), fault).await;
        let client = Client::new(proxy.port(), OriginConfig::default());
        let seen = run(client, &shape, &what).await;
        assert_verdict(&seen, &shape, cut, FaultAction::Fin, &what);
    }
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_response_in_any_two_pieces_is_the_same_response() {
    for shape in shapes::all() {
        let peer = peer(&shape, None).await;
        let upstream = peer.address().tcp();
        let shape = Arc::new(shape);
        let splits = shape.cuts().into_iter().map(|at| Pacing::Split(at as u64));
        let pacings = std::iter::once(Pacing::Dribble).chain(splits);
        let cases = pacings.flat_map(|pacing| modes(&shape).map(move |mode| (pacing, mode)));
        in_parallel(
            cases
                .collect::<Vec<_>>()
                .into_iter()
                .map(|(pacing, in_place)| {
                    let shape = Arc::clone(&shape);
                    async move {
                        let what = format!("{} {pacing:?}", shape.name);
                        let proxy = FaultProxy::start(upstream, Fault::paced(pacing)).await;
                        let client =
                            Client::new(proxy.port(), OriginConfig::default()).in_place(in_place);
                        let seen = run(client, &shape, &what).await;
                        assert_complete(&seen, &shape, &shape.expected.body, &what);
                    }
                }),
        )
        .await;
        peer.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_under_tls_no_truncated_response_is_complete() {
    let authority = Authority::new("dodici test");
    let tls = ServerTls::new(&authority.localhost());
    let roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    for shape in shapes::all() {
        let peer = peer(&shape, Some(tls.clone())).await;
        let upstream = peer.address().tcp();
        let mut config = OriginConfig::default();
        config.connect.tls.roots = roots.clone();
        timeouts(&mut config, false);
        let whole = FaultProxy::start(upstream, Fault::NONE).await;
        let seen = run(Client::tls(whole.port(), config.clone()), &shape, "whole").await;
        assert_complete(&seen, &shape, &shape.expected.body, "whole");
        let total = whole.log()[0].to_client;
        let shape = Arc::new(shape);
        // The last records hold the response; a prime stride covers the handshake.
        let start = total.saturating_sub(shape.bytes.len() as u64 + 64);
        let tail = (start..=total).step_by(1 + shape.bytes.len() / 40);
        let cuts: Vec<u64> = (0..start).step_by(211).chain(tail).collect();
        let actions = [FaultAction::Reset, FaultAction::Fin];
        let cases = cuts
            .iter()
            .flat_map(|cut| actions.map(|action| (*cut, action)));
        in_parallel(cases.map(|(cut, action)| {
            let (shape, config) = (Arc::clone(&shape), config.clone());
            async move {
                let what = format!("tls {} {action:?} at {cut}", shape.name);
                let proxy = FaultProxy::start(upstream, Fault::at(cut, action)).await;
                let client = Client::tls(proxy.port(), config);
                let seen = run(client, &shape, &what).await;
                if seen.error_kind().is_none() {
                    assert_complete(&seen, &shape, &shape.expected.body, &what);
                }
                assert!(shape.expected.body.starts_with(&seen.body), "{what}");
            }
        }))
        .await;
        peer.finish().await;
    }
}
