//! Where a response ends, and what may surround it: no body, persistence, FIN, truncation,
//! informational responses, switches.

use dodici_pool::ErrorKind::{HeadersOverflow, Parse, ResponseContentLengthMismatch, Socket};
use dodici_pool::ParseErrorCode::{CrExpected, InvalidEofState, Strict};
use dodici_pool::{ErrorKind, RequestKind, UnexpectedContinue};

use super::{refused, run, with};
use crate::support::{chunked, plain, response};

#[test]
fn s22_responses_without_body_end_at_their_head() {
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    run(&[
        plain("204", head("204 No Content", "")).answers(response(204).reason("No Content")),
        plain("204 with CL 0", head("204 N", "Content-Length: 0\r\n"))
            .answers(response(204).reason("N").field("Content-Length", "0")),
        plain("204 with CL", head("204 N", "Content-Length: 5\r\n")).answers(
            response(204)
                .reason("N")
                .field("Content-Length", "5")
                .not_reusable(),
        ),
        plain(
            "204 with TE",
            head("204 N", "Transfer-Encoding: chunked\r\n"),
        )
        .answers(
            response(204)
                .reason("N")
                .field("Transfer-Encoding", "chunked")
                .not_reusable(),
        ),
        plain("304", head("304 N", "")).answers(response(304).reason("N")),
        plain("304 with CL", head("304 N", "Content-Length: 5\r\n"))
            .answers(response(304).reason("N").field("Content-Length", "5")),
        plain(
            "304 with TE",
            head("304 N", "Transfer-Encoding: chunked\r\n"),
        )
        .answers(
            response(304)
                .reason("N")
                .field("Transfer-Encoding", "chunked"),
        ),
        plain("304 that closes", head("304 N", "Connection: close\r\n")).answers(
            response(304)
                .reason("N")
                .field("Connection", "close")
                .not_reusable(),
        ),
        plain("HEAD", head("200 OK", ""))
            .to(RequestKind::Head)
            .answers(response(200)),
        plain("HEAD with CL", head("200 OK", "Content-Length: 5\r\n"))
            .to(RequestKind::Head)
            .answers(response(200).field("Content-Length", "5")),
        plain(
            "HEAD with TE",
            head("200 OK", "Transfer-Encoding: chunked\r\n"),
        )
        .to(RequestKind::Head)
        .answers(response(200).field("Transfer-Encoding", "chunked")),
        plain("HEAD, 204 with CL", head("204 N", "Content-Length: 5\r\n"))
            .to(RequestKind::Head)
            .answers(response(204).reason("N").field("Content-Length", "5")),
        plain("HEAD that closes", head("200 OK", "Connection: close\r\n"))
            .to(RequestKind::Head)
            .answers(response(200).field("Connection", "close").not_reusable()),
        plain(
            "205 has the body it announces",
            head("205 R", "Content-Length: 1\r\n") + "a",
        )
        .answers(
            response(205)
                .reason("R")
                .field("Content-Length", "1")
                .body("a"),
        ),
    ]);
}

#[test]
fn s22_persistence_follows_version_and_connection_options() {
    let message = |version: &str, connection: &str| {
        format!("HTTP/{version} 200 OK\r\nConnection: {connection}\r\nContent-Length: 1\r\n\r\na")
    };
    let answer = |connection: &str| {
        response(200)
            .field("Connection", connection)
            .field("Content-Length", "1")
            .body("a")
    };
    let reusable = |version, connection| {
        plain("kept", message(version, connection)).answers(answer(connection).version(version))
    };
    let closing = |version, connection| {
        plain("closed", message(version, connection))
            .answers(answer(connection).version(version).not_reusable())
    };
    run(&[
        reusable("1.1", "keep-alive"),
        reusable("1.1", "x"),
        reusable("1.1", "closed, xclose, close x"),
        closing("1.1", "close"),
        closing("1.1", "CLOSE"),
        closing("1.1", "close, keep-alive"),
        closing("1.1", "keep-alive,\tclose"),
        closing("1.1", "x,,close ,y"),
        reusable("1.0", "keep-alive"),
        reusable("1.0", "Keep-Alive, x"),
        closing("1.0", "x"),
        closing("1.0", "close"),
        closing("1.0", "keep-alive, close"),
        plain(
            "HTTP/1.0 says nothing",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        )
        .answers(
            response(200)
                .version("1.0")
                .field("Content-Length", "1")
                .body("a")
                .not_reusable(),
        ),
        plain(
            "options in two fields",
            with(
                "Connection: keep-alive\r\nConnection: close\r\nContent-Length: 1",
                "a",
            ),
        )
        .answers(
            response(200)
                .field("Connection", "keep-alive")
                .field("Connection", "close")
                .field("Content-Length", "1")
                .body("a")
                .not_reusable(),
        ),
        plain("no framing at all", with("A: b", "to the end"))
            .answers(
                response(200)
                    .field("A", "b")
                    .body("to the end")
                    .not_reusable()
                    .pending(),
            )
            .ends_at_eof(),
        plain("no framing, kept", with("Connection: keep-alive", "x"))
            .answers(
                response(200)
                    .field("Connection", "keep-alive")
                    .body("x")
                    .not_reusable()
                    .pending(),
            )
            .ends_at_eof(),
        plain("no framing, no body", with("A: b", ""))
            .answers(response(200).field("A", "b").not_reusable().pending())
            .ends_at_eof(),
    ]);
}

