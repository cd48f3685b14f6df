//! What breaks the rules of HTTP/3 or QPACK ends the connection, or the stream, with the code that
//! the RFC names.

use dodici::{ErrorKind, Event, Request};
use dodici_testkit::client::{get, head};
use dodici_testkit::h3::log::End;
use dodici_testkit::h3::qpack::{self, section};
use dodici_testkit::h3::{self, code, frame, kind, setting, stream_kind, varint};
use dodici_testkit::{Watched, within};

use crate::support::{client, listen, outcome, single};

/// What a server sends.
#[derive(Clone)]
enum Sends {
    /// On a control stream, instead of anything else.
    FirstOnControl(Vec<u8>),
    /// On the control stream, after SETTINGS.
    OnControl(Vec<u8>),
    /// On a unidirectional stream of its own.
    OnStream(Vec<u8>),
    /// The same, and its end.
    OnStreamThatEnds(Vec<u8>),
    /// On two unidirectional streams of their own.
    OnTwoStreams(Vec<u8>),
    /// The end of the control stream.
    EndOfControl,
    /// On the stream of the request, which goes on.
    OnRequest(Vec<u8>),
    /// The same, and its end.
    OnRequestThatEnds(Vec<u8>),
}

/// The code with which the client ends a connection whose server sends this instead of an answer.
async fn ends_with(name: &str, sends: Sends) -> End {
    let peer = listen().run(move |mut peer| {
        let sends = sends.clone();
        async move {
            if let Sends::FirstOnControl(bytes) = &sends {
                let mut control = peer.open_uni(stream_kind::CONTROL).await;
                return control.send(bytes).await;
            }
            peer.begin(&[]).await;
            let Some(mut stream) = peer.next_stream().await else {
                return;
            };
            match sends {
                Sends::FirstOnControl(_) => {}
                Sends::OnControl(bytes) => peer.control().send(bytes).await,
                Sends::OnStream(bytes) => peer.open_untyped().await.send(bytes).await,
                Sends::OnStreamThatEnds(bytes) => {
                    let mut other = peer.open_untyped().await;
                    other.send(bytes).await;
                    other.finish();
                }
                Sends::OnTwoStreams(bytes) => {
                    peer.open_untyped().await.send(&bytes).await;
                    peer.open_untyped().await.send(&bytes).await;
                }
                Sends::EndOfControl => peer.control().finish(),
                Sends::OnRequest(bytes) => {
                    stream.send(bytes).await;
                }
                Sends::OnRequestThatEnds(bytes) => {
                    stream.send(bytes).await;
                    stream.finish();
                }
            }
        }
    });
    let client = client(peer.port(), single());
    let call = client.send(dodici_testkit::client::post("/", "id", "x"));
    let error = within(name, call.error()).await;
    assert!(!error.message().is_empty(), "{name}");
    let end = within(name, peer.end(0)).await;
    client.shut_down().await;
    peer.finish().await;
    end
}

async fn all_end_with(cases: Vec<(&str, Sends, u64)>) {
    for (name, sends, expected) in cases {
        let end = ends_with(name, sends).await;
        assert_eq!(end, End::Http(expected), "{name}");
    }
}

