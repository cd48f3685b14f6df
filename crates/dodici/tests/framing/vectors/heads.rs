//! Status lines and field lines.

use dodici_pool::ErrorKind::HeadersOverflow;
use dodici_pool::ParseErrorCode::{
    CrExpected, InvalidConstant, InvalidContentLength, InvalidHeaderToken, InvalidStatus,
    InvalidVersion, LfExpected,
};

use super::{EMPTY, OK, refused, run, with};
use crate::support::{plain, response};

#[test]
fn s22_bare_line_feeds_are_refused_wherever_they_end_a_line() {
    run(&[
        refused(
            "bare LF ends the status line",
            format!("HTTP/1.1 200 OK\nA: b\r\n{EMPTY}"),
            CrExpected,
        ),
        refused(
            "bare LF ends a header",
            format!("{OK}A: b\n{EMPTY}"),
            CrExpected,
        ),
        refused(
            "bare LF ends the framing header",
            format!("{OK}Content-Length: 0\n\r\n"),
            CrExpected,
        ),
        refused(
            "bare LF ends every line",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            CrExpected,
        ),
        refused(
            "bare LF as the final blank line only",
            format!("{OK}Content-Length: 0\r\n\n"),
            CrExpected,
        ),
        refused(
            "CR CR LF after the status line",
            format!("HTTP/1.1 200 OK\r\r\nA: b\r\n{EMPTY}"),
            LfExpected,
        ),
        refused(
            "CR CR LF after a header",
            format!("{OK}A: b\r\r\n{EMPTY}"),
            LfExpected,
        ),
        refused(
            "CR CR LF after a bare status",
            "HTTP/1.1 200\r\r\n\r\n",
            LfExpected,
        ),
        refused(
            "LF CR between headers",
            format!("{OK}A: b\n\r{EMPTY}"),
            CrExpected,
        ),
    ]);
}

#[test]
fn s22_control_bytes_in_header_values_are_refused() {
    let mut vectors = vec![
        refused(
            "bare CR in a value",
            format!("{OK}A: b\rc\r\n{EMPTY}"),
            LfExpected,
        ),
        refused(
            "bare CR starts a value",
            format!("{OK}A:\rb\r\n{EMPTY}"),
            LfExpected,
        ),
    ];
    for byte in (0..32).chain([127]) {
        if matches!(byte, b'\t' | b'\r' | b'\n') {
            continue;
        }
        let mut bytes = OK.as_bytes().to_vec();
        bytes.extend([b"A: b".as_slice(), &[byte], b"c\r\n", EMPTY.as_bytes()].concat());
        vectors.push(refused(
            "control byte in a value",
            bytes,
            InvalidHeaderToken,
        ));
    }
    run(&vectors);
}

