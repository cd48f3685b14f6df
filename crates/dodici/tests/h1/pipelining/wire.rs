//! The bytes on the wire, and the order of callbacks.

use std::num::NonZeroU32;

use bytes::Bytes;
use dodici::{BodyKind, CloseReason, Request, RootSource};
use dodici_testkit::certs::Authority;
use dodici_testkit::with;
use dodici_testkit::{
    Client, Fault, FaultProxy, OK, Pacing, ScriptedPeer, ServerTls, Signal, within,
};

use super::{bodies, depth, gets, numbered};

#[tokio::test]
async fn requests_are_sent_without_waiting_and_answered_in_order() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let mut targets = Vec::new();
        // All heads have arrived before the first response.
        for _ in 0..5 {
            targets.push(conn.read_head().await.target);
        }
        assert_eq!(targets, ["/0", "/1", "/2", "/3", "/4"]);
        let all: String = (0..5).map(numbered).collect();
        conn.send(all).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(5));
    let calls = gets(&client, 5);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3", "4"]);
    let reused: Vec<_> = calls
        .iter()
        .map(|call| call.seen().connection.unwrap().1)
        .collect();
    assert_eq!(reused, [false, true, true, true, true]);
    client.pool.close();
    within("close", client.events.closed()).await;
    let infos = client.accounts();
    assert_eq!((infos.len(), infos[0].requests), (1, 5));
    assert_eq!(infos[0].reason, CloseReason::PoolClosed);
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn the_depth_limits_the_requests_in_flight() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        for n in 0..7 {
            // No byte of the fourth request arrives before the first response is sent.
            conn.send(numbered(n)).await;
            if n < 4 {
                assert_eq!(conn.read_head().await.target, format!("/{}", n + 3));
            }
        }
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 7);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3", "4", "5", "6"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_raised_depth_applies_to_an_open_connection() {
    let one = Signal::new();
    let first = one.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let first = first.clone();
        async move {
            assert_eq!(conn.read_head().await.target, "/0");
            first.raise();
            // The others arrive although the first one is unanswered.
            for n in 1..4 {
                assert_eq!(conn.read_head().await.target, format!("/{n}"));
            }
            conn.send((0..4).map(numbered).collect::<String>()).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(1));
    let calls = gets(&client, 4);
    within("first request", one.raised()).await;
    client.pool.set_pipelining(4);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3"]);
    let infos = {
        client.pool.close();
        within("close", client.events.closed()).await;
        client.accounts()
    };
    assert_eq!((infos.len(), infos[0].requests), (1, 4));
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn a_lowered_depth_lets_requests_in_flight_finish_and_none_join() {
    let signals = [(); 3].map(|()| Signal::new());
    let [both, go_first, go_second] = signals.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let [both, first, second] = signals.clone();
        async move {
            for _ in 0..2 {
                conn.read_head().await;
            }
            both.raise();
            first.raised().await;
            conn.send(numbered(0)).await;
            second.raised().await;
            conn.send(numbered(1)).await;
            assert_eq!(conn.read_head().await.target, "/2");
            conn.send(numbered(2)).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(2));
    let calls = gets(&client, 3);
    within("two requests", both.raised()).await;
    client.pool.set_pipelining(1);
    go_first.raise();
    assert_eq!(bodies(&calls[..1]).await, ["0"]);
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.queued), (1, 1));
    go_second.raise();
    assert_eq!(bodies(&calls[1..]).await, ["1", "2"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn heads_and_bodies_are_on_the_wire_byte_for_byte() {
    let large = "x".repeat(300_000);
    let expected = format!(
        "PUT /a HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nsmall\
         PUT /b HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{large}\
         GET /c HTTP/1.1\r\nhost: test\r\n\r\n"
    );
    let len = expected.len();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        conn.read_exact(len).await;
        conn.send(OK.repeat(3)).await;
        conn.closed().await;
    });
    let put = |target: &str, body: &str| {
        with(
            Request::new(format!(
                "PUT {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
                body.len()
            ))
            .with_body(BodyKind::Full(Bytes::copy_from_slice(body.as_bytes()))),
            |request| {
                request.idempotent = true;
                request.blocking = false;
            },
        )
    };
    let client = Client::new(peer.port(), depth(3));
    let calls = [
        client.send(put("/a", "small")),
        client.send(put("/b", &large)),
        client.get("/c"),
    ];
    assert_eq!(bodies(&calls).await, ["ok", "ok", "ok"]);
    let log = peer.log();
    assert_eq!(
        String::from_utf8_lossy(&log.connections[0].received),
        expected
    );
    client.finish(peer).await;
}

