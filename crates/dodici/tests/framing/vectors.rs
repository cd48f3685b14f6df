//! The HTTP/1.1 table of the requirements as data: exact bytes in, exact outcome out.
//!
//! Every vector runs whole, byte by byte and split in two at every position, once with the
//! connection left open and once with the peer's end behind it, once on a fresh connection and
//! once on a used one. Where the connection stays reusable, a marker response follows in the same
//! stream and must come out intact.

use crate::support::{Vector, chunked, plain, response};
use dodici_pool::ErrorKind::{self, HeadersOverflow, Parse, ResponseContentLengthMismatch, Socket};
use dodici_pool::ParseErrorCode::{
    CrExpected, InvalidChunkSize, InvalidConstant, InvalidContentLength, InvalidEofState,
    InvalidHeaderToken, InvalidStatus, InvalidTransferEncoding, InvalidVersion, LfExpected, Strict,
    UnexpectedContentLength,
};
use dodici_pool::{ParseErrorCode, RequestKind, UnexpectedContinue};

/// A response that must be refused, with the connection still open.
fn refused(name: &'static str, bytes: impl AsRef<[u8]>, code: ParseErrorCode) -> Vector {
    plain(name, bytes).refused(Parse(code))
}

fn run(vectors: &[Vector]) {
    for vector in vectors {
        vector.check();
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const EMPTY: &str = "Content-Length: 0\r\n\r\n";

/// A head with these field lines, CRLF added, and the given body.
fn with(fields: &str, body: &str) -> Vec<u8> {
    format!("{OK}{fields}\r\n\r\n{body}").into_bytes()
}

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
fn s22_content_lengths_that_can_be_read_in_two_ways_are_refused() {
    run(&[
        refused(
            "twice, same value",
            with("Content-Length: 2\r\nContent-Length: 2", "ab"),
            UnexpectedContentLength,
        ),
        refused(
            "twice, same value, other case",
            with("content-length: 2\r\nCONTENT-LENGTH: 2", "ab"),
            UnexpectedContentLength,
        ),
        refused(
            "a list of equal values",
            with("Content-Length: 2, 2", "ab"),
            InvalidContentLength,
        ),
        refused(
            "different values",
            with("Content-Length: 2\r\nContent-Length: 3", "abc"),
            UnexpectedContentLength,
        ),
        refused(
            "plus sign",
            with("Content-Length: +2", "ab"),
            InvalidContentLength,
        ),
        refused(
            "minus sign",
            with("Content-Length: -2", "ab"),
            InvalidContentLength,
        ),
        refused(
            "hexadecimal",
            with("Content-Length: 0x2", "ab"),
            InvalidContentLength,
        ),
        refused("empty", with("Content-Length:", "ab"), InvalidContentLength),
        refused(
            "only white space",
            with("Content-Length: \t ", "ab"),
            InvalidContentLength,
        ),
        refused(
            "junk",
            with("Content-Length: 2a", "ab"),
            InvalidContentLength,
        ),
        refused(
            "two numbers",
            with("Content-Length: 2 2", "ab"),
            InvalidContentLength,
        ),
        refused(
            "fraction",
            with("Content-Length: 2.0", "ab"),
            InvalidContentLength,
        ),
        refused(
            "superscript digit",
            with("Content-Length: \u{b2}", "ab"),
            InvalidContentLength,
        ),
        refused(
            "2^64-1",
            with("Content-Length: 18446744073709551615", "ab"),
            InvalidContentLength,
        ),
        refused(
            "2^64",
            with("Content-Length: 18446744073709551616", "ab"),
            InvalidContentLength,
        ),
        refused(
            "2^53",
            with("Content-Length: 9007199254740992", "ab"),
            InvalidContentLength,
        ),
        refused(
            "a hundred digits",
            with(&format!("Content-Length: {}", "9".repeat(100)), "ab"),
            InvalidContentLength,
        ),
    ]);
}

#[test]
fn s22_plain_content_lengths_are_accepted() {
    run(&[
        plain("surrounded by tabs", with("Content-Length:\t2\t", "ab"))
            .answers(response(200).field("Content-Length", "2").body("ab")),
        plain("no white space", with("Content-Length:2", "ab"))
            .answers(response(200).field("Content-Length", "2").body("ab")),
        plain("leading zeros", with("Content-Length: 0002", "ab"))
            .answers(response(200).field("Content-Length", "0002").body("ab")),
        plain("zero", with("Content-Length: 0", ""))
            .answers(response(200).field("Content-Length", "0")),
        plain("2^53-1", with("Content-Length: 9007199254740991", "ab"))
            .answers(
                response(200)
                    .field("Content-Length", "9007199254740991")
                    .body("ab")
                    .pending(),
            )
            .at_eof(Socket),
    ]);
}

#[test]
fn s22_content_length_beside_transfer_encoding_is_refused() {
    run(&[
        refused(
            "CL then TE",
            with(
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            UnexpectedContentLength,
        ),
        refused(
            "TE then CL",
            with(
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                "0\r\n\r\n",
            ),
            UnexpectedContentLength,
        ),
        refused(
            "TE identity and CL",
            with("Transfer-Encoding: identity\r\nContent-Length: 2", "ab"),
            UnexpectedContentLength,
        ),
        refused(
            "CL 0 and TE",
            with(
                "Content-Length: 0\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            UnexpectedContentLength,
        ),
        refused(
            "CL and TE on a 304",
            b"HTTP/1.1 304 N\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            UnexpectedContentLength,
        ),
        refused(
            "TE on HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            InvalidTransferEncoding,
        ),
    ]);
}

#[test]
fn s22_transfer_codings_are_read_as_rfc_9112_says() {
    let codings = |value: &str| {
        with(
            &format!("Transfer-Encoding: {value}"),
            "2\r\nab\r\n0\r\n\r\n",
        )
    };
    let decoded = |name, value: &'static str| {
        plain(name, codings(value))
            .answers(response(200).field("Transfer-Encoding", value).body("ab"))
    };
    let to_the_end = |name, value: &'static str| {
        plain(name, codings(value))
            .answers(
                response(200)
                    .field("Transfer-Encoding", value)
                    .body("2\r\nab\r\n0\r\n\r\n")
                    .not_reusable()
                    .pending(),
            )
            .ends_at_eof()
    };
    run(&[
        decoded("chunked", "chunked"),
        decoded("any case", "ChUnKeD"),
        decoded("gzip, then chunked", "gzip,chunked").with_other_codings(),
        decoded("gzip, then chunked, with white space", "gzip ,\tchunked").with_other_codings(),
        decoded("quoted comma in a parameter", "a;b=\"c,d\", chunked").with_other_codings(),
        decoded("empty list elements", ",chunked ,"),
        plain(
            "two fields",
            with(
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
                "2\r\nab\r\n0\r\n\r\n",
            ),
        )
        .answers(
            response(200)
                .field("Transfer-Encoding", "gzip")
                .field("Transfer-Encoding", "chunked")
                .body("ab"),
        )
        .with_other_codings(),
        to_the_end("chunked, then gzip", "chunked,gzip"),
        to_the_end("xchunked", "xchunked"),
        to_the_end("chunkedx", "chunkedx"),
        to_the_end("quoted", "\"chunked\""),
        to_the_end("with a parameter", "chunked;q=1"),
        to_the_end("identity", "identity"),
        to_the_end("two words", "x chunked"),
        refused(
            "chunked twice",
            codings("chunked, chunked"),
            InvalidTransferEncoding,
        ),
        refused(
            "chunked twice around gzip",
            codings("chunked, gzip, chunked"),
            InvalidTransferEncoding,
        ),
        refused(
            "chunked twice in two fields",
            with(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            InvalidTransferEncoding,
        ),
        refused("empty", codings(""), InvalidTransferEncoding),
        refused("only commas", codings(", ,"), InvalidTransferEncoding),
        refused(
            "unbalanced quote",
            codings("a;b=\"c, chunked"),
            InvalidTransferEncoding,
        ),
        refused("control byte", codings("\u{b}chunked"), InvalidHeaderToken),
    ]);
}

#[test]
fn s22_chunk_lines_are_read_strictly() {
    let after = |line: &str| chunked(&format!("{line}ab\r\n0\r\n\r\n"));
    let accepted = |name, line: &str| {
        plain(name, after(line)).answers(
            response(200)
                .field("Transfer-Encoding", "chunked")
                .body("ab"),
        )
    };
    run(&[
        accepted("plain", "2\r\n"),
        accepted("16 digits", "0000000000000002\r\n"),
        accepted("extension without value", "2;a\r\n"),
        accepted("extension with token", "2;a=b\r\n"),
        accepted("extension with quoted string", "2;a=\"b c\\\"\t;\"\r\n"),
        accepted("two extensions", "2;a=\"\";b\r\n"),
        refused("SP before CRLF", after("2 \r\n"), InvalidChunkSize),
        refused("TAB before CRLF", after("2\t\r\n"), InvalidChunkSize),
        refused(
            "SP before the extension",
            after("2 ;a\r\n"),
            InvalidChunkSize,
        ),
        refused("leading SP", after(" 2\r\n"), InvalidChunkSize),
        refused("empty extension", after("2;\r\n"), Strict),
        refused("two semicolons", after("2;;a\r\n"), Strict),
        refused("SP in an extension", after("2; a\r\n"), Strict),
        refused("extension without its value", after("2;a=\r\n"), Strict),
        refused("extension without its name", after("2;=a\r\n"), Strict),
        refused("unbalanced quote", after("2;a=\"b\r\n"), Strict),
        refused(
            "unbalanced quote behind a backslash",
            after("2;a=\"b\\\"\r\n"),
            Strict,
        ),
        refused(
            "bytes behind a quoted string",
            after("2;a=\"b\"c\r\n"),
            Strict,
        ),
        refused(
            "bare LF in a quoted string",
            after("2;a=\"b\n\"\r\n"),
            Strict,
        ),
        refused("bare LF behind an extension", after("2;a\n"), CrExpected),
        refused(
            "17 digits",
            after("11111111111111111\r\n"),
            InvalidChunkSize,
        ),
        refused(
            "17 digits, all but one zero",
            after("00000000000000002\r\n"),
            InvalidChunkSize,
        ),
        refused(
            "1,000 leading zeros",
            after(&format!("{}2\r\n", "0".repeat(1_000))),
            InvalidChunkSize,
        ),
        refused("2^53", after("20000000000000\r\n"), InvalidChunkSize),
        refused("2^64-1", after("FFFFFFFFFFFFFFFF\r\n"), InvalidChunkSize),
        refused("0x", after("0x2\r\n"), InvalidChunkSize),
        refused("minus", after("-2\r\n"), InvalidChunkSize),
        refused("plus", after("+2\r\n"), InvalidChunkSize),
        refused("junk", after("2g\r\n"), InvalidChunkSize),
        refused("blank", after("\r\n"), InvalidChunkSize),
        refused("only LF", after("\n"), InvalidChunkSize),
        refused("bare LF behind the size", after("2\n"), CrExpected),
        refused("CR without LF", after("2\rX"), LfExpected),
        refused(
            "data longer than its size",
            chunked("2\r\nabc\r\n0\r\n\r\n"),
            CrExpected,
        ),
        refused(
            "data shorter than its size",
            chunked("3\r\nab\r\n0\r\n\r\n"),
            CrExpected,
        ),
        refused(
            "bare LF behind the data",
            chunked("2\r\nab\n0\r\n\r\n"),
            CrExpected,
        ),
        refused(
            "CR without LF behind the data",
            chunked("2\r\nab\rX0\r\n\r\n"),
            LfExpected,
        ),
        plain("2^53-1", after("1FFFFFFFFFFFFF\r\n"))
            .answers(
                response(200)
                    .field("Transfer-Encoding", "chunked")
                    .body("ab\r\n0\r\n\r\n")
                    .pending(),
            )
            .at_eof(Socket),
        plain(
            "many chunks",
            chunked("1\r\na\r\n2\r\nbc\r\nA\r\n0123456789\r\n00\r\n\r\n"),
        )
        .answers(
            response(200)
                .field("Transfer-Encoding", "chunked")
                .body("abc0123456789"),
        ),
    ]);
}

#[test]
fn s29_chunk_extensions_are_limited_per_body() {
    let extension = |len: usize| format!(";{}", "a".repeat(len - 1));
    let one = |len| chunked(&format!("1{}\r\na\r\n0\r\n\r\n", extension(len)));
    let spread = |chunks: usize, len| {
        chunked(&format!(
            "{}0\r\n\r\n",
            format!("1{}\r\na\r\n", extension(len)).repeat(chunks)
        ))
    };
    let head = || response(200).field("Transfer-Encoding", "chunked");
    run(&[
        plain("16 KiB", one(16_384)).answers(head().body("a")),
        refused("16 KiB and a byte", one(16_385), Strict),
        refused("20 KB", one(20_000), Strict),
        plain("64 times 256 bytes", spread(64, 256)).answers(head().body("a".repeat(64))),
        refused("65 times 256 bytes", spread(65, 256), Strict),
        refused("200 KB in all", spread(1_000, 200), Strict),
    ]);
}

#[test]
fn s29_trailers_are_kept_exactly_and_limited() {
    let trailers = |fields: &str| chunked(&format!("2\r\nab\r\n0\r\n{fields}\r\n"));
    let head = || {
        response(200)
            .field("Transfer-Encoding", "chunked")
            .body("ab")
    };
    let many = |count| "T: v\r\n".repeat(count);
    let mut lots = head();
    for _ in 0..1_000 {
        lots = lots.trailer("T", "v");
    }
    let mut three_hundred = head();
    for _ in 0..300 {
        three_hundred = three_hundred.trailer("T", "v");
    }
    let sized = |len: usize| format!("T: {}\r\n", "v".repeat(len - 7));
    let mut vectors = vec![
        plain(
            "order, case and duplicates",
            trailers("B: 1\r\na:  2 \r\nB: 3\r\nEmpty:\r\n"),
        )
        .answers(
            head()
                .trailer("B", "1")
                .trailer("a", "2")
                .trailer("B", "3")
                .trailer("Empty", ""),
        ),
        plain("300 fields", trailers(&many(300))).answers(three_hundred),
        plain("1,000 fields", trailers(&many(1_000))).answers(lots),
        plain("1,001 fields", trailers(&many(1_001))).refused(HeadersOverflow),
        plain("16 KiB", trailers(&sized(16_384)))
            .answers(head().trailer("T", "v".repeat(16_384 - 7))),
        plain("16 KiB and a byte", trailers(&sized(16_385))).refused(HeadersOverflow),
        refused(
            "Content-Length",
            trailers("Content-Length: 2\r\n"),
            UnexpectedContentLength,
        ),
        refused(
            "Transfer-Encoding",
            trailers("transfer-encoding: chunked\r\n"),
            InvalidTransferEncoding,
        ),
        refused("bare LF", trailers("A: b\n"), CrExpected),
        refused(
            "bare LF, nothing behind it",
            chunked("0\r\nA: b\n"),
            CrExpected,
        ),
        refused(
            "bare LF as the final blank line",
            chunked("0\r\nA: b\r\n\n"),
            CrExpected,
        ),
        refused(
            "bare LF instead of trailers",
            chunked("0\r\n\n"),
            CrExpected,
        ),
        refused(
            "folded line",
            trailers("A: b\r\n c\r\n"),
            InvalidHeaderToken,
        ),
        refused(
            "SP before the colon",
            trailers("A : b\r\n"),
            InvalidHeaderToken,
        ),
        refused("control byte", trailers("A: \0\r\n"), InvalidHeaderToken),
        refused("bare CR", trailers("A: b\rc\r\n"), LfExpected),
    ];
    for name in [
        "Host",
        "TE",
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
    ] {
        vectors.push(refused(
            "forbidden field",
            trailers(&format!("{name}: x\r\n")),
            Strict,
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
fn s24_a_peer_that_closes_directly_behind_a_complete_body_is_no_error() {
    // `check` runs each of these with the peer's end behind the last byte, split everywhere.
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
fn s22_100_continue_without_expect_is_ignored_or_an_error_as_the_face_wants() {
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
fn s27_a_protocol_switch_nobody_asked_for_is_an_error() {
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

#[test]
fn s22_bytes_behind_a_complete_response_are_left_to_the_owner() {
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
