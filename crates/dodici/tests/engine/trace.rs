//! The engine's spans and events for the `tracing` crate.

use dodici::{OriginConfig, Request};
use dodici_testkit::client::get;
use dodici_testkit::config::connections;
use dodici_testkit::traces::Traces;
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, TestOrigin, Watched, within};

#[tokio::test]
async fn a_connection_and_a_request_are_traced_from_beginning_to_end() {
    let (traces, _guard) = Traces::collect();
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let name = format!("http://127.0.0.1:{}", origin.port());
    for _ in 0..2 {
        within("response", client.get("/bytes/10").ended()).await;
    }
    client.shut_down().await;
    origin.finish().await;

    let spans = traces.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["request", "connect", "request"]);
    assert!(spans.iter().all(|span| span.parent.is_none()), "{spans:?}");
    assert!(spans.iter().all(|span| span.fields["origin"] == name));
    let conn = &spans[1].fields["conn"];
    for (span, reused) in [(&spans[0], "false"), (&spans[2], "true")] {
        assert_eq!(&span.fields["conn"], conn);
        assert_eq!(span.fields["reused"], reused);
        assert_eq!(span.fields["status"], "200");
    }

    let messages: Vec<_> = traces.events().into_iter().map(|e| e.message).collect();
    let expected = [
        "connected",
        "answered",
        "settled",
        "answered",
        "settled",
        "disconnected",
        "closed",
    ];
    assert_eq!(messages, expected);
    let connected = &traces.told("connected")[0];
    assert_eq!(connected.span, Some(1));
    assert_eq!(connected.target, "dodici::connection");
    assert_eq!(connected.fields["protocol"], "Http1");
    assert!(connected.fields["tcp"].starts_with("Some("));
    for (settled, span) in traces.told("settled").iter().zip([0, 2]) {
        assert_eq!(settled.span, Some(span));
        assert_eq!(settled.target, "dodici::request");
        assert_eq!(settled.fields["outcome"], "complete");
        for time in ["written", "head"] {
            assert!(settled.fields[time].starts_with("Some("), "{settled:?}");
        }
        assert!(settled.fields.contains_key("total"));
    }
    let gone = &traces.told("disconnected")[0];
    assert_eq!(gone.fields["requests"], "2");
    assert!(gone.fields.contains_key("reason"));
}

#[tokio::test]
async fn a_failed_attempt_has_its_phase_and_reason() {
    // The port was free a moment ago, and nothing listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (traces, _guard) = Traces::collect();
    let client = Client::new(port, OriginConfig::default());
    let error = within("refused", client.get("/").error()).await;
    client.shut_down().await;

    let spans = traces.spans();
    let attempt = spans.iter().position(|span| span.name == "connect");
    let failed = &traces.told("connecting failed")[0];
    assert_eq!(failed.span, attempt);
    let settled = &traces.told("settled")[0];
    assert_eq!(settled.fields["outcome"], "failed");
    for fields in [
        &spans[attempt.unwrap()].fields,
        &failed.fields,
        &settled.fields,
    ] {
        assert_eq!(fields["phase"], error.phase().to_string());
        assert_eq!(fields["error"], error.to_string());
    }
}

#[tokio::test]
async fn a_replayed_request_reports_why_it_was_lost() {
    let asked = Watched::<usize>::default();
    let count = asked.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let asked = count.clone();
        async move {
            // The third request crosses the close of its connection.
            while conn.next_head().await.is_some() {
                asked.update(|asked| *asked += 1);
                if asked.read(|asked| *asked) == 3 {
                    return;
                }
                conn.send(OK).await;
            }
        }
    });
    let (traces, _guard) = Traces::collect();
    let client = Client::new(peer.port(), connections(1));
    for _ in 0..3 {
        within("response", client.get("/").ended()).await;
    }
    client.finish(peer).await;

    let lost = traces.told("lost");
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].fields["state"], "sent");
    assert_eq!(lost[0].fields["again"], "true");
    assert!(lost[0].fields.contains_key("error"));
    let settled = traces.told("settled");
    assert_eq!(settled.len(), 3);
    assert_eq!(settled[2].span, lost[0].span);
    assert_eq!(settled[2].fields["outcome"], "complete");
}

#[tokio::test]
async fn s21_no_path_header_or_body_is_traced() {
    let peer = ScriptedPeer::tcp()
        .await
        .always("HTTP/1.1 200 OK\r\nSet-Cookie: secret\r\nContent-Length: 6\r\n\r\nsecret");
    let (traces, _guard) = Traces::collect();
    let client = Client::new(peer.port(), OriginConfig::default());
    let request = with(
        Request::new("GET /secret?secret HTTP/1.1\r\nhost: test\r\nauthorization: secret\r\n\r\n"),
        |request| request.idempotent = true,
    );
    within("response", client.send(request).ended()).await;
    within("late", client.get("/secret").ended()).await;
    client.pool.close();
    let late = within("late", client.send(get("/secret")).error()).await;
    assert!(!late.to_string().contains("secret"));
    client.finish(peer).await;
    assert_eq!(traces.told("settled").len(), 3);
    let told = format!("{:?}{:?}", traces.spans(), traces.events());
    assert!(!told.contains("secret"), "{told}");
}
