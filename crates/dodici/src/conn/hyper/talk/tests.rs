#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::IoSlice;
use std::sync::Arc;

use dodici_pool::{BodyKind, CloseReason, ExchangeConfig, HeaderBlock, Phase, Request};
use proptest::prelude::*;

use super::{Hearing, Said, Talk};
use crate::command::{Command, Slice};
use crate::conn::guard;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";
const STUB: &[u8] = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";

/// A conversation about a request with this body, and its caller's side.
fn begun(body: BodyKind, hushed: bool) -> (Talk, Arc<Command>) {
    let mut request = Request::new(HEAD);
    let command = Command::new(1 << 20, &body);
    request.body = body;
    let mut talk = Talk::new(guard(&ExchangeConfig::default()), hushed);
    drop(talk.begin(&request, &command));
    (talk, command)
}

/// What hyper hears of these reads.
fn heard<'a>(talk: &mut Talk, reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut heard = Vec::new();
    for read in reads {
        let mut memory = read.to_vec();
        let visible = talk.hear(&mut memory).unwrap();
        heard.extend_from_slice(&memory[..visible]);
        while let Some(waiting) = talk.take_waiting(5) {
            heard.extend_from_slice(&waiting);
        }
    }
    heard
}

/// What goes to the wire for these bytes of hyper's.
fn said(talk: &mut Talk, bufs: &[&[u8]]) -> Vec<u8> {
    let slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
    match talk.say(&slices).unwrap() {
        Said::Itself => bufs.concat(),
        Said::Head(head, stub) => {
            let written = head.len() + bufs.concat().len() - stub;
            assert_eq!(talk.head_left(&head, stub, written), bufs.concat().len());
            assert!(talk.pending.is_empty());
            [&head[..], &bufs.concat()[stub..]].concat()
        }
        Said::Pending => std::mem::take(&mut talk.pending).to_vec(),
    }
}

#[test]
fn the_callers_head_goes_in_place_of_the_stub() {
    let (mut talk, _command) = begun(BodyKind::Chunked, false);
    assert!(talk.held().unwritten);
    assert_eq!(
        said(&mut talk, &[b"", STUB, b"1\r\na\r\n"]),
        [HEAD, b"1\r\na\r\n"].concat()
    );
    assert_eq!(said(&mut talk, &[b"1\r\nb\r\n"]), b"1\r\nb\r\n");
}

#[test]
fn a_head_that_left_in_part_is_pending_and_hyper_is_asked_again_for_the_rest() {
    let (mut talk, _command) = begun(BodyKind::Chunked, false);
    let Said::Head(head, stub) = talk.say(&[IoSlice::new(STUB)]).unwrap() else {
        panic!("no head");
    };
    assert_eq!(talk.head_left(&head, stub, 4), STUB.len());
    assert_eq!(talk.pending, HEAD[4..]);
    assert!(talk.held().unwritten);
}

#[test]
fn trailers_go_behind_the_last_chunk_also_where_all_leaves_at_once() {
    for at_once in [false, true] {
        let (mut talk, command) = begun(BodyKind::Chunked, false);
        if !at_once {
            said(&mut talk, &[STUB]);
        }
        let mut trailers = HeaderBlock::new();
        trailers.push(&b"X-Sum"[..], &b"1"[..]);
        command.end(trailers);
        assert!(talk.held().unwritten, "the trailers");
        assert!(matches!(command.next_slice(), Slice::End));
        let stub = if at_once { STUB } else { b"" };
        let sent = said(&mut talk, &[stub, b"0\r\n\r\n"]);
        let head = if at_once { HEAD } else { b"" };
        assert_eq!(sent, [head, b"0\r\nX-Sum: 1\r\n\r\n"].concat());
        assert!(!talk.held().unwritten);
    }
}

#[test]
fn hyper_that_writes_in_another_way_is_an_error() {
    let (mut talk, _command) = begun(BodyKind::None, false);
    assert!(talk.say(&[IoSlice::new(b"GET / HT")]).is_err());
}

#[test]
fn hyper_hears_nothing_on_a_fresh_connection_before_it_has_spoken() {
    let (mut talk, _command) = begun(BodyKind::None, true);
    assert_eq!(talk.hearing(), Hearing::Hushed);
    assert!(talk.speaks());
    assert_eq!(talk.hearing(), Hearing::Head);
    assert!(!talk.speaks());
}

#[test]
fn what_nobody_hears_holds_the_connection() {
    let (mut talk, _command) = begun(BodyKind::None, false);
    talk.close_ears();
    assert!(talk.is_unheard() && talk.held().unwritten);
    assert_eq!(
        heard(
            &mut talk,
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..]]
        ),
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "an early answer is heard"
    );
    assert!(!talk.held().unread);
}

#[test]
fn hyper_hears_nothing_of_what_comes_behind_a_response_or_an_upgrade() {
    let (mut talk, _command) = begun(BodyKind::None, false);
    let read = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n";
    let told = heard(&mut talk, [&read[..]]);
    assert!(told.ends_with(b"\r\n\r\na"));
    let failure = talk.failure().map(|(reason, _)| *reason);
    assert_eq!(failure, Some(CloseReason::UnsolicitedData));
    assert!(talk.is_over() && talk.held().unread);

    let mut request = Request::new(HEAD);
    request.kind = dodici_pool::RequestKind::Connect;
    let mut talk = Talk::new(guard(&ExchangeConfig::default()), false);
    drop(talk.begin(&request, &Command::new(0, &BodyKind::None)));
    assert_eq!(heard(&mut talk, [&b"HTTP/1.1 200 OK\r\n\r\nabc"[..]]), b"");
    assert_eq!(
        (talk.hearing(), &talk.surplus[..]),
        (Hearing::Stream, &b"abc"[..])
    );
    assert_eq!(talk.phase(), Phase::Headers);
}

/// A response, and what hyper hears of it.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let informational = prop_oneof![
        Just(&b""[..]),
        Just(&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"[..]),
    ];
    let body = prop::collection::vec(any::<u8>(), 0..300);
    (informational, body, any::<bool>()).prop_map(|(informational, body, chunked)| {
        let mut sent = informational.to_vec();
        let mut told = Vec::new();
        if chunked {
            sent.extend(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nServer: a\r\n\r\n");
            told.extend(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let mut chunks = Vec::new();
            for chunk in body.chunks(97) {
                chunks.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                chunks.extend(chunk);
                chunks.extend(b"\r\n");
            }
            chunks.extend(b"0\r\n");
            sent.extend(&chunks);
            sent.extend(b"X-Sum: 1\r\n\r\n");
            told.extend(&chunks);
            told.extend(b"\r\n");
        } else {
            let length = body.len();
            sent.extend(format!("HTTP/1.1 404 No\r\nContent-Length: {length}\r\n\r\n").bytes());
            told.extend(
                format!("HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\n\r\n").bytes(),
            );
            sent.extend(&body);
            told.extend(&body);
        }
        (sent, told)
    })
}

proptest! {
    #[test]
    fn hyper_hears_the_same_however_the_response_is_cut(
        (sent, told) in response(),
        cuts in prop::collection::vec(1_usize..60, 1..20),
    ) {
        let (mut talk, _command) = begun(BodyKind::None, false);
        let mut rest = &sent[..];
        let mut reads = Vec::new();
        for cut in cuts.iter().cycle() {
            let (read, behind) = rest.split_at((*cut).min(rest.len()));
            reads.push(read);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let heard = heard(&mut talk, reads);
        prop_assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(&told));
        prop_assert!(talk.has_ended() && !talk.held().unread);
    }
}
