//! Content lengths, transfer codings, chunks and trailers.

use dodici_pool::ErrorKind::{HeadersOverflow, Socket};
use dodici_pool::ParseErrorCode::{
    CrExpected, InvalidChunkSize, InvalidContentLength, InvalidHeaderToken,
    InvalidTransferEncoding, LfExpected, Strict, UnexpectedContentLength,
};

use super::{refused, run, with};
use crate::support::{chunked, plain, response};

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
fn s29_extensions_are_limited_per_chunk() {
    let extension = |len: usize| format!(";{}", "a".repeat(len - 1));
    let one = |len| chunked(&format!("1{}\r\na\r\n0\r\n\r\n", extension(len)));
    let spread = |chunks: usize, len| {
        chunked(&format!(
            "{}0\r\n\r\n",
            format!("1{}\r\na\r\n", extension(len)).repeat(chunks)
        ))
    };
    let head = || response(200).field("Transfer-Encoding", "chunked");
    let second = chunked(&format!(
        "1;b\r\na\r\n1{}\r\na\r\n0\r\n\r\n",
        extension(16_385)
    ));
    run(&[
        plain("16 KiB", one(16_384)).answers(head().body("a")),
        refused("16 KiB and a byte", one(16_385), Strict),
        refused("20 KB", one(20_000), Strict),
        plain("65 times 256 bytes", spread(65, 256)).answers(head().body("a".repeat(65))),
        plain("200 KB in all", spread(1_000, 200)).answers(head().body("a".repeat(1_000))),
        refused("too many in the second", second, Strict),
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
