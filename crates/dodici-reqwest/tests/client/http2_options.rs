//! What a server sees of the builder's HTTP/2 options.

use std::collections::BTreeMap;
use std::time::Duration;

use dodici_reqwest::{Client, ClientBuilder};
use dodici_testkit::h2::kind;
use dodici_testkit::{Conn, H2Peer, ScriptedPeer, Watched, within};

const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What the client has said about itself before its first request.
#[derive(Clone, Default)]
struct Said {
    settings: BTreeMap<u16, u32>,
    /// The window of the connection.
    window: u64,
}

fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let each = payload.as_chunks::<6>().0.iter();
    each.map(|entry| {
        let [a, b, c, d, e, f] = *entry;
        (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))
    })
}

async fn said(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Said {
    let said = Watched::<Option<Said>>::new(None);
    let log = said.clone();
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let log = log.clone();
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let mut said = Said::default();
            while let Some(frame) = peer.next_frame().await {
                match frame.kind {
                    kind::SETTINGS => said.settings.extend(settings(&frame.payload)),
                    kind::HEADERS => {
                        said.window = 65_535 + peer.granted.get(&0).copied().unwrap_or(0);
                        log.update(|log| *log = Some(said.clone()));
                        peer.respond(frame.stream, "ok").await;
                    }
                    _ => {}
                }
            }
        }
    });
    let client = configure(Client::builder().no_proxy().http2_prior_knowledge());
    let request = client
        .build()
        .unwrap()
        .get(format!("http://127.0.0.1:{}/", peer.port()));
    within("a response", request.send()).await.unwrap();
    said.read(Option::clone).unwrap()
}

#[tokio::test]
async fn windows_and_limits_are_announced() {
    const MIB: u32 = 1024 * 1024;
    let usual = said(|builder| builder).await;
    assert_eq!(usual.settings[&INITIAL_WINDOW_SIZE], 2 * MIB);
    assert_eq!(usual.settings[&MAX_FRAME_SIZE], 65_536);
    assert_eq!(usual.settings[&MAX_HEADER_LIST_SIZE], 65_536);
    assert!(usual.window > u64::from(2 * MIB));
    let chosen = said(|builder| {
        builder
            .http2_initial_stream_window_size(100_000)
            .http2_initial_connection_window_size(300_000)
            .http2_max_frame_size(20_000)
            .http2_max_header_list_size(30_000)
    });
    let chosen = chosen.await;
    assert_eq!(chosen.settings[&INITIAL_WINDOW_SIZE], 100_000);
    assert_eq!(chosen.settings[&MAX_FRAME_SIZE], 20_000);
    assert_eq!(chosen.settings[&MAX_HEADER_LIST_SIZE], 30_000);
    assert_eq!(chosen.window, 300_000);
    // `None` is the default.
    let none = said(|builder| {
        builder
            .http2_initial_stream_window_size(100_000)
            .http2_initial_stream_window_size(None)
            .http2_initial_connection_window_size(300_000)
            .http2_initial_connection_window_size(None)
            .http2_max_frame_size(20_000)
            .http2_max_frame_size(None)
    });
    let none = none.await;
    assert_eq!(none.settings, usual.settings);
    assert_eq!(none.window, usual.window);
    let adaptive = said(|builder| {
        builder
            .http2_initial_stream_window_size(100_000)
            .http2_initial_connection_window_size(300_000)
            .http2_adaptive_window(true)
    });
    let adaptive = adaptive.await;
    assert_eq!(adaptive.settings[&INITIAL_WINDOW_SIZE], 2 * MIB);
    assert_eq!(adaptive.window, usual.window);
    let not = |builder: ClientBuilder| {
        let builder = builder.http2_initial_stream_window_size(100_000);
        builder
            .http2_adaptive_window(true)
            .http2_adaptive_window(false)
    };
    assert_eq!(said(not).await.settings[&INITIAL_WINDOW_SIZE], 100_000);
}

