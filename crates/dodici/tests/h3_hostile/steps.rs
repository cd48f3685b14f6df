//! Every step of a request × everything that a server can do wrong there.

use std::sync::Arc;

use dodici::Request;
use dodici_testkit::client::{get, post, post_chunked};
use dodici_testkit::h3::conn::H3Peer;
use dodici_testkit::h3::stream::H3Stream;
use dodici_testkit::h3::{self, code, kind, setting, stream_kind};
use dodici_testkit::{Client, Watched, within};

use crate::support::{client, config, listen, outcome};

/// What has happened when the server does something wrong. In this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The handshake, and nothing else.
    Connected,
    /// It has sent SETTINGS.
    Settings,
    /// It has read the head of the request.
    RequestHead,
    /// It has read all of the request.
    Request,
    /// It has sent an informational response.
    Informed,
    /// It has sent a head.
    Head,
    /// It has sent half of the body.
    Body,
    /// It has sent half of a frame of the body.
    HalfFrame,
    /// It has sent all of the body, but not the end.
    WholeBody,
    /// It has sent trailers, but not the end.
    Trailers,
}

/// What it does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    /// Closes the connection.
    Close(u64),
    /// Resets the stream, and does not read on.
    Refuse(u64),
    /// Resets the stream.
    Reset(u64),
    /// Asks the client to stop sending.
    Stop(u64),
    /// Ends the stream.
    End,
    /// Ends the stream inside the type, the length or the payload of a frame.
    EndInside(Vec<u8>),
    /// Sends GOAWAY which covers the request or not, and then closes.
    GoAway { covers: bool },
    /// Sends these bytes on the request's stream, and ends it.
    Bytes(&'static str, Vec<u8>),
    /// The same on the control stream.
    Control(&'static str, Vec<u8>),
    /// Ends the control stream.
    EndControl,
    /// Opens a unidirectional stream and sends this.
    Stream(&'static str, Vec<u8>),
}

/// All of them.
fn wrongs() -> Vec<Wrong> {
    let settings = h3::settings(&[]);
    let goaway = |id| h3::frame(kind::GOAWAY, h3::varint(id));
    let stream = |kind| h3::varint(kind);
    let mut all = vec![
        Wrong::End,
        Wrong::GoAway { covers: true },
        Wrong::GoAway { covers: false },
        Wrong::EndControl,
        Wrong::EndInside(vec![0x40]),
        Wrong::EndInside(vec![kind::DATA as u8, 0x40]),
        Wrong::EndInside(vec![kind::DATA as u8, 4, b'x']),
        Wrong::EndInside(vec![kind::HEADERS as u8, 4, 0, 0]),
        Wrong::EndInside(vec![kind::GREASE as u8, 4, 0, 0]),
        Wrong::Bytes("settings", settings.clone()),
        Wrong::Bytes("goaway", goaway(0)),
        Wrong::Bytes("push promise", h3::frame(kind::PUSH_PROMISE, [0, 0, 0])),
        Wrong::Bytes("ping", h3::frame(kind::PING, [0; 8])),
        Wrong::Bytes("no section", h3::frame(kind::HEADERS, [])),
        Wrong::Bytes("a dynamic one", h3::frame(kind::HEADERS, [2, 0, 0x80])),
        Wrong::Control("settings again", settings),
        Wrong::Control("data", h3::frame(kind::DATA, "x")),
        Wrong::Control("headers", h3::frame(kind::HEADERS, [0, 0])),
        Wrong::Control("rising goaway", [goaway(4), goaway(8)].concat()),
        Wrong::Control("odd goaway", goaway(3)),
        Wrong::Control("empty goaway", h3::frame(kind::GOAWAY, [])),
        Wrong::Stream("a second control stream", stream(stream_kind::CONTROL)),
        Wrong::Stream("a push", [stream(stream_kind::PUSH), stream(0)].concat()),
        Wrong::Stream("an insertion", vec![2, 0x41, b'a', 1, b'b']),
        Wrong::Stream("an acknowledgement", vec![3, 0x80]),
        Wrong::Stream("an increment of nothing", vec![3, 0]),
    ];
    for code in [
        code::NO_ERROR,
        code::INTERNAL_ERROR,
        code::EXCESSIVE_LOAD,
        0,
    ] {
        all.push(Wrong::Close(code));
    }
    for code in [
        code::NO_ERROR,
        code::REQUEST_REJECTED,
        code::REQUEST_CANCELLED,
        code::INTERNAL_ERROR,
        code::VERSION_FALLBACK,
        (1 << 62) - 1,
    ] {
        all.extend([Wrong::Refuse(code), Wrong::Reset(code), Wrong::Stop(code)]);
    }
    all
}

/// All of a response's body, and what was read of it at [`Step::Body`].
const BODY: &str = "the first half, the second half";
const HALF: &str = "the first half, ";
/// What another connection, or a later request, is answered.
const LATER: &str = "later";

/// A server that does it, and counts the requests that it has read completely and not refused.
struct Server {
    step: Step,
    wrong: Wrong,
    executed: Watched<usize>,
}

impl Server {
    async fn serve(&self, mut peer: H3Peer) {
        if peer.index() > 0 {
            return self.serve_rightly(peer).await;
        }
        if self.step >= Step::Settings {
            peer.begin(&[(setting::MAX_FIELD_SECTION_SIZE, 65_536)])
                .await;
        }
        let mut stream = None;
        if self.step >= Step::RequestHead {
            let Some(mut opened) = peer.next_stream().await else {
                return;
            };
            self.answer(&mut opened).await;
            stream = Some(opened);
        }
        self.do_wrong(&mut peer, stream).await;
        self.serve_rightly(peer).await;
    }

    /// As far as the step.
    async fn answer(&self, stream: &mut H3Stream) {
        if self.step == Step::RequestHead {
            stream.request_head().await;
            return;
        }
        if stream.request().await.is_none() {
            return;
        }
        let refused = matches!(
            self.wrong,
            Wrong::Refuse(code::REQUEST_REJECTED)
                | Wrong::Reset(code::REQUEST_REJECTED)
                | Wrong::GoAway { covers: false }
        ) || self.step >= Step::Head
            && self.wrong == Wrong::Stop(code::REQUEST_REJECTED);
        if !refused {
            self.executed.update(|count| *count += 1);
        }
        if self.step >= Step::Informed {
            stream.head(103, &[("link", "</a>")]).await;
        }
        if self.step >= Step::Head {
            stream.head(200, &[]).await;
        }
        if self.step >= Step::Body {
            stream.data(HALF).await;
        }
        let rest = &BODY[HALF.len()..];
        if self.step == Step::HalfFrame {
            let frame = h3::frame(kind::DATA, rest);
            stream.send(&frame[..frame.len() / 2]).await;
        } else if self.step >= Step::WholeBody {
            stream.data(rest).await;
        }
        if self.step >= Step::Trailers {
            stream.trailers(&[("t", "1")]).await;
        }
    }

    async fn do_wrong(&self, peer: &mut H3Peer, stream: Option<H3Stream>) {
        let nothing_was_sent = self.step < Step::Settings;
        match &self.wrong {
            Wrong::Close(code) => peer.close(*code),
            Wrong::GoAway { covers } => {
                if nothing_was_sent {
                    peer.begin(&[]).await;
                }
                peer.goaway(if *covers { 4 } else { 0 }).await;
                if *covers {
                    peer.close(code::NO_ERROR);
                } else if let Some(mut stream) = stream {
                    // It may have begun an answer, which it will not end.
                    stream.refuse(code::REQUEST_REJECTED);
                }
            }
            Wrong::Control(_, bytes) if nothing_was_sent => {
                peer.open_uni(stream_kind::CONTROL).await.send(bytes).await;
            }
            Wrong::Control(_, bytes) => peer.control().send(bytes).await,
            Wrong::EndControl => {
                if nothing_was_sent {
                    peer.begin(&[]).await;
                }
                peer.control().finish();
            }
            Wrong::Stream(_, bytes) => peer.open_untyped().await.send(bytes).await,
            _ => {
                // What is wrong with the stream needs one.
                if nothing_was_sent {
                    peer.begin(&[]).await;
                }
                let stream = match stream {
                    Some(stream) => Some(stream),
                    None => peer.next_stream().await,
                };
                if let Some(mut stream) = stream {
                    self.do_wrong_on(&mut stream).await;
                }
            }
        }
    }

    async fn do_wrong_on(&self, stream: &mut H3Stream) {
        match &self.wrong {
            Wrong::Refuse(code) => stream.refuse(*code),
            Wrong::Reset(code) => stream.reset(*code),
            Wrong::Stop(code) => {
                stream.stop(*code);
                // The client need not mind: it may have sent everything.
                if self.step < Step::Head {
                    stream.respond(200, &[], LATER).await;
                } else {
                    stream.reset(*code);
                }
            }
            Wrong::End => stream.finish(),
            Wrong::EndInside(bytes) | Wrong::Bytes(_, bytes) => {
                stream.send(bytes).await;
                stream.finish();
            }
            other => panic!("{other:?} is not wrong with a stream"),
        }
    }

    async fn serve_rightly(&self, mut peer: H3Peer) {
        if peer.index() > 0 {
            peer.begin(&[]).await;
        }
        while let Some((mut stream, _)) = peer.next_request().await {
            self.executed.update(|count| *count += 1);
            stream.respond(200, &[], LATER).await;
        }
    }
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Get,
    Post,
    PulledPost,
}

impl Sent {
    fn request(self) -> Request {
        match self {
            Self::Get => get("/"),
            Self::Post => post("/", "id", "all of it"),
            Self::PulledPost => post_chunked("/"),
        }
    }
}

async fn settles(step: Step, wrong: &Wrong, sent: Sent) {
    let name = format!("{step:?}, {wrong:?}, {sent:?}");
    let executed = Watched::<usize>::default();
    let server = Arc::new(Server {
        step,
        wrong: wrong.clone(),
        executed: executed.clone(),
    });
    let peer = listen().run(move |peer| {
        let server = Arc::clone(&server);
        async move { server.serve(peer).await }
    });
    let client: Client = client(peer.port(), config());
    let call = client.send(sent.request());
    if sent == Sent::PulledPost {
        call.chunk("a part");
        call.finish();
    }
    // That it settles only once is checked when the recording is dropped.
    let seen = within(&name, call.settled()).await;
    match outcome(&seen) {
        Ok(body) => {
            let body = std::str::from_utf8(body).unwrap();
            // Without a length, a body ends where its stream does: that is not wrong.
            let expected = match step {
                _ if *wrong != Wrong::End => LATER,
                Step::Head => "",
                Step::Body => HALF,
                Step::WholeBody | Step::Trailers => BODY,
                _ => LATER,
            };
            assert_eq!(body, expected, "{name}");
        }
        Err(error) => assert!(!error.message().is_empty(), "{name}"),
    }
    if sent != Sent::Get {
        let times = executed.read(|count| *count);
        assert!(times <= 1, "{name}: executed {times} times");
    }
    // Whatever it was, the next request is answered.
    let next = within(&name, client.get("/").settled()).await;
    assert!(outcome(&next).is_ok(), "{name}: {:?}", next.terminal);
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0), "{name}");
    client.shut_down().await;
    within(&name, peer.finish()).await;
}

