#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::IoSlice;
use std::sync::Arc;

use dodici_pool::{BodyKind, CloseReason, ExchangeConfig, HeaderBlock, Phase, Request};
use proptest::prelude::*;

use super::{Inbound, Translator, Write};
use crate::command::{Command, Slice};
use crate::conn::guard;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";
const STUB: &[u8] = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";

/// The translator of a request with this body, and the request's command.
fn begun(body: BodyKind, muted: bool) -> (Translator, Arc<Command>) {
    let mut request = Request::new(HEAD);
    let command = Command::new(1 << 20, &body, None);
    request.body = body;
    let mut translator = Translator::new(guard(&ExchangeConfig::default()), muted);
    drop(translator.begin(&request, &command));
    (translator, command)
}

/// What hyper reads when the socket reads these.
fn visible<'a>(translator: &mut Translator, reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut visible = Vec::new();
    for read in reads {
        let mut memory = read.to_vec();
        let in_place = translator.read(&mut memory).unwrap();
        visible.extend_from_slice(&memory[..in_place]);
        while let Some(buffered) = translator.take_buffered(5) {
            visible.extend_from_slice(&buffered);
        }
    }
    visible
}

/// What is sent for these bytes of hyper's.
fn sent(translator: &mut Translator, bufs: &[&[u8]]) -> Vec<u8> {
    let slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
    match translator.write(&slices).unwrap() {
        Write::AsIs => bufs.concat(),
        Write::Head(head, stub) => {
            let written = head.len() + bufs.concat().len() - stub;
            assert_eq!(
                translator.head_written(&head, stub, written),
                bufs.concat().len()
            );
            assert!(translator.pending.is_empty());
            [&head[..], &bufs.concat()[stub..]].concat()
        }
        Write::Pending => std::mem::take(&mut translator.pending).to_vec(),
    }
}

#[test]
fn the_callers_head_replaces_the_stub() {
    let (mut translator, _command) = begun(BodyKind::Chunked, false);
    assert!(translator.held().unwritten);
    assert_eq!(
        sent(&mut translator, &[b"", STUB, b"1\r\na\r\n"]),
        [HEAD, b"1\r\na\r\n"].concat()
    );
    assert_eq!(sent(&mut translator, &[b"1\r\nb\r\n"]), b"1\r\nb\r\n");
}

#[test]
fn the_rest_of_a_partly_written_head_is_pending() {
    let (mut translator, _command) = begun(BodyKind::Chunked, false);
    let Write::Head(head, stub) = translator.write(&[IoSlice::new(STUB)]).unwrap() else {
        panic!("no head");
    };
    assert_eq!(translator.head_written(&head, stub, 4), STUB.len());
    assert_eq!(translator.pending, HEAD[4..]);
    assert!(translator.held().unwritten);
}

#[test]
fn trailers_follow_the_last_chunk_also_in_a_single_write() {
    for at_once in [false, true] {
        let (mut translator, command) = begun(BodyKind::Chunked, false);
        if !at_once {
            sent(&mut translator, &[STUB]);
        }
        let mut trailers = HeaderBlock::new();
        trailers.push(&b"X-Sum"[..], &b"1"[..]);
        command.end(trailers);
        assert!(translator.held().unwritten, "trailers are due");
        assert!(matches!(command.next_slice(), Slice::End));
        let stub = if at_once { STUB } else { b"" };
        let sent = sent(&mut translator, &[stub, b"0\r\n\r\n"]);
        let head = if at_once { HEAD } else { b"" };
        assert_eq!(sent, [head, b"0\r\nX-Sum: 1\r\n\r\n"].concat());
        assert!(!translator.held().unwritten);
    }
}

#[test]
fn an_unexpected_write_of_hyper_is_an_error() {
    let (mut translator, _command) = begun(BodyKind::None, false);
    assert!(translator.write(&[IoSlice::new(b"GET / HT")]).is_err());
}

#[test]
fn hyper_reads_nothing_on_a_new_connection_before_it_has_written() {
    let (mut translator, _command) = begun(BodyKind::None, true);
    assert_eq!(translator.inbound(), Inbound::Muted);
    assert!(translator.unmute());
    assert_eq!(translator.inbound(), Inbound::Head);
    assert!(!translator.unmute());
    let (translator, _command) = begun(BodyKind::None, false);
    assert_eq!(translator.inbound(), Inbound::Head);
}

#[test]
fn a_failed_write_keeps_the_connection_from_being_reused() {
    let (mut translator, _command) = begun(BodyKind::None, false);
    translator.break_off();
    assert!(translator.is_broken() && translator.held().unwritten);
    assert_eq!(
        visible(
            &mut translator,
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..]]
        ),
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "an early response is read"
    );
    assert!(!translator.held().unread);
}

#[test]
fn hyper_reads_nothing_after_a_response_or_an_upgrade() {
    let (mut translator, _command) = begun(BodyKind::None, false);
    let read = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n";
    let told = visible(&mut translator, [&read[..]]);
    assert!(told.ends_with(b"\r\n\r\na"));
    let failure = translator.failure().map(|(reason, _)| *reason);
    assert_eq!(failure, Some(CloseReason::UnsolicitedData));
    assert!(translator.is_over() && translator.held().unread);

    let mut request = Request::new(HEAD);
    request.kind = dodici_pool::RequestKind::Connect;
    let mut translator = Translator::new(guard(&ExchangeConfig::default()), false);
    drop(translator.begin(&request, &Command::new(0, &BodyKind::None, None)));
    assert_eq!(
        visible(&mut translator, [&b"HTTP/1.1 200 OK\r\n\r\nabc"[..]]),
        b""
    );
    assert_eq!(
        (translator.inbound(), &translator.surplus[..]),
        (Inbound::Stream, &b"abc"[..])
    );
    assert_eq!(translator.phase(), Phase::Headers);
}

/// A response, and what hyper reads of it.
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
    fn hyper_reads_the_same_however_the_response_is_split(
        (sent, told) in response(),
        cuts in prop::collection::vec(1_usize..60, 1..20),
    ) {
        let (mut translator, _command) = begun(BodyKind::None, false);
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
        let seen = visible(&mut translator, reads);
        prop_assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&told));
        prop_assert!(translator.has_ended() && !translator.held().unread);
    }
}

#[test]
fn chunk_extensions_are_spaces_to_hyper() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let with =
        |extension: &str| format!("3{extension}\r\n;a;\r\n2{extension}\r\n;;\r\n0{extension}\r\n");
    let extension = ";a=\";\\\"\";b";
    let bytes = [head, &with(extension), "x: ;y\r\n\r\n"].concat();
    let expected = with(&" ".repeat(extension.len())) + "\r\n";
    for cut in 0..bytes.len() {
        let (mut translator, _command) = begun(BodyKind::None, false);
        let (first, second) = bytes.as_bytes().split_at(cut);
        let read = visible(&mut translator, [first, second]);
        assert!(read.ends_with(expected.as_bytes()), "cut at {cut}");
        assert!(translator.has_ended());
    }
}