#[tokio::test]
async fn a_control_stream_that_breaks_the_rules_ends_the_connection() {
    let settings = |pairs: &[(u64, u64)]| h3::settings(pairs);
    let goaway = |id| frame(kind::GOAWAY, varint(id));
    let mut cases = vec![
        (
            "no settings",
            Sends::FirstOnControl(goaway(0)),
            code::MISSING_SETTINGS,
        ),
        (
            "settings twice",
            Sends::OnControl(settings(&[])),
            code::FRAME_UNEXPECTED,
        ),
        (
            "half a setting",
            Sends::FirstOnControl(frame(kind::SETTINGS, [6])),
            code::FRAME_ERROR,
        ),
        (
            "a setting that is no flag",
            Sends::FirstOnControl(settings(&[(setting::ENABLE_CONNECT_PROTOCOL, 2)])),
            code::SETTINGS_ERROR,
        ),
        (
            "a goaway of a stream that the server opens",
            Sends::OnControl(goaway(1)),
            code::ID_ERROR,
        ),
        (
            "a goaway of a unidirectional stream",
            Sends::OnControl(goaway(2)),
            code::ID_ERROR,
        ),
        (
            "a goaway that takes back another",
            Sends::OnControl([goaway(4), goaway(8)].concat()),
            code::ID_ERROR,
        ),
        (
            "a goaway without a stream",
            Sends::OnControl(frame(kind::GOAWAY, [])),
            code::FRAME_ERROR,
        ),
        (
            "a goaway with more than a stream",
            Sends::OnControl(frame(kind::GOAWAY, [4, 0])),
            code::FRAME_ERROR,
        ),
        (
            "a cancelled push that was never promised",
            Sends::OnControl(frame(kind::CANCEL_PUSH, [0])),
            code::ID_ERROR,
        ),
        ("its end", Sends::EndOfControl, code::CLOSED_CRITICAL_STREAM),
        (
            "a second one",
            Sends::OnStream([varint(stream_kind::CONTROL), settings(&[])].concat()),
            code::STREAM_CREATION_ERROR,
        ),
    ];
    for reserved in [2, 3, 4, 5] {
        let sends = Sends::FirstOnControl(settings(&[(reserved, 0)]));
        cases.push(("a setting of HTTP/2", sends, code::SETTINGS_ERROR));
    }
    for kind in [
        kind::DATA,
        kind::HEADERS,
        kind::PUSH_PROMISE,
        kind::MAX_PUSH_ID,
        kind::PRIORITY,
        kind::PING,
        kind::WINDOW_UPDATE,
        kind::CONTINUATION,
    ] {
        let sends = Sends::OnControl(frame(kind, [0]));
        cases.push(("a frame of elsewhere", sends, code::FRAME_UNEXPECTED));
    }
    all_end_with(cases).await;
}

#[tokio::test]
async fn other_streams_that_break_the_rules_end_the_connection() {
    let encoder = |bytes: &[u8]| Sends::OnStream([&[2], bytes].concat());
    let decoder = |bytes: &[u8]| Sends::OnStream([&[3], bytes].concat());
    all_end_with(vec![
        (
            "a push",
            Sends::OnStream([varint(stream_kind::PUSH), varint(0)].concat()),
            code::ID_ERROR,
        ),
        (
            "two encoder streams",
            Sends::OnTwoStreams(varint(stream_kind::QPACK_ENCODER)),
            code::STREAM_CREATION_ERROR,
        ),
        (
            "two decoder streams",
            Sends::OnTwoStreams(varint(stream_kind::QPACK_DECODER)),
            code::STREAM_CREATION_ERROR,
        ),
        (
            "the end of the encoder stream",
            Sends::OnStreamThatEnds(varint(stream_kind::QPACK_ENCODER)),
            code::CLOSED_CRITICAL_STREAM,
        ),
        (
            "the end of the decoder stream",
            Sends::OnStreamThatEnds(varint(stream_kind::QPACK_DECODER)),
            code::CLOSED_CRITICAL_STREAM,
        ),
        // RFC 9204, section 4.3: a capacity of 1, an entry, a copy of one.
        (
            "a table",
            encoder(&[0x21]),
            code::QPACK_ENCODER_STREAM_ERROR,
        ),
        (
            "an entry",
            encoder(&[0x41, b'a', 1, b'b']),
            code::QPACK_ENCODER_STREAM_ERROR,
        ),
        (
            "an entry with a name of the static table",
            encoder(&[0xc1, 1, b'b']),
            code::QPACK_ENCODER_STREAM_ERROR,
        ),
        ("a copy", encoder(&[0]), code::QPACK_ENCODER_STREAM_ERROR),
        (
            "a capacity that does not end",
            encoder(&[
                0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ]),
            code::QPACK_ENCODER_STREAM_ERROR,
        ),
        // Section 4.4: of a section, and of entries, that the client has not sent.
        (
            "an acknowledgement",
            decoder(&[0x80]),
            code::QPACK_DECODER_STREAM_ERROR,
        ),
        (
            "an increment",
            decoder(&[1]),
            code::QPACK_DECODER_STREAM_ERROR,
        ),
        (
            "an increment of nothing",
            decoder(&[0]),
            code::QPACK_DECODER_STREAM_ERROR,
        ),
    ])
    .await;
}

