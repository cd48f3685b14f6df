//! HTTP/2 with third-party servers: hyper's, Node's, and nghttpd, nginx and haproxy if they are installed.
//! nginx and haproxy are in front of hyper's.

use std::time::{Duration, Instant};

use dodici::{OriginConfig, RootSource, Version};
use dodici_testkit::figures::figure;
use dodici_testkit::{Authority, Client, within};

use crate::exercise::{Routes, Trailers, application, exercise, large};
use crate::servers::{Server, far_away, files, free_port, hyper_server, start};

fn negotiated(authority: &Authority) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
    config.connect.tls.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn exercise_tls(name: &str, server: &Server, authority: &Authority, routes: &Routes) {
    let client = Client::tls(server.port, negotiated(authority));
    exercise(name, Version::Http2, client, routes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypers_server_interoperates() {
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    let client = Client::new(hyper_server().await, config);
    exercise(
        "hyper (h2c)",
        Version::Http2,
        client.clone(),
        &application(),
    )
    .await;
    assert_eq!(client.events.connects(), 1);
}

/// The effect of growing windows; the figure is for the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distant_server_interoperates() {
    let near = hyper_server().await;
    let bytes = large() >> 5;
    for (what, grows) in [("window of 256 KiB", false), ("windows that grow", true)] {
        let mut config = OriginConfig::default();
        config.http2.prior_knowledge = true;
        if !grows {
            config.http2.max_stream_window = 0;
        }
        let port = far_away(near, Duration::from_millis(25)).await;
        let client = Client::new(port, config);
        let begun = Instant::now();
        let path = format!("/bytes/{bytes}");
        let seen = within("download", client.get(&path).ended()).await;
        assert_eq!(seen.body.len() as u64, bytes);
        let (seconds, mib) = (begun.elapsed().as_secs_f64(), bytes >> 20);
        let rate = mib as f64 / seconds;
        let value = format!("{mib} MiB in {seconds:.1} s, {rate:.0} MiB/s");
        figure("hyper (h2c), 50 ms away", what, value);
        client.pool.close();
        within("close", client.events.closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_server_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("node", &authority, 0);
    let port = free_port().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/server.cjs");
    let arguments = [
        script.to_owned(),
        port.to_string(),
        directory.join("key.pem").display().to_string(),
        directory.join("cert.pem").display().to_string(),
    ];
    if let Some(server) = start("node", directory, port, &arguments).await {
        exercise_tls("Node", &server, &authority, &application()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nghttpd_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("nghttpd", &authority, large());
    let port = free_port().await;
    let path = |name: &str| directory.join(name).display().to_string();
    let arguments = [
        "--address=127.0.0.1".to_owned(),
        "--trailer=x-sum: 5".to_owned(),
        format!("--htdocs={}", path("www")),
        port.to_string(),
        path("key.pem"),
        path("cert.pem"),
    ];
    let routes = Routes {
        small: ("/small", 5),
        post: "/small",
        echoes: false,
        trailers: Trailers::Taken,
        trailer: ("x-sum", "5"),
        large: "/large".to_owned(),
        upload: "/small",
    };
    if let Some(server) = start("nghttpd", directory.clone(), port, &arguments).await {
        exercise_tls("nghttpd", &server, &authority, &routes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("nginx", &authority, 0);
    let (port, behind) = (free_port().await, hyper_server().await);
    let root = directory.display();
    // It closes a connection after 500 requests.
    let configuration = format!(
        "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/log;\n\
         events {{ }}\n\
         http {{ access_log off; keepalive_requests 500; client_max_body_size 0;\n\
         client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;\n\
         uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{port} ssl http2;\n\
         ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;\n\
         location / {{ grpc_pass grpc://behind; }} }} }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let arguments = [
        "-p".to_owned(),
        root.to_string(),
        "-c".to_owned(),
        format!("{root}/nginx.conf"),
        "-e".to_owned(),
        format!("{root}/log"),
    ];
    let routes = Routes {
        trailers: Trailers::Refused,
        ..application()
    };
    if let Some(server) = start("nginx", directory.clone(), port, &arguments).await {
        exercise_tls("nginx", &server, &authority, &routes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_interoperates() {
    let authority = Authority::new("dodici test");
    let directory = files("haproxy", &authority, 0);
    let (port, behind) = (free_port().await, hyper_server().await);
    let root = directory.display();
    let configuration = format!(
        "global\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout connect 5s\n  timeout server 60s\n\
         frontend all\n  bind 127.0.0.1:{port} ssl crt {root}/both.pem alpn h2\n\
           default_backend behind\n\
         backend behind\n  server one 127.0.0.1:{behind} proto h2\n"
    );
    std::fs::write(directory.join("haproxy.cfg"), configuration).unwrap();
    let arguments = [
        "-f".to_owned(),
        format!("{root}/haproxy.cfg"),
        "-db".to_owned(),
    ];
    if let Some(server) = start("haproxy", directory.clone(), port, &arguments).await {
        exercise_tls("haproxy", &server, &authority, &application()).await;
    }
}
