//! Response shapes as exact bytes, and what a correct client reports of each: whole, cut
//! off at any byte, reset or stalled there.
//!
//! Used by the fault matrix (settlement tests) and by parser tests.

use dodici_pool::RequestKind;

use crate::fault_proxy::FaultAction;
use crate::message::pattern;

/// One response, byte for byte.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Short name for messages.
    pub name: &'static str,
    /// Request method that it answers.
    pub method: &'static str,
    /// The wire bytes, informational responses included.
    pub bytes: Vec<u8>,
    /// What a client must report.
    pub expected: Expected,
}

/// What a client must report for a complete response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Informational responses: status and fields.
    pub informational: Vec<(u16, Fields)>,
    /// Final status.
    pub status: u16,
    /// Fields of the final head, in wire order, name case kept.
    pub headers: Fields,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// Trailers, in wire order, name case kept.
    pub trailers: Fields,
    /// Whether the body ends with the connection.
    pub until_close: bool,
}

/// Header fields in wire order.
pub type Fields = Vec<(String, String)>;

/// What a client may report for a truncated response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Complete, and exactly the expected one. For a body until close, the expected one up to
    /// the cut.
    Complete,
    /// An error; never a complete response.
    Error,
    /// Either, because the client may see the reset before it has read the last bytes. What it
    /// reports as complete must be exactly the expected response.
    Either,
}

impl Shape {
    /// How responses to such requests are framed.
    pub fn kind(&self) -> RequestKind {
        match self.method {
            "HEAD" => RequestKind::Head,
            _ => RequestKind::Plain,
        }
    }

    /// A minimal request head for it, to `host`.
    pub fn request_head(&self, host: &str) -> Vec<u8> {
        format!(
            "{} /{} HTTP/1.1\r\nhost: {host}\r\n\r\n",
            self.method, self.name
        )
        .into_bytes()
    }

    /// Offset at which the body of the final response begins.
    pub fn body_start(&self) -> usize {
        let mut at = 0;
        for _ in 0..=self.expected.informational.len() {
            at += crate::message::head_end(&self.bytes[at..]).expect("a shape has its heads");
        }
        at
    }

    /// What a client may report when `action` happens after the first `cut` bytes.
    pub fn verdict(&self, cut: usize, action: FaultAction) -> Verdict {
        if cut > self.bytes.len() {
            return Verdict::Complete;
        }
        if self.expected.until_close {
            // Only the FIN ends such a body, at any byte.
            return match action {
                FaultAction::Fin if cut >= self.body_start() => Verdict::Complete,
                _ => Verdict::Error,
            };
        }
        match action {
            _ if cut < self.bytes.len() => Verdict::Error,
            FaultAction::Reset => Verdict::Either,
            FaultAction::Fin | FaultAction::Stall => Verdict::Complete,
        }
    }

    /// The body that a complete report must carry after a cut at `cut`.
    pub fn body_at(&self, cut: usize) -> &[u8] {
        let len = if self.expected.until_close {
            cut.saturating_sub(self.body_start())
                .min(self.expected.body.len())
        } else {
            self.expected.body.len()
        };
        &self.expected.body[..len]
    }

    /// Cuts worth testing: every byte of the heads, the framing and small bodies; of a body over
    /// 1 KiB its first and last 64 bytes and every 1021st (a prime, so that it drifts through all
    /// buffer sizes) between them.
    pub fn cuts(&self) -> Vec<usize> {
        let (start, end) = (self.body_start(), self.bytes.len());
        (0..=end)
            .filter(|&cut| {
                end - start <= 1024
                    || cut < start + 64
                    || cut + 64 > end
                    || (cut - start).is_multiple_of(1021)
            })
            .collect()
    }
}

/// All shapes.
pub fn all() -> Vec<Shape> {
    vec![
        content_length_small(),
        content_length_64k(),
        content_length_empty(),
        chunked_one(),
        chunked_many(),
        chunked_trailers(),
        no_content(),
        not_modified(),
        head(),
        early_hints(),
        until_close(),
    ]
}

/// A body of 13 bytes with its length.
pub fn content_length_small() -> Shape {
    plain(
        "cl-small",
        "200 OK",
        &[("Content-Length", "13")],
        b"Hello, World!",
    )
}

/// A body of 64 KiB with its length.
pub fn content_length_64k() -> Shape {
    plain(
        "cl-64k",
        "200 OK",
        &[("content-length", "65536")],
        &pattern(65536),
    )
}

/// A length of zero.
pub fn content_length_empty() -> Shape {
    plain("cl-empty", "200 OK", &[("Content-Length", "0")], b"")
}

/// One chunk.
pub fn chunked_one() -> Shape {
    chunked(
        "chunked-one",
        &[("Transfer-Encoding", "chunked")],
        &[b"one chunk"],
        &[],
    )
}

/// Seven chunks, sizes up to two digits in both letter cases.
pub fn chunked_many() -> Shape {
    let body = pattern(79);
    let (a, b) = body.split_at(26);
    chunked(
        "chunked-many",
        &[("transfer-encoding", "chunked")],
        &[
            &a[..1],
            &a[1..11],
            a[11..].as_ref(),
            &b[..1],
            &b[1..3],
            &b[3..13],
            &b[13..],
        ],
        &[],
    )
}