#[tokio::test]
async fn frames_of_a_response_that_break_the_rules_end_the_connection() {
    let ok = h3::head(200, &[]);
    let data = frame(kind::DATA, "x");
    let trailers = frame(kind::HEADERS, section(&[("t", "1")]));
    let join = |parts: &[&Vec<u8>]| parts.iter().flat_map(|part| part.iter()).copied().collect();
    let mut cases = vec![
        (
            "data before a head",
            Sends::OnRequest(data.clone()),
            code::FRAME_UNEXPECTED,
        ),
        (
            "data behind an informational head",
            Sends::OnRequest(join(&[&h3::head(103, &[]), &data])),
            code::FRAME_UNEXPECTED,
        ),
        (
            "data behind trailers",
            Sends::OnRequest(join(&[&ok, &data, &trailers, &data])),
            code::FRAME_UNEXPECTED,
        ),
        (
            "trailers twice",
            Sends::OnRequest(join(&[&ok, &data, &trailers, &trailers])),
            code::FRAME_UNEXPECTED,
        ),
        (
            "a promise",
            Sends::OnRequest(frame(kind::PUSH_PROMISE, [0, 0, 0])),
            code::ID_ERROR,
        ),
        (
            "an end inside a type",
            Sends::OnRequestThatEnds(join(&[&ok, &vec![0x40]])),
            code::FRAME_ERROR,
        ),
        (
            "an end inside a length",
            Sends::OnRequestThatEnds(join(&[&ok, &vec![0, 0x40]])),
            code::FRAME_ERROR,
        ),
        (
            "an end inside a body",
            Sends::OnRequestThatEnds(join(&[&ok, &vec![0, 2, b'x']])),
            code::FRAME_ERROR,
        ),
        (
            "an end inside a head",
            Sends::OnRequestThatEnds(vec![1, 9, 0, 0]),
            code::FRAME_ERROR,
        ),
        (
            "an end inside an unknown frame",
            Sends::OnRequestThatEnds(join(&[&ok, &vec![0x21, 2, 0]])),
            code::FRAME_ERROR,
        ),
    ];
    for kind in [
        kind::CANCEL_PUSH,
        kind::SETTINGS,
        kind::GOAWAY,
        kind::MAX_PUSH_ID,
        kind::PRIORITY,
        kind::PING,
        kind::WINDOW_UPDATE,
        kind::CONTINUATION,
    ] {
        for before in [Vec::new(), ok.clone()] {
            let bytes = [before, frame(kind, [0])].concat();
            let sends = Sends::OnRequest(bytes);
            cases.push(("a frame of elsewhere", sends, code::FRAME_UNEXPECTED));
        }
    }
    all_end_with(cases).await;
}

#[tokio::test]
async fn field_sections_that_cannot_be_decoded_end_the_connection() {
    let lines = |lines: &[u8]| [&qpack::PREFIX[..], lines].concat();
    let cases = [
        ("nothing", Vec::new()),
        ("half a prefix", vec![0]),
        (
            "an entry that was never inserted",
            [&[2, 0][..], &qpack::dynamic(0)].concat(),
        ),
        ("a base below nothing", vec![0, 0x80]),
        ("the dynamic table", lines(&qpack::dynamic(0))),
        ("a name of the dynamic table", lines(&[0x40, 1, b'x'])),
        ("an entry behind the base", lines(&[0x10])),
        ("a name behind the base", lines(&[0, 1, b'x'])),
        ("entry 99 of the static table", lines(&qpack::indexed(99))),
        ("a name of entry 99", lines(&qpack::named(99, "x"))),
        (
            "an index that does not end",
            lines(&[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ]),
        ),
        ("half an index", lines(&[0xff, 0x80])),
        ("half a name", lines(&[0x23, b'a', b'b'])),
        ("half a value", lines(&[0x52, 9, b'/'])),
        ("no value", lines(&[0x52])),
        // RFC 7541, section 5.2: eight bits of padding, padding of zeroes, the symbol of the end.
        ("long padding", lines(&[0x52, 0x82, 0x3f, 0xff])),
        ("padding of zeroes", lines(&[0x52, 0x81, 0x18])),
        ("an end", lines(&[0x52, 0x84, 0xff, 0xff, 0xff, 0xff])),
    ];
    let cases = cases.into_iter().map(|(name, section)| {
        let sends = Sends::OnRequest(frame(kind::HEADERS, section));
        (name, sends, code::QPACK_DECOMPRESSION_FAILED)
    });
    all_end_with(cases.collect()).await;
}

