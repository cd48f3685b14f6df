//! The outcome of the requests behind one that fails.

use std::sync::Arc;
use std::time::Duration;

use dodici::{CloseReason, ErrorKind, Event, OriginConfig};
use dodici_testkit::client::{get, post, post_chunked};
use dodici_testkit::with;
use dodici_testkit::{
    Call, Client, Fault, FaultAction, FaultProxy, OK, ScriptedPeer, Signal, within,
};
use parking_lot::Mutex;

use super::{bodies, depth, gets, numbered};

/// A pipeline of three whose first connection has this fault. Each request must end once, complete
/// or with an error; the one that fails is the oldest unanswered one; the others are
/// replayed, and so is that one if a reused connection ended before its first byte.
async fn faulty(at: u64, action: FaultAction) {
    let what = format!("{action:?} at {at}");
    let responses: String = (0..3).map(numbered).collect();
    let each = numbered(0).len() as u64;
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            let n: usize = head.target[1..].parse().unwrap();
            conn.send(numbered(n)).await;
        }
    });
    assert_eq!(responses.len() as u64, 3 * each);
    let upstream = ([127, 0, 0, 1], peer.port()).into();
    let proxy = FaultProxy::start_with(upstream, move |index| match index {
        0 => Fault::at(at, action),
        _ => Fault::NONE,
    })
    .await;
    let client = Client::new(proxy.address().port(), depth(3));
    let failed = usize::try_from(at / each).unwrap();
    let crossed = action != FaultAction::Stall && at > 0 && at.is_multiple_of(each);
    // Short if the peer stalls, and unlimited otherwise: a loaded machine must not turn a
    // complete response into a timeout.
    let calls: Vec<_> = (0..3)
        .map(|n| {
            let soon = action == FaultAction::Stall && n == failed;
            let timeout = if soon {
                Duration::from_millis(20)
            } else {
                Duration::ZERO
            };
            client.send(with(get(&format!("/{n}")), |request| {
                request.headers_timeout = Some(timeout);
                request.body_timeout = Some(timeout);
            }))
        })
        .collect();
    for (n, call) in calls.iter().enumerate() {
        let seen = within(&what, call.released()).await;
        if n != failed || crossed {
            assert_eq!(seen.error_kind(), None, "{what}: request {n}");
            assert_eq!(seen.body, n.to_string().as_bytes(), "{what}");
            continue;
        }
        // The fault was inside this response: it must not be complete.
        let kind = seen.error_kind();
        let expected = match action {
            FaultAction::Stall if seen.head.is_some() => ErrorKind::BodyTimeout,
            FaultAction::Stall => ErrorKind::HeadersTimeout,
            FaultAction::Reset | FaultAction::Fin => ErrorKind::Socket,
        };
        assert_eq!(kind, Some(expected), "{what}");
        let disconnect = |event: &Event| matches!(event, Event::Disconnected { .. });
        let gone = client.events.stamp_of(disconnect).unwrap();
        assert!(seen.stamp() < gone, "{what}: the request hears of it first");
    }
    let connections = if failed < 2 || crossed { 2 } else { 1 };
    assert_eq!(client.events.connects(), connections, "{what}");
    client.pool.destroy();
    within(&what, client.events.closed()).await;
    drop(client);
    drop(proxy);
    drop(peer);
}

#[tokio::test]
async fn a_reset_at_any_byte_fails_one_request_and_the_others_are_replayed() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Reset).await;
    }
}

#[tokio::test]
async fn an_end_at_any_byte_fails_one_request_and_the_others_are_replayed() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Fin).await;
    }
}

#[tokio::test]
async fn silence_at_any_byte_fails_one_request_and_the_others_are_replayed() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Stall).await;
    }
}

#[tokio::test]
async fn connection_close_in_the_middle_replays_the_rest_in_order() {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            for _ in 0..4 {
                conn.read_head().await;
            }
            // What follows it belongs to no request.
            conn.send(format!(
                "{OK}HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok{}",
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
            ))
            .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(4));
    let calls = gets(&client, 4);
    assert_eq!(bodies(&calls).await, ["ok"; 4]);
    assert_eq!(later.read(Vec::clone), ["/2", "/3"]);
    assert_eq!(client.accounts()[0].reason, CloseReason::NotReusable);
    assert_eq!(client.accounts()[0].requests, 2);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_body_until_close_ends_the_pipeline() {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            conn.send(format!("{OK}HTTP/1.1 200 OK\r\n\r\nuntil the end"))
                .await;
            conn.fin().await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    assert_eq!(bodies(&calls).await, ["ok", "until the end", "ok"]);
    assert_eq!(later.read(Vec::clone), ["/2"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_malformed_response_fails_its_request_and_no_other() {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            conn.send(format!(
                "{OK}HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok{OK}"
            ))
            .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    let error = within("error", calls[1].error()).await;
    assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
    assert_eq!(bodies([&calls[0], &calls[2]]).await, ["ok", "ok"]);
    assert_eq!(later.read(Vec::clone), ["/2"]);
    assert_eq!(client.accounts()[0].reason, CloseReason::ProtocolError);
    client.finish(peer).await;
}

#[tokio::test]
async fn an_unsolicited_response_ends_an_idle_connection() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.read_head().await;
            conn.send(OK.repeat(3)).await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls).await, ["ok", "ok"]);
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.accounts()[0].reason, CloseReason::UnsolicitedData);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    client.pool.destroy();
    within("close", client.events.closed()).await;
}

