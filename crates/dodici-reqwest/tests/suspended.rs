//! A process that is stopped for longer than its timeouts: what arrived meanwhile is no timeout,
//! what never arrived is one.
//!
//! The client is a separate process, this test's binary with [`client`] as its only case.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use dodici_reqwest::{Client, blocking};
use dodici_testkit::process::ClientProcess;
use dodici_testkit::{Watched, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TIMEOUT: Duration = Duration::from_secs(8);
const EACH: usize = 20;
const PORT: &str = "DODICI_SUSPENDED_PORT";

/// The timeout, the response, and the outcome.
const KINDS: [(&str, &str, &str); 9] = [
    ("total", "plain", "done"),
    ("total", "body", "done"),
    ("total", "never", "timeout"),
    ("read", "plain", "done"),
    ("read", "body", "done"),
    ("read", "never", "timeout"),
    ("blocking", "plain", "done"),
    ("blocking", "body", "done"),
    ("blocking", "never", "timeout"),
];

/// How many requests the server holds, and whether it responds.
type Held = Watched<(usize, bool)>;

async fn serve(mut stream: TcpStream, held: Held) {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let early = if head.starts_with(b"GET /body") {
        OK.len() - 2
    } else {
        0
    };
    stream.write_all(&OK[..early]).await.unwrap();
    held.update(|(held, _)| *held += 1);
    held.wait(|(_, goes)| goes.then_some(())).await;
    if head.starts_with(b"GET /never") {
        std::future::pending::<()>().await;
    }
    stream.write_all(&OK[early..]).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_received_while_the_process_was_stopped_are_no_timeouts() {
    let held = Held::new((0, false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = held.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, serving.clone()));
        }
    });
    let mut child = ClientProcess::start(&[(PORT, &port.to_string())]);
    let all = held.wait(|(held, _)| (*held == EACH * KINDS.len()).then_some(()));
    within("all requests under way", all).await;
    child.signal("-STOP");
    held.update(|(_, goes)| *goes = true);
    // Real time must pass.
    tokio::time::sleep(TIMEOUT + Duration::from_secs(1)).await;
    child.signal("-CONT");
    let outcomes = tokio::task::spawn_blocking(move || child.outcomes());
    let outcomes = within("the outcomes", outcomes).await.unwrap();
    let expected =
        KINDS.map(|(limit, answer, outcome)| (format!("{limit} {answer} {outcome}"), EACH));
    assert_eq!(outcomes, BTreeMap::from(expected));
}

async fn ask(client: Client, url: String) -> Result<String, dodici_reqwest::Error> {
    client.get(url).send().await?.text().await
}

fn ask_blocking(client: &blocking::Client, url: String) -> Result<String, dodici_reqwest::Error> {
    client.get(url).send()?.text()
}

fn tell(limit: &str, answer: &str, outcome: Result<String, dodici_reqwest::Error>) {
    let outcome = match outcome {
        Ok(text) => text,
        Err(error) if error.is_timeout() => "timeout".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    println!("outcome {limit} {answer} {outcome}");
}

fn run_blocking() {
    let port = env::var(PORT).unwrap();
    let builder = blocking::Client::builder().timeout(TIMEOUT);
    let client = builder.build().unwrap();
    std::thread::scope(|threads| {
        for (limit, answer, _) in KINDS {
            for _ in 0..if limit == "blocking" { EACH } else { 0 } {
                let (client, url) = (&client, format!("http://127.0.0.1:{port}/{answer}"));
                threads.spawn(move || tell(limit, answer, ask_blocking(client, url)));
            }
        }
    });
}

async fn run() {
    let port = env::var(PORT).unwrap();
    let total = Client::builder().timeout(TIMEOUT).build().unwrap();
    let read = Client::builder().read_timeout(TIMEOUT).build().unwrap();
    let mut asked = Vec::new();
    for (limit, answer, _) in KINDS {
        for _ in 0..if limit == "blocking" { 0 } else { EACH } {
            let client = if limit == "total" { &total } else { &read };
            let url = format!("http://127.0.0.1:{port}/{answer}");
            asked.push((limit, answer, tokio::spawn(ask(client.clone(), url))));
        }
    }
    for (limit, answer, outcome) in asked {
        tell(limit, answer, outcome.await.unwrap());
    }
}

#[test]
#[ignore = "the client's half of the other case"]
fn client() {
    // Ends with the server.
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
    let blocking = std::thread::spawn(run_blocking);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(run());
    blocking.join().unwrap();
}
