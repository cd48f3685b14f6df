//! HTTP/3: for a client, a request, and where an origin offers it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use dodici_reqwest::ext::ClientBuilderExt;
use dodici_reqwest::{Certificate, Client, ClientBuilder, Version};
use dodici_testkit::{Authority, H3Origin, Leaf, ScriptedPeer, ServerTls, within};

fn trusting(authority: &Authority) -> ClientBuilder {
    let certificate = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    Client::builder().tls_certs_only([certificate]).no_proxy()
}

fn setup() -> (Authority, Leaf, H3Origin) {
    let authority = Authority::new("HTTP/3 tests");
    let leaf = authority.localhost();
    let origin = H3Origin::start(&ServerTls::http3(&leaf));
    (authority, leaf, origin)
}

#[tokio::test]
async fn a_client_and_a_request_speak_it_with_prior_knowledge() {
    let (authority, _, origin) = setup();
    let url = format!("https://localhost:{}/echo", origin.port());
    let always = trusting(&authority).http3_prior_knowledge();
    let client = always.build().unwrap();
    let response = within("answer", client.post(&url).body("one").send()).await;
    let response = response.unwrap();
    assert_eq!(response.version(), Version::HTTP_3);
    assert_eq!(response.text().await.unwrap(), "one");
    let client = trusting(&authority).build().unwrap();
    let request = client.post(&url).version(Version::HTTP_3).body("two");
    let response = within("answer", request.send()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_3);
    assert_eq!(response.text().await.unwrap(), "two");
    origin.finish().await;
}

#[tokio::test]
async fn a_request_for_it_is_refused_where_it_cannot_be() {
    let (authority, _, origin) = setup();
    let only_http1 = trusting(&authority).http1_only().build().unwrap();
    let client = trusting(&authority).build().unwrap();
    for (client, scheme) in [(&only_http1, "https"), (&client, "http")] {
        let url = format!("{scheme}://localhost:{}/bytes/3", origin.port());
        let sent = client.get(&url).version(Version::HTTP_3).send();
        let error = within("refusal", sent).await.unwrap_err();
        assert!(!error.is_connect(), "{error:?}");
    }
    assert_eq!(origin.connections(), 0);
    origin.finish().await;
}

#[tokio::test]
async fn a_client_that_discovers_it_moves_there() {
    let (authority, leaf, h3) = setup();
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nalt-svc: h3=\":{}\"\r\n\r\ntcp",
        h3.port()
    );
    let tcp = ScriptedPeer::tcp().await.tls(ServerTls::new(&leaf));
    let tcp = tcp.always(reply);
    let client = trusting(&authority).http3_discovery(true).build().unwrap();
    let url = format!("https://localhost:{}/bytes/3", tcp.port());
    let moved = async {
        loop {
            let response = client.get(&url).send().await.unwrap();
            let version = response.version();
            assert_eq!(response.bytes().await.unwrap().len(), 3);
            if version == Version::HTTP_3 {
                return;
            }
            assert_eq!(version, Version::HTTP_11);
        }
    };
    within("HTTP/3", moved).await;
    drop(client);
    h3.finish().await;
    tcp.finish().await;
}
