//! reqwest-middleware and reqwest-retry from the registry, compiled against dodici's types by the
//! patch in Cargo.toml, and asked to retry and log real requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Extensions;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Records requests and responses.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

#[async_trait::async_trait]
impl Middleware for Log {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let asked = format!("{} {}", request.method(), request.url().path());
        let answer = next.run(request, extensions).await;
        let seen = match &answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(_) => "error".to_owned(),
        };
        self.0.lock().unwrap().push(format!("{asked}: {seen}"));
        answer
    }
}

fn client(log: &Log) -> ClientWithMiddleware {
    // No waiting between attempts: what is tested is whether there is another one.
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::ZERO, Duration::ZERO)
        .build_with_max_retries(3);
    // dodici's own type: without the patch, this does not compile.
    let client: dodici_reqwest::Client = Client::builder().no_proxy().build().unwrap();
    ClientBuilder::new(client)
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .with(log.clone())
        .build()
}

/// Answers the n-th connection with the n-th of these; an empty one closes it.
async fn server(answers: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let log = Log::default();
    let url = server(vec![BUSY, BUSY, OK]).await;
    let response = client(&log).get(url).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    assert_eq!(*log.0.lock().unwrap(), ["GET /path: 503", "GET /path: 503", "GET /path: 200"]);
}

#[tokio::test]
async fn a_connection_that_ends_before_its_response_is_a_transient_error() {
    let log = Log::default();
    let cut = "HTTP/1.1 200 OK\r\ncontent-";
    let url = server(vec![cut, OK]).await;
    let response = client(&log).get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*log.0.lock().unwrap(), ["GET /path: error", "GET /path: 200"]);
}

#[tokio::test]
async fn a_refused_connection_is_retried_until_the_policy_gives_up() {
    let log = Log::default();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let answer = client(&log).get(format!("http://127.0.0.1:{port}/path")).send().await;
    assert!(answer.is_err());
    assert_eq!(log.0.lock().unwrap().len(), 4);
}