async fn everything_settles_at(step: Step) {
    for wrong in wrongs() {
        for sent in [Sent::Get, Sent::Post, Sent::PulledPost] {
            settles(step, &wrong, sent).await;
        }
    }
}

#[tokio::test]
async fn whatever_goes_wrong_after_the_handshake_settles_the_request_once() {
    everything_settles_at(Step::Connected).await;
}

#[tokio::test]
async fn whatever_goes_wrong_after_settings_settles_the_request_once() {
    everything_settles_at(Step::Settings).await;
}

#[tokio::test]
async fn whatever_goes_wrong_after_the_head_of_a_request_settles_the_request_once() {
    everything_settles_at(Step::RequestHead).await;
}

#[tokio::test]
async fn whatever_goes_wrong_after_a_request_settles_the_request_once() {
    everything_settles_at(Step::Request).await;
}

#[tokio::test]
async fn whatever_goes_wrong_after_an_informational_response_settles_the_request_once() {
    everything_settles_at(Step::Informed).await;
}

#[tokio::test]
async fn whatever_goes_wrong_after_a_head_settles_the_request_once() {
    everything_settles_at(Step::Head).await;
}

#[tokio::test]
async fn whatever_goes_wrong_inside_a_body_settles_the_request_once() {
    everything_settles_at(Step::Body).await;
}

#[tokio::test]
async fn whatever_goes_wrong_inside_a_frame_settles_the_request_once() {
    everything_settles_at(Step::HalfFrame).await;
}

#[tokio::test]
async fn whatever_goes_wrong_before_the_end_settles_the_request_once() {
    everything_settles_at(Step::WholeBody).await;
}

#[tokio::test]
async fn whatever_goes_wrong_behind_trailers_settles_the_request_once() {
    everything_settles_at(Step::Trailers).await;
}