/// Sends as many bytes of a body as the windows allow, until the window of streams grows.
async fn send_until_it_grows(conn: Conn) {
    const INITIAL: u64 = 2 * 1024 * 1024;
    let mut peer = H2Peer::silent(conn).await;
    // A peer this far away: its SETTINGS are late.
    tokio::time::sleep(Duration::from_secs(1)).await;
    peer.settings(&[]).await;
    let (mut stream, mut window, mut sent) = (0, 0, 0);
    loop {
        let granted = |of: u32| peer.granted.get(&of).copied().unwrap_or(0);
        let allowed = (window + granted(stream)).min(65_535 + granted(0));
        if stream != 0 && sent + 16_384 <= allowed {
            peer.data(stream, vec![0; 16_384], false).await;
            sent += 16_384;
            continue;
        }
        let Some(frame) = peer.next_frame().await else {
            return;
        };
        if frame.kind == kind::HEADERS {
            stream = frame.stream;
            peer.head(stream, 200, &[], false).await;
        } else if frame.kind == kind::SETTINGS {
            let sizes = settings(&frame.payload).filter(|(id, _)| *id == INITIAL_WINDOW_SIZE);
            for (_, size) in sizes {
                window = size.into();
            }
        }
        if window > INITIAL {
            peer.data(stream, [], true).await;
            return peer.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adaptive_window_grows_for_a_reader_that_keeps_up() {
    let peer = ScriptedPeer::tcp().await.run(send_until_it_grows);
    let client = Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.http2_adaptive_window(true).build().unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let mut response = client.get(url).send().await.unwrap();
    let read = async { while response.chunk().await.unwrap().is_some() {} };
    within("a larger window", read).await;
}

#[tokio::test]
async fn an_idle_connection_is_pinged_if_that_is_wanted() {
    let pinged = Watched::<bool>::new(false);
    let log = pinged.clone();
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let log = log.clone();
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let request = peer.next_request().await.unwrap();
            peer.respond(request.stream, "ok").await;
            while let Some(frame) = peer.next_frame().await {
                if frame.kind == kind::PING && frame.flags == 0 {
                    log.update(|pinged| *pinged = true);
                }
            }
        }
    });
    let client = Client::builder().no_proxy().http2_prior_knowledge();
    let client = client
        .http2_keep_alive_interval(Duration::from_millis(10))
        .http2_keep_alive_while_idle(true)
        .build()
        .unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    assert_eq!(
        client.get(url).send().await.unwrap().text().await.unwrap(),
        "ok"
    );
    within("a ping", pinged.wait(|pinged| pinged.then_some(()))).await;
}

#[tokio::test]
async fn a_frame_or_a_head_beyond_the_limit_fails_the_request() {
    for (large, is_read) in [(20_000, true), (20_001, false)] {
        let peer = ScriptedPeer::tcp().await.run(move |conn| async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let request = peer.next_request().await.unwrap();
            peer.head(request.stream, 200, &[], false).await;
            peer.data(request.stream, vec![0; large], true).await;
            peer.closed().await;
        });
        let client = Client::builder().no_proxy().http2_prior_knowledge();
        let client = client.http2_max_frame_size(20_000).build().unwrap();
        let request = client.get(format!("http://127.0.0.1:{}/", peer.port()));
        let read = async { request.send().await?.bytes().await };
        let read = within("an end", read).await;
        assert_eq!(read.is_ok(), is_read, "{large}: {read:?}");
    }
    for (large, is_read) in [(15_000, true), (25_000, false)] {
        let peer = ScriptedPeer::tcp().await.run(move |conn| async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let request = peer.next_request().await.unwrap();
            let value = "x".repeat(large);
            peer.head(request.stream, 200, &[("x-large", &value)], true)
                .await;
            peer.closed().await;
        });
        let client = Client::builder().no_proxy().http2_prior_knowledge();
        let client = client.http2_max_header_list_size(20_000).build().unwrap();
        let request = client.get(format!("http://127.0.0.1:{}/", peer.port()));
        let read = within("an end", request.send()).await;
        assert_eq!(read.is_ok(), is_read, "{large}: {read:?}");
    }
}