/// What became of a request that was answered with these bytes and an end, on a connection that has
/// answered another one since: its error, unless it succeeded, and the code with which the client
/// stopped the stream.
async fn answered_with(
    name: &str,
    request: Request,
    bytes: Vec<u8>,
) -> (Result<u16, ErrorKind>, Option<u64>) {
    let stopped = Watched::<Option<Option<u64>>>::default();
    let told = stopped.clone();
    let peer = listen().run(move |mut peer| {
        let (bytes, told) = (bytes.clone(), told.clone());
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            stream.send(bytes).await;
            let (mut other, _) = peer.next_request().await.unwrap();
            other.respond(200, &[], "ok").await;
            stream.finish();
            let code = stream.stopped().await;
            told.update(|told| *told = Some(code));
        }
    });
    let client = client(peer.port(), single());
    let call = client.send(request);
    let rejected = call.settled();
    let seen = within(name, rejected).await;
    let other = within(name, client.get("/other").ended()).await;
    assert_eq!(other.body, b"ok", "{name}");
    assert_eq!(client.events.connects(), 1, "{name} cost its connection");
    let disconnected = |event: &Event| matches!(event, Event::Disconnected { .. });
    assert_eq!(client.events.count(disconnected), 0, "{name}");
    let code = within(name, stopped.wait(|told| *told)).await;
    client.pool.destroy();
    within(name, client.events.closed()).await;
    peer.finish().await;
    let result = outcome(&seen);
    let result = result.map(|_| seen.status()).map_err(|error| error.kind());
    (result, code)
}

/// It fails its request with H3_MESSAGE_ERROR, and no other.
async fn is_malformed(name: &str, request: Request, bytes: Vec<u8>) {
    let (result, code) = answered_with(name, request, bytes).await;
    assert!(result.is_err(), "{name}: {result:?}");
    assert_eq!(code, Some(code::MESSAGE_ERROR), "{name}");
}

fn section_frame(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, section(fields))
}

#[tokio::test]
async fn a_malformed_response_fails_its_stream_only() {
    let status = (":status", "200");
    for (name, fields) in [
        ("no status", &[("x", "y")][..]),
        ("two statuses", &[status, (":status", "201")]),
        ("a status behind a field", &[("x", "y"), status]),
        ("a status that is no number", &[(":status", "2x0")]),
        ("a short status", &[(":status", "20")]),
        ("101", &[(":status", "101")]),
        ("a pseudo-header of a request", &[status, (":path", "/")]),
        ("an unknown pseudo-header", &[status, (":foo", "x")]),
        ("an upper-case name", &[status, ("X-Up", "x")]),
        ("a space in a name", &[status, ("a b", "x")]),
        ("an empty name", &[status, ("", "x")]),
        ("CR LF in a value", &[status, ("a", "b\r\nc")]),
        ("NUL in a value", &[status, ("a", "b\0c")]),
        ("a connection field", &[status, ("connection", "close")]),
        ("a coding", &[status, ("transfer-encoding", "chunked")]),
        ("an upgrade", &[status, ("upgrade", "h2c")]),
        (
            "two lengths",
            &[status, ("content-length", "2"), ("content-length", "3")],
        ),
        (
            "a length that is no number",
            &[status, ("content-length", "+2")],
        ),
    ] {
        is_malformed(name, get("/"), section_frame(fields)).await;
        let bytes = [h3::head(103, &[("link", "</a>")]), section_frame(fields)].concat();
        is_malformed(name, get("/"), bytes).await;
    }
}

