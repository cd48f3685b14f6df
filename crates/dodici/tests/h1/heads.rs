//! Heads, informational responses and trailers are reported exactly, and no body where there is none.

use dodici::{ErrorKind, OriginConfig, Request};
use dodici_testkit::client::{get, head};
use dodici_testkit::message::pattern;
use dodici_testkit::{Client, ScriptedPeer, TestOrigin, within};

use crate::support::assert_usable;

#[tokio::test]
async fn letter_case_order_and_duplicates_of_fields_are_kept_in_both_directions() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 299 Fine \u{e9}\r\nX-b: 1\r\nSET-cookie: a\r\nx-B:  2 \r\nSet-Cookie: b\r\n\
         content-LENGTH: 0\r\nX-Latin: \u{e9}\r\n\r\n",
    ]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let sent = "GET /p?q HTTP/1.1\r\nHOST: test\r\nx-B: 1\r\nX-b: 2\r\nAccept:  */*\r\n\r\n";
    let seen = within("response", client.send(Request::new(sent)).ended()).await;
    let head = seen.head.as_ref().unwrap();
    assert_eq!(head.status, 299);
    let names: Vec<&[u8]> = head.headers.iter().map(|(name, _)| name).collect();
    let expected: [&[u8]; 6] = [
        b"X-b",
        b"SET-cookie",
        b"x-B",
        b"Set-Cookie",
        b"content-LENGTH",
        b"X-Latin",
    ];
    assert_eq!(names, expected);
    let values: Vec<&[u8]> = head.headers.get_all("x-b").collect();
    assert_eq!(values, [b"1", b"2"]);
    let log = client.finish(peer).await;
    assert_eq!(log.connections[0].received, sent.as_bytes());
}

#[tokio::test]
async fn informational_responses_precede_the_head() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let seen = within("response", client.get("/early").ended()).await;
    assert_eq!(seen.informational.len(), 1);
    assert_eq!(seen.informational[0].status, 103);
    assert_eq!((seen.status(), &seen.body[..]), (200, &b"early"[..]));
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s26_endless_informational_responses_are_an_error() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100_000))
            .await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.get("/");
    let error = within("error", call.error()).await;
    assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
    assert!(call.seen().informational.len() <= 64);
    client.finish(peer).await;
}

#[tokio::test]
async fn response_trailers_are_exact() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let seen = within("response", client.get("/chunked/100/30").ended()).await;
    let sum = format!("{:016x}", dodici_testkit::message::checksum(&pattern(100)));
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        seen.trailers(),
        [
            text("X-Checksum", &sum),
            text("X-Part", "1"),
            text("x-part", "2")
        ]
    );
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn responses_without_body_leave_the_connection_reusable() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..3 {
        let requests = [
            head("/bytes/1000"),
            head("/chunked/10/5"),
            get("/status/204"),
            get("/status/304"),
            get("/bytes/0"),
        ];
        for request in requests {
            let seen = within("response", client.send(request).ended()).await;
            assert_eq!(seen.body, b"");
        }
    }
    assert_eq!(origin.peer().accepted(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn s27_an_unsolicited_101_is_an_error() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            )
            .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), OriginConfig::default());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_usable(&client).await;
    client.finish(peer).await;
}
