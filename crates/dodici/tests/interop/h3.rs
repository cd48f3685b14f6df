//! HTTP/3 with third-party servers: one of quinn and h3, Caddy if it is installed, which is in front of
//! hyper's, and aioquic's if `DODICI_AIOQUIC` says where it is.

use std::process::Command;

use dodici::{CloseReason, Http3Mode, Origin, OriginConfig, RootSource, Scheme, Version};
use dodici_testkit::{Authority, Client, H3Origin, ServerTls, Terminal, within};

use crate::exercise::{Routes, Trailers, application, exercise, large};
use crate::servers::{Server, files, free_port, hyper_server, start};

fn known(authority: &Authority) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    config.http3.mode = Http3Mode::PriorKnowledge;
    config
}

fn client(port: u16, authority: &Authority) -> Client {
    let origin = Origin::new(Scheme::Https, "127.0.0.1", port);
    Client::to(origin, known(authority))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h3s_server_interoperates_over_http3() {
    let authority = Authority::new("dodici test");
    let origin = H3Origin::start(&ServerTls::http3(&authority.localhost()));
    let client = client(origin.port(), &authority);
    let routes = Routes {
        small: ("/counted/17", 17),
        post: "/echo",
        echoes: true,
        trailers: Trailers::Taken,
        trailer: ("x-count", "17"),
        large: format!("/bytes/{}", large()),
        upload: "/digest",
    };
    exercise(
        "quinn and h3 (HTTP/3)",
        Version::Http3,
        client.clone(),
        &routes,
    )
    .await;
    assert_eq!(client.events.connects(), 1);
    assert_eq!(origin.errors(), Vec::<String>::new());
    origin.finish().await;
}

/// Caddy, in front of hyper's server.
async fn caddy(name: &str, authority: &Authority) -> Option<Server> {
    let directory = files(name, authority, 0);
    let (port, behind) = (free_port().await, hyper_server().await);
    let root = directory.display();
    let configuration = format!(
        "{{\n admin off\n persist_config off\n auto_https off\n storage file_system {root}/data\n\
         servers {{\n protocols h1 h2 h3\n }}\n }}\n\
         :{port} {{\n\
         bind 127.0.0.1\n tls {root}/cert.pem {root}/key.pem\n\
         reverse_proxy h2c://127.0.0.1:{behind} {{\n flush_interval -1\n }}\n }}\n"
    );
    std::fs::write(directory.join("Caddyfile"), configuration).unwrap();
    let arguments = [
        "run".to_owned(),
        "--adapter=caddyfile".to_owned(),
        format!("--config={root}/Caddyfile"),
    ];
    start("caddy", directory, port, &arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_interoperates_over_http3() {
    let authority = Authority::new("dodici test");
    let routes = Routes {
        trailers: Trailers::Taken,
        ..application()
    };
    if let Some(server) = caddy("caddy", &authority).await {
        let client = answering(server.port, &authority).await;
        exercise("Caddy (HTTP/3)", Version::Http3, client, &routes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddys_offer_is_accepted_from_http1_and_http2() {
    let authority = Authority::new("dodici test");
    let Some(server) = caddy("caddy-offer", &authority).await else {
        return;
    };
    for (alpn, first) in [("http/1.1", Version::Http11), ("h2", Version::Http2)] {
        let mut config = known(&authority);
        config.http3.mode = Http3Mode::Discovered;
        config.connect.tls.alpn = vec![alpn.into()];
        let origin = Origin::new(Scheme::Https, "127.0.0.1", server.port);
        let client = Client::to(origin, config);
        let answered = async || {
            let seen = within("response", client.get("/bytes/17").ended()).await;
            assert_eq!(seen.body.len(), 17);
            seen.head.unwrap().version
        };
        assert_eq!(answered().await, first);
        // The trial runs beside requests.
        while answered().await != Version::Http3 {}
        for _ in 0..40 {
            assert_eq!(answered().await, Version::Http3);
        }
        within("disconnect", client.disconnected(1)).await;
        let reasons = client.reasons();
        assert_eq!(reasons, [CloseReason::Superseded], "{alpn}");
        client.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aioquic_interoperates_over_http3() {
    let Some(place) = std::env::var_os("DODICI_AIOQUIC") else {
        eprintln!("left out: DODICI_AIOQUIC does not say where aioquic is");
        return;
    };
    let authority = Authority::new("dodici test");
    let directory = files("aioquic", &authority, 0);
    let port = free_port().await;
    let child = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop/server.py"
        ))
        .arg(port.to_string())
        .args(["key.pem", "cert.pem"].map(|name| directory.join(name)))
        .env("PYTHONPATH", place)
        .spawn();
    let server = Server::new(child.unwrap(), directory, port);
    let client = answering(server.port, &authority).await;
    exercise("aioquic (HTTP/3)", Version::Http3, client, &application()).await;
}

/// A client of a server that has just been started, once that listens on UDP.
async fn answering(port: u16, authority: &Authority) -> Client {
    let client = client(port, authority);
    let up = async {
        loop {
            let seen = client.get("/bytes/1").settled().await;
            if let Some((_, Terminal::End(_))) = seen.terminal {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    within("it listens on UDP", up).await;
    client
}