#[test]
fn s24_a_close_directly_after_a_complete_body_is_no_error() {
    // `check` runs each of these with the peer's end after the last byte, split everywhere.
    run(&[
        plain(
            "length",
            with("Connection: close\r\nContent-Length: 2", "ab"),
        )
        .answers(
            response(200)
                .field("Connection", "close")
                .field("Content-Length", "2")
                .body("ab")
                .not_reusable(),
        ),
        plain(
            "chunked",
            with(
                "Connection: close\r\nTransfer-Encoding: chunked",
                "2\r\nab\r\n0\r\n\r\n",
            ),
        )
        .answers(
            response(200)
                .field("Connection", "close")
                .field("Transfer-Encoding", "chunked")
                .body("ab")
                .not_reusable(),
        ),
        plain("chunked, reusable", chunked("2\r\nab\r\n0\r\n\r\n")).answers(
            response(200)
                .field("Transfer-Encoding", "chunked")
                .body("ab"),
        ),
    ]);
}

#[test]
fn s25_a_truncated_response_is_an_error_at_every_byte() {
    let whole: &[(&[u8], ErrorKind)] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Socket),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
            ResponseContentLengthMismatch,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nA: b\r\n\r\n",
            Socket,
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Parse(InvalidEofState),
        ),
        (b"HTTP/1.1 204 N\r\n\r\n", Socket),
        (b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 304 N\r\n\r\n", Socket),
    ];
    for (bytes, in_body) in whole {
        for len in 0..bytes.len() {
            let (kind, message) = crate::support::truncated(&bytes[..len]);
            let head_done = crate::support::head_is_complete(&bytes[..len]);
            let expected = if head_done { *in_body } else { Socket };
            assert_eq!(
                kind,
                expected,
                "{:?}",
                String::from_utf8_lossy(&bytes[..len])
            );
            assert_eq!(
                message,
                match expected {
                    Socket => "other side closed",
                    ResponseContentLengthMismatch =>
                        "Response body length does not match content-length header",
                    _ => "Response does not match the HTTP/1.1 protocol (Invalid EOF state)",
                }
            );
        }
    }
}

#[test]
fn s26_informational_responses_are_counted_and_capped() {
    let many = |count: usize| {
        [
            b"HTTP/1.1 103 E\r\n\r\n".repeat(count),
            with("Content-Length: 1", "a"),
        ]
        .concat()
    };
    let large = |count: usize| {
        let hint = format!(
            "HTTP/1.1 103 E\r\nLink: {}\r\n\r\n",
            "x".repeat(16_384 - 26)
        );
        [
            hint.repeat(count).into_bytes(),
            with("Content-Length: 1", "a"),
        ]
        .concat()
    };
    let answer = || response(200).field("Content-Length", "1").body("a");
    run(&[
        plain("one", many(1)).answers(answer().informational(1)),
        plain("64", many(64)).answers(answer().informational(64)),
        refused("65", many(65), Strict),
        refused("100,000", many(100_000), Strict),
        plain("64 KiB", large(4)).answers(answer().informational(4)),
        refused("more than 64 KiB", large(5), Strict),
        plain(
            "102 and 199",
            [
                b"HTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.1 199 X\r\n\r\n".as_slice(),
                &with("Content-Length: 1", "a"),
            ]
            .concat(),
        )
        .answers(answer().informational(2)),
        plain(
            "one that announces a body has none and spoils the connection",
            [
                b"HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\n".as_slice(),
                &with("Content-Length: 1", "a"),
            ]
            .concat(),
        )
        .answers(answer().informational(1).not_reusable()),
        plain(
            "over the head limit",
            format!("HTTP/1.1 103 E\r\nA: {}\r\n\r\n", "x".repeat(100)),
        )
        .max_header_size(64)
        .fresh_only()
        .refused(HeadersOverflow),
    ]);
}

