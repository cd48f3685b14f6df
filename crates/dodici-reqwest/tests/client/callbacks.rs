//! Caller's code that panics: its request ends, the client continues to work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dodici_reqwest::dns::{Name, Resolve, Resolving};
use dodici_reqwest::ext::{ClientBuilderExt, RequestBuilderExt};
use dodici_reqwest::{
    Body, Client, ClientBuilder, Proxy, RequestBuilder, Url, cookie, redirect, retry,
};
use dodici_testkit::{Conn, ScriptedPeer, within};

/// Panics the first time.
#[derive(Clone, Default)]
struct Bomb(Arc<AtomicBool>);

impl Bomb {
    fn touch(&self) {
        assert!(self.0.swap(true, Ordering::SeqCst), "injected");
    }
}

struct Resolver(Bomb, std::net::SocketAddr);

impl Resolve for Resolver {
    fn resolve(&self, _name: Name) -> Resolving {
        self.0.touch();
        let address = self.1;
        let addresses: dodici_reqwest::dns::Addrs = Box::new(std::iter::once(address));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

struct Cookies(Bomb);

impl cookie::CookieStore for Cookies {
    fn set_cookies(&self, _headers: &mut dyn Iterator<Item = &http::HeaderValue>, _url: &Url) {
        self.0.touch();
    }

    fn cookies(&self, _url: &Url) -> Option<http::HeaderValue> {
        None
    }
}

/// Every exchange includes an informational response, a redirect and a cookie.
async fn server() -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(|mut conn: Conn| async move {
        while let Some(head) = conn.next_head().await {
            if head.get("transfer-encoding").is_some() {
                // A truncated body ends the connection.
                let Some(body) = conn.read_up_to(12).await else {
                    return;
                };
                assert_eq!(body, b"2\r\nok\r\n0\r\n\r\n");
            }
            conn.send(if head.path() == "/" {
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 307 There\r\nlocation: /there\r\n\
                 content-length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\ncontent-length: 2\r\n\r\nok"
            })
            .await;
        }
    })
}

/// Where a request calls the caller's code.
struct Place {
    name: &'static str,
    configure: fn(ClientBuilder, Bomb, u16) -> ClientBuilder,
    ask: fn(RequestBuilder, Bomb) -> RequestBuilder,
}

const PLACES: &[Place] = &[
    Place {
        name: "an informational response",
        configure: |builder, _, _| builder,
        ask: |request, bomb| request.on_informational(move |_| bomb.touch()),
    },
    Place {
        name: "a connection's event",
        configure: |builder, bomb, _| builder.on_connection_event(move |_, _| bomb.touch()),
        ask: |request, _| request,
    },
    Place {
        name: "a resolver",
        configure: |builder, bomb, port| {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            builder.dns_resolver(Arc::new(Resolver(bomb, address)))
        },
        ask: |request, _| request,
    },
    Place {
        name: "a redirect policy",
        configure: |builder, bomb, _| {
            builder.redirect(redirect::Policy::custom(move |attempt| {
                bomb.touch();
                attempt.follow()
            }))
        },
        ask: |request, _| request,
    },
    Place {
        name: "a retry policy",
        configure: |builder, bomb, _| {
            builder.retry(retry::for_host("localhost").classify_fn(move |answer| {
                bomb.touch();
                answer.success()
            }))
        },
        ask: |request, _| request,
    },
    Place {
        name: "a proxy's choice",
        configure: |builder, bomb, _| {
            builder.proxy(Proxy::custom(move |_| {
                bomb.touch();
                None::<Url>
            }))
        },
        ask: |request, _| request,
    },
    Place {
        name: "a cookie store",
        configure: |builder, bomb, _| builder.cookie_provider(Arc::new(Cookies(bomb))),
        ask: |request, _| request,
    },
    Place {
        name: "a connector layer",
        configure: |builder, bomb, _| {
            builder.connector_layer(tower::util::MapRequestLayer::new(move |making| {
                bomb.touch();
                making
            }))
        },
        ask: |request, _| request,
    },
    Place {
        name: "a body's source",
        configure: |builder, _, _| builder.redirect(redirect::Policy::none()),
        ask: |request, bomb| {
            let chunks = futures_util::stream::once(async move {
                bomb.touch();
                Ok::<_, std::io::Error>("ok")
            });
            request.body(Body::wrap_stream(chunks))
        },
    },
];

#[tokio::test]
async fn s43_a_panic_in_a_callback_ends_its_request_and_nothing_else() {
    for place in PLACES {
        let peer = server().await;
        let bomb = Bomb::default();
        let builder = Client::builder().no_proxy();
        let builder = (place.configure)(builder, bomb.clone(), peer.port());
        let client = builder.build().unwrap();
        let url = format!("http://localhost:{}/", peer.port());
        let ask = || {
            let request = (place.ask)(client.post(&url), bomb.clone());
            tokio::spawn(async move { request.send().await?.text().await })
        };
        // Its own task panics, or gets an error.
        let first = within("an end of the first", ask()).await;
        assert!(bomb.0.load(Ordering::SeqCst), "{}: not called", place.name);
        if place.name != "a connection's event" {
            assert!(!matches!(first, Ok(Ok(_))), "{}: {first:?}", place.name);
        }
        let second = within("an end of the second", ask()).await.unwrap();
        let second = second.unwrap_or_else(|error| panic!("{}: {error:?}", place.name));
        assert!(["ok", ""].contains(&&*second), "{}", place.name);
    }
}