/// Two requests to a server that sends `behind` in the same write as its first response; only one is
/// in flight.
async fn with_behind(
    config: OriginConfig,
    behind: &'static str,
) -> (Vec<Call>, Vec<String>, ErrorKind) {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(move |mut conn| async move {
            conn.read_head().await;
            conn.send(format!("{OK}{behind}")).await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls[..1]).await, ["ok"]);
    within("end", calls[1].settled()).await;
    let info = &client.accounts()[0];
    assert_eq!(info.reason, CloseReason::UnsolicitedData);
    let why = info.error.as_ref().unwrap().kind();
    client.finish(peer).await;
    let later = later.read(Vec::clone);
    (calls, later, why)
}

#[tokio::test]
async fn invalid_bytes_after_a_response_fail_the_next_request_of_an_eager_pool_only() {
    for eager in [true, false] {
        let mut config = depth(1);
        config.pool.eager = eager;
        let (calls, later, why) = with_behind(config, "1111\r\n").await;
        assert!(matches!(why, ErrorKind::Parse(_)), "{why:?}");
        if eager {
            let error = within("error", calls[1].error()).await;
            assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
        } else {
            assert_eq!(bodies(&calls[1..]).await, ["ok"]);
        }
        assert_eq!(later.is_empty(), eager);
    }
}

#[tokio::test]
async fn an_unsolicited_response_answers_no_later_request() {
    for eager in [true, false] {
        let mut config = depth(1);
        config.pool.eager = eager;
        let (calls, later, why) =
            with_behind(config, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        assert_eq!(why, ErrorKind::Socket);
        assert_eq!(bodies(&calls[1..]).await, ["ok"]);
        assert_eq!(later, ["/1"]);
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_answers_the_first_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.send(numbered(0)).await;
        conn.read_head().await;
        conn.read_head().await;
        conn.send(numbered(1)).await;
        conn.closed().await;
    });
    let mut config = depth(3);
    config.exchange.early_response = true;
    let client = Client::new(peer.port(), config);
    client.pool.connect();
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    within("connect", client.events.wait_for(connected)).await;
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls).await, ["0", "1"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_server_that_speaks_first_does_not_keep_a_pulled_body_waiting() {
    let said = Signal::new();
    let saying = said.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let saying = saying.clone();
        async move {
            if conn.index() == 0 {
                conn.send(OK).await;
                saying.raise();
                conn.closed().await;
                return;
            }
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(2));
    client.pool.connect();
    within("the peer speaks", said.raised()).await;
    // So that it has been read, which the test does not rely on.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let call = client.send(post_chunked("/"));
    call.chunk("body");
    call.finish();
    assert_eq!(within("response", call.ended()).await.body, b"ok");
    client.finish(peer).await;
}

#[tokio::test]
async fn a_request_that_cannot_be_replayed_is_never_sent_twice() {
    // Cut before, inside and after the response to the POST.
    for cut in [0, 10, OK.len()] {
        let posts = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&posts);
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let counted = Arc::clone(&counted);
            async move {
                let first = conn.index() == 0;
                let mut read = 0;
                while let Some(head) = conn.next_head().await {
                    conn.read_body(&head).await;
                    read += 1;
                    *counted.lock() += usize::from(head.target == "/post");
                    if !first {
                        conn.send(OK).await;
                    } else if read == 3 {
                        conn.send(&OK[..cut]).await;
                        return conn.reset();
                    }
                }
            }
        });
        let client = Client::new(peer.port(), depth(3));
        let mut request = post("/post", "id", "body");
        request.blocking = false;
        let post = client.send(request);
        let calls = gets(&client, 2);
        let seen = within("post", post.settled()).await;
        // A reset may overtake what was sent before it.
        assert!(seen.error_kind() == Some(ErrorKind::Socket) || cut == OK.len());
        for call in calls {
            within("get", call.settled()).await;
        }
        assert_eq!(*posts.lock(), 1, "cut at {cut}");
        client.pool.destroy();
        within("close", client.events.closed()).await;
    }
}
