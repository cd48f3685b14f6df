//! The guard's contract: which calls its owner may make when, and what they return.

use std::time::Duration;

use dodici::framing::{Framing, Guard, GuardEvent, Limits};
use dodici_pool::{ErrorKind, Leniency, Phase, Replay, RequestKind, UnexpectedContinue, Version};
use dodici_testkit::with;

fn begun(kind: RequestKind) -> Guard {
    let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
    guard.begin(kind, false);
    guard
}

fn after_head(fields: &str) -> Guard {
    let mut guard = begun(RequestKind::Plain);
    let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    let step = guard.feed(head.as_bytes()).unwrap();
    assert_eq!((step.consumed, step.event), (head.len(), GuardEvent::Head));
    guard
}

fn synthetic(guard: &Guard) -> String {
    let mut out = Vec::new();
    guard.write_synthetic_head(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_idle_guard_consumes_no_byte() {
    let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
    assert!(guard.is_idle());
    let step = guard.feed(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    assert_eq!((step.consumed, step.event), (0, GuardEvent::Idle));
    assert_eq!(guard.eof().unwrap(), GuardEvent::Idle);
}

#[test]
fn a_response_begun_inside_another_fails_the_guard() {
    let mut guard = begun(RequestKind::Plain);
    guard.begin(RequestKind::Plain, false);
    assert_eq!(guard.feed(b"").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(guard.eof().unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn an_end_before_the_first_byte_allows_a_replay_and_one_after_it_does_not() {
    let replay = |bytes: &[u8]| {
        let mut guard = begun(RequestKind::Plain);
        guard.feed(bytes).unwrap();
        let error = guard.eof().unwrap_err();
        assert_eq!(error.message(), "other side closed");
        assert_eq!(error.phase(), Phase::Headers);
        error.replay()
    };
    assert_eq!(replay(b""), Replay::IfIdempotentAndReused);
    assert_eq!(replay(b"H"), Replay::Never);
    assert_eq!(replay(b"HTTP/1.1 200 OK\r\n"), Replay::Never);
    assert_eq!(replay(b"HTTP/1.1 103 E\r\n\r\n"), Replay::Never);
}

#[test]
fn errors_name_their_phase() {
    let mut guard = begun(RequestKind::Plain);
    assert_eq!(guard.feed(b"x").unwrap_err().phase(), Phase::Headers);
    let mut guard = after_head("Transfer-Encoding: chunked\r\n");
    assert_eq!(guard.feed(b"x").unwrap_err().phase(), Phase::Body);
    let mut guard = after_head("Content-Length: 1\r\n");
    assert_eq!(guard.eof().unwrap_err().phase(), Phase::Body);
}

#[test]
fn s24_an_end_before_the_owner_asked_for_the_end_event_completes_the_message() {
    let mut guard = after_head("Content-Length: 2\r\n");
    let step = guard.feed(b"ab").unwrap();
    assert_eq!((step.consumed, step.event), (2, GuardEvent::Data(0..2)));
    assert_eq!(guard.eof().unwrap(), GuardEvent::End);
    assert!(guard.is_idle());
    let mut guard = after_head("Content-Length: 0\r\n");
    assert_eq!(guard.eof().unwrap(), GuardEvent::End);
}

#[test]
fn a_message_without_body_ends_with_the_next_call_even_without_input() {
    let mut guard = after_head("Content-Length: 0\r\n");
    assert!(!guard.is_idle());
    let step = guard.feed(b"").unwrap();
    assert_eq!((step.consumed, step.event), (0, GuardEvent::End));
    assert_eq!(guard.feed(b"").unwrap().event, GuardEvent::Idle);
}

#[test]
fn the_head_stays_readable_until_the_next_one_starts() {
    let mut guard = begun(RequestKind::Plain);
    let step = guard.feed(b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n").unwrap();
    assert_eq!(step.event, GuardEvent::Informational);
    assert_eq!(guard.head().status, 103);
    assert_eq!(guard.head().headers.get("link"), Some(&b"a"[..]));
    let step = guard
        .feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
        .unwrap();
    assert_eq!(step.event, GuardEvent::Head);
    assert_eq!(guard.head().status, 200);
    assert_eq!(guard.head().headers.get("link"), None);
    guard.feed(b"a").unwrap();
    guard.feed(b"").unwrap();
    assert!(guard.is_idle());
    assert_eq!(guard.head().status, 200);
    assert_eq!(guard.head().reason, b"OK");
}

#[test]
fn trailers_of_one_message_are_gone_in_the_next() {
    let mut guard = after_head("Transfer-Encoding: chunked\r\n");
    assert_eq!(guard.feed(b"0\r\n").unwrap().event, GuardEvent::LastChunk);
    assert_eq!(guard.feed(b"T: v\r\n\r\n").unwrap().event, GuardEvent::End);
    assert_eq!(guard.trailers().get("t"), Some(&b"v"[..]));
    guard.begin(RequestKind::Plain, false);
    assert!(guard.trailers().is_empty());
}

#[test]
fn chunked_data_is_a_range_of_the_input_and_counted() {
    let mut guard = after_head("Transfer-Encoding: chunked\r\n");
    let step = guard.feed(b"3;x\r\nab").unwrap();
    assert_eq!((step.consumed, step.event), (7, GuardEvent::Data(5..7)));
    let step = guard.feed(b"c\r\n1\r\nd").unwrap();
    assert_eq!((step.consumed, step.event), (1, GuardEvent::Data(0..1)));
    let step = guard.feed(b"\r\n1\r\nd").unwrap();
    assert_eq!((step.consumed, step.event), (6, GuardEvent::Data(5..6)));
    assert_eq!(guard.body_received(), 4);
}

#[test]
fn the_keep_alive_hint_is_read_as_undici_reads_it() {
    let hint = |fields: &str| after_head(fields).keep_alive().hint;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(hint("Content-Length: 0\r\n"), None);
    assert_eq!(hint("Keep-Alive: timeout=5\r\n"), seconds(5));
    assert_eq!(hint("keep-alive: max=100, \tTimeout=15s\r\n"), seconds(15));
    assert_eq!(
        hint("Keep-Alive: max=1\r\nKeep-Alive: timeout=2\r\n"),
        seconds(2)
    );
    assert_eq!(hint("Keep-Alive: timeout=1, timeout=2\r\n"), seconds(1));
    assert_eq!(hint("Keep-Alive: timeout=0\r\n"), seconds(0));
    assert_eq!(hint("Keep-Alive: timeout=\r\n"), None);
    assert_eq!(hint("Keep-Alive: timeout=x\r\n"), None);
    assert_eq!(hint("Keep-Alive: timeout = 5\r\n"), None);
    assert_eq!(hint("Keep-Alive: xtimeout=5\r\n"), None);
    let huge = format!("Keep-Alive: timeout={}\r\n", "9".repeat(40));
    assert_eq!(hint(&huge), seconds(u64::MAX));
}

#[test]
fn the_synthetic_head_has_status_framing_and_persistence_only() {
    let of = |fields: &str| synthetic(&after_head(&format!("X: y\r\n{fields}")));
    assert_eq!(
        of("Content-Length: 1234567890\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: 1234567890\r\n\r\n"
    );
    assert_eq!(
        of("Content-Length: 0\r\nConnection: close\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        of("Transfer-Encoding: gzip, chunked\r\n"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(of(""), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    assert_eq!(
        of("Transfer-Encoding: chunked, gzip\r\n"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    );

    let answer = |kind, head: &str| {
        let mut guard = begun(kind);
        guard.feed(head.as_bytes()).unwrap();
        synthetic(&guard)
    };
    assert_eq!(
        answer(
            RequestKind::Plain,
            "HTTP/1.1 204 Nix\r\nContent-Length: 1\r\n\r\n"
        ),
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        answer(
            RequestKind::Plain,
            "HTTP/1.1 304 N\r\nContent-Length: 1\r\n\r\n"
        ),
        "HTTP/1.1 304 Not Modified\r\n\r\n"
    );
    assert_eq!(
        answer(
            RequestKind::Head,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        ),
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        answer(
            RequestKind::Plain,
            "HTTP/1.0 999 X\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n"
        ),
        "HTTP/1.1 999 \r\ncontent-length: 9\r\n\r\n"
    );
    assert_eq!(
        answer(
            RequestKind::Connect,
            "HTTP/1.1 200 C\r\nContent-Length: 9\r\n\r\n"
        ),
        "HTTP/1.1 200 OK\r\n\r\n"
    );
    assert_eq!(
        answer(
            RequestKind::Upgrade,
            "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        ),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n"
    );
}

#[test]
fn the_framing_is_that_of_rfc_9112() {
    assert_eq!(
        after_head("Content-Length: 5\r\n").framing(),
        Framing::Length(5)
    );
    assert_eq!(
        after_head("Transfer-Encoding: chunked\r\n").framing(),
        Framing::Chunked
    );
    assert_eq!(after_head("").framing(), Framing::UntilClose);
    let mut guard = begun(RequestKind::Head);
    guard
        .feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    assert_eq!(guard.framing(), Framing::None);
}

#[test]
fn refusals_carry_the_words_undici_shows() {
    let mut guard = begun(RequestKind::Plain);
    let error = guard.feed(b"HTTP/1.1 200 OK\nA: b\r\n").unwrap_err();
    assert_eq!(
        error.message(),
        "Response does not match the HTTP/1.1 protocol (Missing expected CR after response line)"
    );
}

#[test]
fn a_missing_head_is_detected_at_the_first_wrong_byte_and_no_byte_of_the_body_is_lost() {
    for body in ["", "H", "HTTP", "HTTQ", "hello", "HTTP.", "HTTP/1"] {
        let leniency = with(Leniency::default(), |leniency| leniency.missing_head = true);
        let limits = Limits::default();
        let mut guard = Guard::new(limits, UnexpectedContinue::Error).with_leniency(leniency);
        guard.begin(RequestKind::Plain, false);
        // Byte by byte: what is not consumed is passed again, with one byte more.
        let (mut read, mut had, mut head) = (String::new(), 0, false);
        for end in 1..=body.len() {
            loop {
                let step = guard.feed(&body.as_bytes()[had..end]).unwrap();
                if let GuardEvent::Data(range) = step.event.clone() {
                    read.push_str(&body[had..][range]);
                }
                had += step.consumed;
                head |= step.event == GuardEvent::Head;
                if step.event == GuardEvent::NeedMore {
                    break;
                }
            }
        }
        let missing = !"HTTP/1".starts_with(body);
        assert_eq!(head, missing, "{body}");
        if missing {
            assert_eq!(read, body);
            assert_eq!(guard.head().version, Version::Http09);
            assert_eq!(guard.eof().unwrap(), GuardEvent::End);
            assert!(!guard.keep_alive().reusable);
        } else {
            assert!(guard.eof().is_err(), "{body}");
        }
    }
}