#[tokio::test]
async fn malformed_trailers_fail_their_stream_only() {
    for (name, field) in [
        ("a status", (":status", "200")),
        ("a path", (":path", "/")),
        ("an upper-case name", ("X-Up", "x")),
        ("NUL in a value", ("a", "b\0c")),
        ("a connection field", ("connection", "close")),
    ] {
        let mut bytes = h3::head(200, &[]);
        bytes.extend(frame(kind::DATA, "body"));
        bytes.extend(section_frame(&[field]));
        is_malformed(name, get("/"), bytes).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_fails_its_stream_only() {
    let long = |len: &str| h3::head(200, &[("content-length", len)]);
    let data = frame(kind::DATA, "body");
    let longer = [long("3"), data.clone()].concat();
    is_malformed("too long", get("/"), longer).await;
    let behind_another = [long("4"), data.clone(), data.clone()].concat();
    is_malformed("a frame too many", get("/"), behind_another).await;
    for (status, request) in [(204, get("/")), (304, get("/")), (200, head("/"))] {
        let bytes = [h3::head(status, &[]), data.clone()].concat();
        is_malformed("a body where none is allowed", request, bytes).await;
    }
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_is_an_error() {
    for sent in ["", "bod"] {
        let peer = listen().run(move |mut peer| async move {
            peer.begin(&[]).await;
            while let Some((mut stream, _)) = peer.next_request().await {
                stream.respond(200, &[("content-length", "4")], sent).await;
            }
        });
        let client = client(peer.port(), single());
        for _ in 0..2 {
            let error = within("error", client.get("/").error()).await;
            assert_eq!(error.kind(), ErrorKind::ResponseContentLengthMismatch);
        }
        assert_eq!(client.events.connects(), 1);
        client.shut_down().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn what_is_unknown_is_ignored() {
    let grease = frame(kind::GREASE, "anything");
    let unknown = frame(0x1f * 1_000_000 + 0x21, [0; 300]);
    let peer = listen().run(move |mut peer| {
        let (grease, unknown) = (grease.clone(), unknown.clone());
        async move {
            let settings = [(0x21, 7), (0x1f * 3 + 0x21, 1 << 61), (0x4d44, 1)];
            peer.begin(&settings).await;
            peer.control().send(&grease).await;
            for bytes in [varint(stream_kind::GREASE), vec![0x40], Vec::new()] {
                let mut stream = peer.open_untyped().await;
                stream.send([bytes, vec![9; 100]].concat()).await;
                stream.finish();
            }
            let encoder = peer.open_uni(stream_kind::QPACK_ENCODER).await;
            let mut encoder = encoder;
            // A capacity of 0 is the one that it may have.
            encoder.send([0x20]).await;
            peer.open_uni(stream_kind::QPACK_DECODER).await;
            while let Some((mut stream, _)) = peer.next_request().await {
                for bytes in [&grease, &h3::head(103, &[]), &unknown, &h3::head(200, &[])] {
                    stream.send(bytes).await;
                }
                stream.frame(kind::DATA, "bo").await;
                stream.send(&unknown).await;
                stream.frame(kind::DATA, "").await;
                stream.frame(kind::DATA, "dy").await;
                stream.send(&grease).await;
                stream.trailers(&[("t", "1")]).await;
                stream.send(&unknown).await;
                stream.finish();
            }
        }
    });
    let client = client(peer.port(), single());
    for _ in 0..2 {
        let seen = within("answer", client.get("/").ended()).await;
        assert_eq!(
            (&seen.body[..], seen.informational.len()),
            (&b"body"[..], 1)
        );
        assert_eq!(seen.trailers(), [("t".to_owned(), "1".to_owned())]);
    }
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}