/// Chunks, then trailers with a repeated name in different letter cases and an empty value.
pub fn chunked_trailers() -> Shape {
    chunked(
        "chunked-trailers",
        &[
            ("Trailer", "X-Sum, x-sum, X-Empty"),
            ("Transfer-Encoding", "chunked"),
        ],
        &[b"with ", b"trailers"],
        &[("X-Sum", "1"), ("x-sum", "2"), ("X-Empty", "")],
    )
}

/// 204 without any length.
pub fn no_content() -> Shape {
    plain("no-content", "204 No Content", &[("X-A", "b")], b"")
}

/// 304 with the length of the body it does not send.
pub fn not_modified() -> Shape {
    plain(
        "not-modified",
        "304 Not Modified",
        &[("ETag", "\"v1\""), ("Content-Length", "13")],
        b"",
    )
}

/// Answer to HEAD with the length of the body it does not send.
pub fn head() -> Shape {
    Shape {
        method: "HEAD",
        ..plain("head", "200 OK", &[("Content-Length", "13")], b"")
    }
}

/// Two 103 responses, then a 200.
pub fn early_hints() -> Shape {
    let mut shape = plain("early-hints", "200 OK", &[("Content-Length", "2")], b"ok");
    let mut bytes = Vec::new();
    for link in ["</a.css>; rel=preload", "</b.js>; rel=preload"] {
        bytes.extend_from_slice(
            format!("HTTP/1.1 103 Early Hints\r\nLink: {link}\r\n\r\n").as_bytes(),
        );
        shape
            .expected
            .informational
            .push((103, fields(&[("Link", link)])));
    }
    bytes.append(&mut shape.bytes);
    Shape { bytes, ..shape }
}

/// No length and no chunks: the body ends with the connection.
pub fn until_close() -> Shape {
    let mut shape = plain(
        "until-close",
        "200 OK",
        &[("Connection", "close")],
        b"until the end",
    );
    shape.expected.until_close = true;
    shape
}

fn plain(name: &'static str, status: &str, headers: &[(&str, &str)], body: &[u8]) -> Shape {
    let mut bytes = head_bytes(status, headers);
    bytes.extend_from_slice(body);
    Shape {
        name,
        method: "GET",
        bytes,
        expected: Expected {
            status: status[..3]
                .parse()
                .expect("a status line begins with its code"),
            headers: fields(headers),
            body: body.to_vec(),
            ..Expected::default()
        },
    }
}

fn chunked(
    name: &'static str,
    headers: &[(&str, &str)],
    chunks: &[&[u8]],
    trailers: &[(&str, &str)],
) -> Shape {
    let mut shape = plain(name, "200 OK", headers, b"");
    for (index, chunk) in chunks.iter().enumerate() {
        let size = match index % 2 {
            0 => format!("{:x}\r\n", chunk.len()),
            _ => format!("{:X}\r\n", chunk.len()),
        };
        shape.bytes.extend_from_slice(size.as_bytes());
        shape.bytes.extend_from_slice(chunk);
        shape.bytes.extend_from_slice(b"\r\n");
        shape.expected.body.extend_from_slice(chunk);
    }
    shape.bytes.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        shape
            .bytes
            .extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    shape.bytes.extend_from_slice(b"\r\n");
    shape.expected.trailers = fields(trailers);
    shape
}

fn head_bytes(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn fields(list: &[(&str, &str)]) -> Fields {
    list.iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_have_the_framing_they_are_named_for() {
        assert_eq!(
            content_length_small().bytes.escape_ascii().to_string(),
            r"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"
        );
        assert_eq!(
            chunked_trailers().bytes.escape_ascii().to_string(),
            r"HTTP/1.1 200 OK\r\nTrailer: X-Sum, x-sum, X-Empty\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwith \r\n8\r\ntrailers\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\nX-Empty: \r\n\r\n"
        );
        assert_eq!(
            early_hints().bytes.escape_ascii().to_string(),
            r"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.js>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        );
        assert_eq!(chunked_many().expected.body, pattern(79));
    }

    #[test]
    fn every_cut_before_the_end_is_an_error_unless_the_close_is_the_framing() {
        for shape in all() {
            let end = shape.bytes.len();
            for cut in 0..end {
                for action in [FaultAction::Reset, FaultAction::Fin, FaultAction::Stall] {
                    let until_close = shape.expected.until_close
                        && action == FaultAction::Fin
                        && cut >= shape.body_start();
                    let want = if until_close {
                        Verdict::Complete
                    } else {
                        Verdict::Error
                    };
                    assert_eq!(shape.verdict(cut, action), want, "{} at {cut}", shape.name);
                }
            }
            assert_eq!(shape.verdict(end, FaultAction::Fin), Verdict::Complete);
        }
        assert_eq!(
            until_close().body_at(until_close().body_start() + 5),
            b"until"
        );
    }

    #[test]
    fn cuts_cover_every_byte_of_a_small_shape_and_the_edges_of_a_large_one() {
        let small = chunked_trailers();
        assert_eq!(small.cuts(), (0..=small.bytes.len()).collect::<Vec<_>>());
        let large = content_length_64k();
        let cuts = large.cuts();
        assert!(cuts.len() < 300);
        assert_eq!(
            cuts[..large.body_start() + 64].last(),
            Some(&(large.body_start() + 63))
        );
        assert_eq!(cuts.last(), Some(&large.bytes.len()));
    }
}
