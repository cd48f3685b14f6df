//! A client's spans and events for the `tracing` crate.

use dodici_reqwest::{Client, StatusCode, retry};
use dodici_testkit::traces::Traces;
use dodici_testkit::{ScriptedPeer, within};

#[tokio::test]
async fn spans_of_hops_retries_and_redirects_contain_the_engines() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 302 Found\r\nLocation: /secret\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]);
    let policy = retry::for_host("127.0.0.1")
        .no_budget()
        .classify_fn(|answer| match answer.status() {
            Some(StatusCode::SERVICE_UNAVAILABLE) => answer.retryable(),
            _ => answer.success(),
        });
    let client = Client::builder().no_proxy().retry(policy).build().unwrap();
    let (traces, _guard) = Traces::collect();
    let url = format!("http://user:secret@127.0.0.1:{}/secret?secret", peer.port());
    let response = within("response", client.get(url).send()).await.unwrap();
    assert_eq!(within("body", response.text()).await.unwrap(), "ok");

    let spans = traces.spans();
    let hops: Vec<_> = (0..spans.len())
        .filter(|n| spans[*n].name == "hop")
        .collect();
    for (hop, status) in hops.iter().zip(["302", "200"]) {
        let fields = &spans[*hop].fields;
        assert_eq!(fields["method"], "GET");
        assert_eq!(fields["host"], "127.0.0.1");
        assert_eq!(fields["port"], peer.port().to_string());
        assert_eq!(fields["status"], status);
    }
    let requests = spans.iter().filter(|span| span.name == "request");
    let parents: Vec<_> = requests.map(|span| span.parent.unwrap()).collect();
    assert_eq!(parents, [hops[0], hops[1], hops[1]]);
    let redirected = &traces.told("redirected")[0];
    assert_eq!(redirected.fields["status"], "302");
    let retried = &traces.told("retried")[0];
    assert_eq!(retried.span, Some(hops[1]));
    assert_eq!(
        (&*retried.fields["retries"], &*retried.fields["status"]),
        ("1", "503")
    );
    let told = format!("{spans:?}{:?}", traces.events());
    assert!(!told.contains("secret"), "{told}");
    drop(client);
    peer.finish().await;
}
