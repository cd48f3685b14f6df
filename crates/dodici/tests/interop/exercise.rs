//! What is asked of every server: GETs, POSTs, trailers and large bodies.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dodici::{BodyKind, Request, Version};
use dodici_testkit::figures::{figure, resident};
use dodici_testkit::{Call, Client, within};

use crate::servers::Made;

/// Requests of each kind in the short form.
const SHORT: usize = 500;

/// Bytes of a large body in the short form.
const LARGE: u64 = 64 << 20;

/// Requests in flight.
const IN_FLIGHT: usize = 50;

/// Memory that a large body may add to this process, including hyper's server: windows and buffers of
/// both sides are 8 MiB, the rest is the allocator's.
const GROWTH: u64 = 64 << 20;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn requests() -> usize {
    from_environment("DODICI_INTEROP_REQUESTS").map_or(SHORT, |count| count as usize)
}

pub(crate) fn large() -> u64 {
    from_environment("DODICI_LARGE_BODY").unwrap_or(LARGE)
}

/// A server's paths.
pub(crate) struct Routes {
    /// A small body, and its length.
    pub(crate) small: (&'static str, usize),
    pub(crate) post: &'static str,
    /// Whether it echoes the body.
    pub(crate) echoes: bool,
    pub(crate) trailers: Trailers,
    /// A trailer that small bodies have.
    pub(crate) trailer: (&'static str, &'static str),
    /// A body of [`large`] bytes.
    pub(crate) large: String,
    /// Accepts a body of any length. Returns its length in `x-count`, if it can.
    pub(crate) upload: &'static str,
}

/// What a server does with a request's trailers.
#[derive(PartialEq, Eq)]
pub(crate) enum Trailers {
    /// Echoes them after the response.
    Echoed,
    /// Accepts them.
    Taken,
    /// Treats them as a protocol violation.
    Refused,
}

/// Those of hyper's server and of Node's.
pub(crate) fn application() -> Routes {
    Routes {
        small: ("/bytes/17", 17),
        post: "/echo",
        echoes: true,
        trailers: Trailers::Echoed,
        trailer: ("x-sum", "17"),
        large: format!("/bytes/{}", large()),
        upload: "/count",
    }
}

fn chunked_post(path: &str) -> Request {
    Request::new(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .with_body(BodyKind::Chunked)
}

fn post(path: &str, body: &Bytes) -> Request {
    Request::new(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ))
    .with_body(BodyKind::Full(body.clone()))
}

/// Sends this many requests, [`IN_FLIGHT`] at a time, and checks each response.
async fn many(
    name: &str,
    what: &str,
    send: impl Fn() -> Call,
    check: impl Fn(&dodici_testkit::recording::Seen),
) {
    let count = requests();
    let begun = Instant::now();
    for at in (0..count).step_by(IN_FLIGHT) {
        let calls: Vec<_> = (at..count.min(at + IN_FLIGHT)).map(|_| send()).collect();
        for call in calls {
            let seen = within(what, call.ended()).await;
            assert_eq!(seen.status(), 200, "{what}");
            check(&seen);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let value = format!("{count} answered, 0 lost, {seconds:.1} s");
    figure(name, what, value);
}

/// GETs, POSTs, trailers and large bodies in both directions; all must arrive complete.
pub(crate) async fn exercise(name: &str, version: Version, client: Client, routes: &Routes) {
    let (path, length) = routes.small;
    let trailer = (routes.trailer.0.to_owned(), routes.trailer.1.to_owned());
    let get = || client.get(path);
    many(name, "GET with trailers", get, |seen| {
        assert_eq!(seen.body.len(), length);
        assert_eq!(seen.trailers(), std::slice::from_ref(&trailer));
        assert_eq!(seen.head.as_ref().unwrap().version, version);
    })
    .await;
    let body = Bytes::from(vec![b'p'; 1024]);
    let send = || client.send(post(routes.post, &body));
    many(name, "POST of 1 KiB", send, |seen| {
        assert!(!routes.echoes || seen.body == body);
    })
    .await;
    let send = || {
        let call = client.send(chunked_post(routes.post));
        call.chunk("streamed");
        call.handle.body_end([("x-up", "8")].into_iter().collect());
        call
    };
    if routes.trailers != Trailers::Refused {
        many(name, "POST with trailers", send, |seen| {
            assert!(!routes.echoes || seen.body == b"streamed");
            if routes.trailers == Trailers::Echoed {
                let sent = ("x-up".to_owned(), "8".to_owned());
                assert_eq!(seen.trailers(), [sent]);
            }
        })
        .await;
    }
    download(name, &client, &routes.large).await;
    upload(name, &client, routes.upload).await;
    client.pool.close();
    within("close", client.events.closed()).await;
}

async fn download(name: &str, client: &Client, path: &str) {
    let watch = Watch::begin();
    let request = http::Request::get(path).body(String::new()).unwrap();
    let response = client.pool.send(request).await.unwrap();
    let mut body = response.into_body();
    let (mut count, mut peak) = (0, watch.before);
    while let Some(chunk) = body.chunk().await.unwrap() {
        count += chunk.len() as u64;
        peak = peak.max(resident());
    }
    assert_eq!(count, large());
    watch.end(name, "download", peak);
}

async fn upload(name: &str, client: &Client, path: &str) {
    let watch = Watch::begin();
    let request = http::Request::post(path).body(Made::new(large())).unwrap();
    let sent = client.pool.send(request);
    tokio::pin!(sent);
    let mut peak = watch.before;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let response = loop {
        tokio::select! {
            response = &mut sent => break response.unwrap(),
            _ = ticks.tick() => peak = peak.max(resident()),
        }
    };
    assert_eq!(response.status(), 200);
    if let Some(count) = response.headers().get("x-count") {
        assert_eq!(count.to_str().unwrap(), large().to_string());
    }
    response.into_body().collect().await.unwrap();
    watch.end(name, "upload", peak);
}

/// Time and memory of one transfer.
struct Watch {
    before: Option<u64>,
    begun: Instant,
}

impl Watch {
    fn begin() -> Self {
        Self {
            before: resident(),
            begun: Instant::now(),
        }
    }

    fn end(self, name: &str, what: &str, peak: Option<u64>) {
        let grown = peak.unwrap_or(0).saturating_sub(self.before.unwrap_or(0));
        let seconds = self.begun.elapsed().as_secs_f64();
        let size = large() >> 20;
        let rate = size as f64 / seconds;
        let mib = grown as f64 / f64::from(1 << 20);
        let value = format!("{seconds:.1} s, {rate:.0} MiB/s, +{mib:.1} MiB resident");
        figure(name, &format!("{what} of {size} MiB"), value);
        // Other tests may run in this process concurrently, each with as much.
        let tests = if from_environment("DODICI_LARGE_BODY").is_some() {
            1
        } else {
            5
        };
        assert!(grown < tests * GROWTH, "{name}: {what}: {mib:.1} MiB");
    }
}
