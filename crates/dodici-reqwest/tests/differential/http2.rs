//! HTTP/2 without TLS.

use super::*;

pub(super) type Heard = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

/// An HTTP/2 server without TLS that responds by path and records requests.
pub(super) async fn http2_server() -> (Vec<String>, Heard) {
    async fn answer(
        request: http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<bytes::Bytes>,
        heard: Heard,
    ) -> Result<(), h2::Error> {
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let mut fields: Vec<_> = parts.headers.iter().collect();
        fields.sort_by_key(|(name, _)| name.as_str().to_owned());
        let mut read = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            read.extend_from_slice(&chunk);
        }
        let trailers = body.trailers().await?;
        let line = format!("{} {path} {fields:?} {read:?} {trailers:?}", parts.method);
        heard.lock().unwrap().push(line);
        let head = http::Response::builder().header("x-path", &path);
        match path.as_str() {
            "/refused" => respond.send_reset(h2::Reason::REFUSED_STREAM),
            "/reset" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            "/cut" => {
                let head = head.header("content-length", "9").body(()).unwrap();
                let mut body = respond.send_response(head, false)?;
                body.send_data("abc".into(), false)?;
                body.send_reset(h2::Reason::CANCEL);
            }
            "/trailers" => {
                let mut body = respond.send_response(head.body(()).unwrap(), false)?;
                body.send_data("abc".into(), false)?;
                let mut trailers = http::HeaderMap::new();
                trailers.insert("x-sum", http::HeaderValue::from_static("1"));
                body.send_trailers(trailers)?;
            }
            "/redirect" => {
                let head = head.status(303).header("location", "/plain");
                respond.send_response(head.body(()).unwrap(), true)?;
            }
            "/empty" => {
                respond.send_response(head.status(204).body(()).unwrap(), true)?;
            }
            _ => {
                let mut body = respond.send_response(head.body(()).unwrap(), false)?;
                body.send_data(read.into(), false)?;
                body.send_data("body".into(), true)?;
            }
        }
        Ok(())
    }

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let log = Heard::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = Heard::clone(&log);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond, Heard::clone(&log)));
                }
            });
        }
    });
    let paths = [
        "/plain?a=b",
        "/empty",
        "/trailers",
        "/redirect",
        "/reset",
        "/cut",
        "/plain",
    ];
    let urls = paths.map(|path| format!("http://127.0.0.1:{port}{path}"));
    (urls.into(), heard)
}

#[tokio::test]
async fn http2_looks_the_same() {
    for posts in [false, true] {
        let (left, heard_left) = http2_server().await;
        let (right, heard_right) = http2_server().await;
        macro_rules! request {
            () => {
                |client, url| {
                    if posts {
                        let headers = client.post(url).header("x-b", "2").header("X-A", "1");
                        headers.bearer_auth("token").body("text")
                    } else {
                        client.get(url).header("te", "trailers")
                    }
                }
            };
        }
        let theirs = run_theirs(&left, |b| b.http2_prior_knowledge(), request!()).await;
        let ours = run_ours(&right, |b| b.http2_prior_knowledge(), request!()).await;
        let plain = |outcomes: Vec<Outcome>, port: &str| {
            let text = format!("{outcomes:#?}");
            let port = port.split('/').nth(2).unwrap_or_default();
            text.replace(port, "AUTHORITY")
        };
        assert_eq!(
            plain(theirs, &left[0]),
            plain(ours, &right[0]),
            "left is reqwest"
        );
        let heard = |heard: &Heard, url: &str| {
            let authority = url.split('/').nth(2).unwrap_or_default();
            let heard = heard.lock().unwrap();
            let lines = heard
                .iter()
                .map(|line| line.replace(authority, "AUTHORITY"));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            heard(&heard_left, &left[0]),
            heard(&heard_right, &right[0]),
            "left is reqwest"
        );
    }
}