#[tokio::test]
async fn requests_share_a_tls_connection_in_flight() {
    const LEN: usize = 200_000;
    let authority = Authority::new("dodici test");
    let tls = ServerTls::new(&authority.localhost());
    let peer = ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|mut conn| async move {
            for _ in 0..4 {
                conn.read_head().await;
            }
            for _ in 0..4 {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"))
                    .await;
                conn.send(vec![b'x'; LEN]).await;
            }
            conn.closed().await;
        });
    for in_place in [false, true] {
        let mut config = depth(4);
        config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
        let client = Client::tls(peer.port(), config).in_place(in_place);
        for call in gets(&client, 4) {
            let seen = within("response", call.ended()).await;
            assert_eq!(seen.body, [b'x'; LEN]);
        }
        client.pool.close();
        within("close", client.events.closed()).await;
    }
    peer.finish().await;
}

/// Consecutive responses of every framing, and the expected result of each.
const MIXED: [&str; 4] = [
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nth\r\n3;x=\"y\"\r\nree\r\n0\r\nT: v\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour",
];

async fn check_mixed(pace: impl Fn(usize) -> Pacing, cuts: usize) {
    for cut in 0..cuts {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            for _ in 0..4 {
                conn.read_head().await;
            }
            conn.send(MIXED.concat()).await;
            conn.closed().await;
        });
        let upstream = ([127, 0, 0, 1], peer.port()).into();
        let proxy = FaultProxy::start(upstream, Fault::paced(pace(cut))).await;
        let client = Client::new(proxy.address().port(), depth(4));
        let calls = gets(&client, 4);
        assert_eq!(bodies(&calls).await, ["one", "", "three", "four"], "{cut}");
        let seen: Vec<_> = calls.iter().map(|call| call.seen()).collect();
        assert_eq!(seen[0].informational[0].status, 103);
        assert_eq!(seen[1].status(), 204);
        assert_eq!(seen[2].trailers(), [("T".to_owned(), "v".to_owned())]);
        assert_eq!(seen[3].trailers(), []);
        drop(client);
        drop(proxy);
        drop(peer);
    }
}

#[tokio::test]
async fn responses_of_every_framing_are_separated_when_split_anywhere() {
    let len = MIXED.concat().len();
    check_mixed(|at| Pacing::Split(at as u64), len).await;
}

#[tokio::test]
async fn responses_of_every_framing_are_separated_byte_by_byte() {
    check_mixed(|_| Pacing::Dribble, 1).await;
}

#[tokio::test]
async fn line_ends_between_responses_are_ignored() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.dribble(format!(
            "{}\r\n{}\r\n\r\n{}\r\n",
            numbered(0),
            numbered(1),
            numbered(2)
        ))
        .await;
        conn.read_head().await;
        conn.send(numbered(3)).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 4);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3"]);
    assert_eq!(peer.accepted(), 1);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_over_few_connections_all_get_their_own_response() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            let body = &head.target;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        }
    });
    let mut config = depth(10);
    config.pool.max_connections = NonZeroU32::new(3);
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 3_000);
    for (n, call) in calls.iter().enumerate() {
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, format!("/{n}").into_bytes());
    }
    assert_eq!(peer.accepted(), 3);
    client.finish(peer).await;
}
