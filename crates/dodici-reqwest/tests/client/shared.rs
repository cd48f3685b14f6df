//! What requests of a client share: the limit on all its connections, and the pool of their origin.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use dodici_reqwest::ext::{ClientBuilderExt, ClientExt};
use dodici_reqwest::{Client, Method, Request};
use dodici_testkit::{ScriptedPeer, Watched, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn get(client: &Client, url: &str) -> String {
    let response = within("a response", client.get(url).send()).await.unwrap();
    response.text().await.unwrap()
}

fn url(peer: &ScriptedPeer) -> String {
    format!("http://127.0.0.1:{}/", peer.port())
}

#[tokio::test]
async fn a_request_that_waits_for_room_gets_it_from_the_next_connection_that_becomes_idle() {
    let answers = Watched::<bool>::new(false);
    let held = answers.clone();
    let busy = ScriptedPeer::tcp().await.run(move |mut conn| {
        let held = held.clone();
        async move {
            conn.read_head().await;
            held.wait(|answers| answers.then_some(())).await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let other = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::builder().no_proxy().max_connections(1);
    let client = client.build().unwrap();
    let (busy_url, other_url) = (url(&busy), url(&other));
    let first = get(&client, &busy_url);
    let waiting = async {
        busy.wait(|log| {
            let connection = log.connections.first()?;
            connection.received.ends_with(b"\r\n\r\n").then_some(())
        })
        .await;
        let mut waiting = pin!(get(&client, &other_url));
        // It waits: there is no room, and nothing that could be closed.
        let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
        assert_eq!(other.accepted(), 0);
        answers.update(|answers| *answers = true);
        waiting.await
    };
    let (first, waiting) = tokio::join!(first, waiting);
    assert_eq!((first.as_str(), waiting.as_str()), ("ok", "ok"));
    within("the close", busy.peer_close(0)).await;
}

#[tokio::test]
async fn a_url_with_a_user_name_shares_the_connections_of_its_origin() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while conn.next_head().await.is_some() {
            conn.send(OK).await;
        }
    });
    let client = Client::builder().no_proxy().build().unwrap();
    for user in ["", "ann@", "bob:secret@"] {
        let url = format!("http://{user}127.0.0.1:{}/", peer.port());
        let request = Request::new(Method::GET, url.parse().unwrap());
        let response = within("a response", client.execute(request)).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    assert_eq!(peer.accepted(), 1);
    assert_eq!(client.pool_stats().len(), 1);
}