#[test]
fn s22_100_continue_without_expect_is_ignored_or_an_error_as_configured() {
    let bytes = [
        b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(),
        &with("Content-Length: 1", "a"),
    ]
    .concat();
    let twice = [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &bytes].concat();
    let answer = || response(200).field("Content-Length", "1").body("a");
    run(&[
        plain("ignored", &bytes).answers(answer().informational(1)),
        plain("an error", &bytes)
            .unexpected_continue(UnexpectedContinue::Error)
            .refused_with(Socket, "bad response"),
        plain("expected", &bytes)
            .expecting_continue()
            .answers(answer().continues(1)),
        plain("expected, strict", &bytes)
            .expecting_continue()
            .unexpected_continue(UnexpectedContinue::Error)
            .answers(answer().continues(1)),
        plain("expected once", &twice)
            .expecting_continue()
            .answers(answer().continues(1).informational(1)),
        plain("expected once, strict", &twice)
            .expecting_continue()
            .unexpected_continue(UnexpectedContinue::Error)
            .refused_with(Socket, "bad response"),
    ]);
}

#[test]
fn s27_an_unsolicited_protocol_switch_is_an_error() {
    const SWITCH: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x/1\r\nConnection: Upgrade\r\n\r\nstream";
    let bad = |name, bytes: &[u8]| plain(name, bytes).refused_with(Socket, "bad upgrade");
    run(&[
        bad("unsolicited", SWITCH),
        bad("to HEAD", SWITCH).to(RequestKind::Head),
        bad("to CONNECT", SWITCH).to(RequestKind::Connect),
        bad(
            "without Upgrade",
            b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n",
        )
        .to(RequestKind::Upgrade),
        bad(
            "with an empty Upgrade",
            b"HTTP/1.1 101 S\r\nUpgrade:\r\nConnection: Upgrade\r\n\r\n",
        )
        .to(RequestKind::Upgrade),
        bad(
            "without Connection",
            b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
        )
        .to(RequestKind::Upgrade),
        plain("asked for", SWITCH)
            .to(RequestKind::Upgrade)
            .upgrades(
                response(101)
                    .reason("Switching Protocols")
                    .field("Upgrade", "x/1")
                    .field("Connection", "Upgrade"),
                b"stream",
            ),
        plain(
            "asked for, after a 103",
            [b"HTTP/1.1 103 E\r\n\r\n".as_slice(), SWITCH].concat(),
        )
        .to(RequestKind::Upgrade)
        .upgrades(
            response(101)
                .reason("Switching Protocols")
                .field("Upgrade", "x/1")
                .field("Connection", "Upgrade")
                .informational(1),
            b"stream",
        ),
        plain("declined", with("Content-Length: 1", "a"))
            .to(RequestKind::Upgrade)
            .answers(response(200).field("Content-Length", "1").body("a")),
    ]);
}

#[test]
fn connect_turns_into_a_stream_on_2xx_only() {
    run(&[
        plain(
            "200",
            "HTTP/1.1 200 Connected\r\n\r\nHTTP/1.1 500 not ours\r\n\r\n",
        )
        .to(RequestKind::Connect)
        .upgrades(
            response(200).reason("Connected"),
            b"HTTP/1.1 500 not ours\r\n\r\n",
        ),
        plain(
            "299 with lengths that say nothing",
            "HTTP/1.1 299 X\r\nContent-Length: 3\r\n\r\nabc",
        )
        .to(RequestKind::Connect)
        .upgrades(
            response(299).reason("X").field("Content-Length", "3"),
            b"abc",
        ),
        plain(
            "103, then 200",
            "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
        )
        .to(RequestKind::Connect)
        .upgrades(response(200).informational(1), b"x"),
        plain("407", "HTTP/1.1 407 P\r\nContent-Length: 1\r\n\r\na")
            .to(RequestKind::Connect)
            .answers(
                response(407)
                    .reason("P")
                    .field("Content-Length", "1")
                    .body("a"),
            ),
        plain("bare LF", "HTTP/1.1 200 OK\n\n")
            .to(RequestKind::Connect)
            .refused(Parse(CrExpected)),
    ]);
}

#[test]
fn s22_bytes_after_a_complete_response_are_left_to_the_owner() {
    for extra in ["\r\n", "x", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        for body in [
            with("Content-Length: 2", "ab"),
            chunked("2\r\nab\r\n0\r\n\r\n"),
            b"HTTP/1.1 304 N\r\n\r\n".to_vec(),
        ] {
            crate::support::assert_leaves_extra_bytes(&body, extra.as_bytes());
        }
    }
}
