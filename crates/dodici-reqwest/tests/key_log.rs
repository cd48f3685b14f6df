//! Session keys for a network analyser.
//!
//! The client is a separate process, this test's binary with [`client`] as its only case, because
//! the file is named by an environment variable.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::env;

use dodici_reqwest::{Certificate, blocking};
use dodici_testkit::process::ClientProcess;
use dodici_testkit::{Authority, ScriptedPeer, ServerTls};

const URL: &str = "DODICI_KEY_LOG_URL";
const ROOT: &str = "DODICI_KEY_LOG_ROOT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_keys_are_written_to_the_file_of_the_environment_if_asked_for() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let ours = Authority::new("ours");
    let tls = ServerTls::new(&ours.localhost());
    let peer = ScriptedPeer::tcp().await.tls(tls).always(OK);
    let file = env::temp_dir().join(format!("dodici-key-log-{}", std::process::id()));
    let url = format!("https://localhost:{}/", peer.port());
    let variables = [
        ("SSLKEYLOGFILE", file.to_str().unwrap()),
        (URL, &url),
        (ROOT, ours.pem()),
    ];
    let mut child = ClientProcess::start(&variables);
    let outcomes = tokio::task::spawn_blocking(move || child.outcomes());
    let outcomes = outcomes.await.unwrap();
    let expected = ["false 0 ok", "true 1 ok"].map(|outcome| (outcome.to_owned(), 1));
    assert_eq!(outcomes, BTreeMap::from(expected));
    std::fs::remove_file(file).unwrap();
}

#[test]
#[ignore = "the client's half of the other case"]
fn client() {
    let (url, root) = (env::var(URL).unwrap(), env::var(ROOT).unwrap());
    let file = env::var("SSLKEYLOGFILE").unwrap();
    for is_logged in [false, true] {
        let root = Certificate::from_pem(root.as_bytes()).unwrap();
        let client = blocking::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .tls_sslkeylogfile(is_logged)
            .build()
            .unwrap();
        let text = client.get(&url).send().unwrap().text().unwrap();
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        let secrets = written
            .lines()
            .filter(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 "));
        println!("outcome {is_logged} {} {text}", secrets.count());
    }
}