#[test]
fn s22_folded_lines_are_refused() {
    run(&[
        refused(
            "fold with SP",
            format!("{OK}A: b\r\n c\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "fold with TAB",
            format!("{OK}A: b\r\n\tc\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "fold on Content-Length",
            format!("{OK}Content-Length: 1\r\n 0\r\n\r\n"),
            InvalidHeaderToken,
        ),
        refused(
            "fold on an empty Content-Length",
            format!("{OK}Content-Length:\r\n 3\r\n\r\nabc"),
            InvalidContentLength,
        ),
        refused(
            "fold on Transfer-Encoding",
            format!("{OK}Transfer-Encoding: gzip,\r\n chunked\r\n\r\n"),
            InvalidHeaderToken,
        ),
        refused(
            "white space before the first header",
            format!("{OK} A: b\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "a line of white space",
            format!("{OK}A: b\r\n \r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
    ]);
}

#[test]
fn s22_malformed_header_names_are_refused() {
    let mut vectors = vec![
        refused(
            "SP before the colon",
            format!("{OK}A : b\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "TAB before the colon",
            format!("{OK}A\t: b\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "SP before the colon of Content-Length",
            format!("{OK}Content-Length : 0\r\n\r\n"),
            InvalidHeaderToken,
        ),
        refused(
            "SP inside a name",
            format!("{OK}A B: c\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "empty name",
            format!("{OK}: b\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "no colon",
            format!("{OK}Abc\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
        refused(
            "bare CR in a name",
            format!("{OK}A\rB: c\r\n{EMPTY}"),
            InvalidHeaderToken,
        ),
    ];
    for byte in 0..=255u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if token || matches!(byte, b'\n' | b':') {
            continue;
        }
        let mut bytes = OK.as_bytes().to_vec();
        bytes.extend([b"A".as_slice(), &[byte], b"B: c\r\n", EMPTY.as_bytes()].concat());
        vectors.push(refused(
            "byte that is no token byte in a name",
            bytes,
            InvalidHeaderToken,
        ));
    }
    run(&vectors);
}

#[test]
fn s22_other_protocols_and_versions_are_refused_at_their_first_wrong_byte() {
    let line = |start: &str| format!("{start} 200 OK\r\n{EMPTY}");
    run(&[
        refused("HTTP/0.9", line("HTTP/0.9"), InvalidVersion),
        refused("HTTP/2.0", line("HTTP/2.0"), InvalidVersion),
        refused("HTTP/1.2", line("HTTP/1.2"), InvalidVersion),
        refused("HTTP/11.1", line("HTTP/11.1"), InvalidVersion),
        refused("HTTP/1.10", line("HTTP/1.10"), InvalidVersion),
        refused("HTTP/1", line("HTTP/1"), InvalidVersion),
        refused("RTSP", line("RTSP/1.0"), InvalidConstant),
        refused("ICE", line("ICE/1.0"), InvalidConstant),
        refused("ICY", "ICY 200 OK\r\n\r\n", InvalidConstant),
        refused("lower case", line("http/1.1"), InvalidConstant),
        refused(
            "HTT/1.1, of undici's tests",
            "HTT/1.1 200 OK\r\n",
            InvalidConstant,
        ),
        refused(
            "a TLS alert",
            b"\x15\x03\x03\x00\x02\x02\x28",
            InvalidConstant,
        ),
        refused("an SSH banner without its end", "SSH-2.0-", InvalidConstant),
        refused(
            "HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            InvalidConstant,
        ),
        refused("HTTP/0.9 body", "<html>", InvalidConstant),
    ]);
}

#[test]
fn s22_status_codes_have_three_digits_and_are_at_least_100() {
    let status = |rest: &str| format!("HTTP/1.1 {rest}\r\n{EMPTY}");
    let empty = |code| response(code).field("Content-Length", "0");
    run(&[
        refused("2 digits", status("20 OK"), InvalidStatus),
        refused("4 digits", status("2000 OK"), InvalidStatus),
        refused("2x0", status("2x0 OK"), InvalidStatus),
        refused("double SP", status(" 200 OK"), InvalidStatus),
        refused(
            "TAB before the status",
            format!("HTTP/1.1\t200 OK\r\n{EMPTY}"),
            InvalidVersion,
        ),
        refused("TAB behind the status", status("200\tOK"), InvalidStatus),
        refused("no SP behind the status", status("200OK"), InvalidStatus),
        refused("minus", status("-20 OK"), InvalidStatus),
        refused("no status", status(""), InvalidStatus),
        refused("000", status("000 Zero"), InvalidStatus),
        refused("099", status("099 Low"), InvalidStatus),
        plain("600", status("600 X")).answers(empty(600).reason("X")),
        plain("999", status("999 X")).answers(empty(999).reason("X")),
        plain("empty reason", status("200 ")).answers(empty(200).reason("")),
        plain("missing reason", status("200")).answers(empty(200).reason("")),
        plain("reason with white space", status("200  a\tb ")).answers(empty(200).reason(" a\tb ")),
        plain(
            "reason with high bytes",
            [b"HTTP/1.1 200 \xe9\xff\x80\r\n", EMPTY.as_bytes()].concat(),
        )
        .answers(empty(200).reason(b"\xe9\xff\x80")),
        refused("bare CR in the reason", status("200 a\rb"), LfExpected),
        refused("NUL in the reason", status("200 a\0b"), InvalidHeaderToken),
        refused(
            "control byte in the reason",
            status("200 a\u{1}b"),
            InvalidHeaderToken,
        ),
        refused(
            "DEL in the reason",
            status("200 a\u{7f}b"),
            InvalidHeaderToken,
        ),
    ]);
}

#[test]
fn s22_empty_lines_before_a_status_line_are_skipped_within_the_limit_of_the_head() {
    let good = with("Content-Length: 1", "a");
    let behind = |start: &str| [start.as_bytes(), &good].concat();
    let accepted = || response(200).field("Content-Length", "1").body("a");
    run(&[
        plain("CRLF", behind("\r\n")).answers(accepted()),
        plain("CRLF twice", behind("\r\n\r\n")).answers(accepted()),
        plain("CRLF behind a 103", behind("HTTP/1.1 103 E\r\n\r\n\r\n"))
            .answers(accepted().informational(1)),
        plain("8,192 times", behind(&"\r\n".repeat(8_192))).refused(HeadersOverflow),
        refused("LF", behind("\n"), CrExpected),
        refused("CR", behind("\r"), LfExpected),
        refused("CRLF and LF", behind("\r\n\n"), CrExpected),
        refused("CRLF and a space", behind("\r\n "), InvalidConstant),
    ]);
}

#[test]
fn s28_a_head_may_have_16_kib_and_not_one_byte_more() {
    let field = |len: usize| {
        with(
            &format!(
                "Content-Length: 0\r\nA: {}",
                "b".repeat(len - 17 - 19 - 3 - 4)
            ),
            "",
        )
    };
    let reason = |len: usize| {
        format!(
            "HTTP/1.1 200 {}\r\n{EMPTY}",
            "r".repeat(len - 13 - 2 - EMPTY.len())
        )
    };
    let overflow =
        |name, bytes: &dyn AsRef<[u8]>| plain(name, bytes.as_ref()).refused(HeadersOverflow);
    let mut fields = response(200);
    let mut many = OK.to_owned();
    for _ in 0..4_000 {
        many.push_str("a:\r\n");
        fields = fields.field("a", "");
    }
    many.push_str(EMPTY);
    run(&[
        plain("exactly 16 KiB", field(16_384)).answers(
            response(200)
                .field("Content-Length", "0")
                .field("A", "b".repeat(16_384 - 17 - 19 - 3 - 4)),
        ),
        overflow("16 KiB and a byte", &field(16_385)),
        overflow("100 KB", &field(100_000)),
        overflow("500 KB", &field(500_000)),
        plain("reason counts, exactly 16 KiB", reason(16_384)).answers(
            response(200)
                .reason("r".repeat(16_384 - 13 - 2 - EMPTY.len()))
                .field("Content-Length", "0"),
        ),
        overflow("reason of 20 KB", &reason(20_000)),
        overflow(
            "a line without end",
            &format!("HTTP/1.1 200 {}", "x".repeat(1 << 20)),
        ),
        plain("4,000 headers: only bytes decide", many)
            .answers(fields.field("Content-Length", "0")),
    ]);
}

#[test]
fn s28_a_small_limit_is_kept_to_the_byte() {
    // Longer than the marker's head, which has to pass as well.
    let bytes = with(
        "A: 0123456789012345678901234567890123456789\r\nContent-Length: 0",
        "",
    );
    let accepted = response(200)
        .field("A", "0123456789012345678901234567890123456789")
        .field("Content-Length", "0");
    run(&[
        plain("as large as the limit", &bytes)
            .max_header_size(bytes.len())
            .fresh_only()
            .answers(accepted),
        plain("one byte larger", &bytes)
            .max_header_size(bytes.len() - 1)
            .fresh_only()
            .refused(HeadersOverflow),
        plain("cut in the status line", &bytes)
            .max_header_size(10)
            .fresh_only()
            .refused(HeadersOverflow),
        plain("not even a version", &bytes)
            .max_header_size(0)
            .fresh_only()
            .refused(HeadersOverflow),
    ]);
}

#[test]
fn s31_names_and_values_are_plain_bytes() {
    let mut bytes = OK.as_bytes().to_vec();
    bytes.extend_from_slice(
        b"__proto__: a\r\nconstructor: b\r\ntoString: \xe9\x80\xff\r\nX-MiXeD:c\r\n",
    );
    bytes.extend_from_slice(
        b"x-mixed:  inner  space\tkept \t\r\nempty:\r\n!#$%&'*+-.^_`|~09: d\r\n",
    );
    bytes.extend_from_slice(EMPTY.as_bytes());
    run(&[plain("odd names, high bytes", bytes).answers(
        response(200)
            .field("__proto__", "a")
            .field("constructor", "b")
            .field("toString", b"\xe9\x80\xff")
            .field("X-MiXeD", "c")
            .field("x-mixed", "inner  space\tkept")
            .field("empty", "")
            .field("!#$%&'*+-.^_`|~09", "d")
            .field("Content-Length", "0"),
    )]);
}

#[test]
fn s22_trailing_white_space_of_a_value_is_stripped() {
    run(&[plain(
        "b and three spaces",
        with("A: b   \r\nContent-Length: 0", ""),
    )
    .answers(response(200).field("A", "b").field("Content-Length", "0"))]);
}
