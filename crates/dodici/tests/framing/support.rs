//! Runs a guard over a byte stream split in any way and compares the results.

use dodici::framing::{Guard, GuardEvent, Limits};
use dodici_pool::{ErrorKind, RequestKind, UnexpectedContinue, Version};

/// Pairs of name and value.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The response that follows a reusable one and must not be altered by it.
pub(crate) const MARKER: &[u8] = b"HTTP/1.1 203 Marker\r\nM: k\r\nContent-Length: 6\r\n\r\nmarker";

/// One response as the guard reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) reusable: bool,
    pub(crate) other_codings: bool,
    pub(crate) informational: usize,
    pub(crate) continues: usize,
    pub(crate) end: End,
}

/// How far a response got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Pending,
    Refused { kind: ErrorKind, message: String },
    Upgraded { stream: Vec<u8> },
}

impl Outcome {
    fn new() -> Self {
        Self {
            version: Version::Http11,
            status: 0,
            reason: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            reusable: false,
            other_codings: false,
            informational: 0,
            continues: 0,
            end: End::Pending,
        }
    }

    pub(crate) fn reason(mut self, reason: impl AsRef<[u8]>) -> Self {
        self.reason = reason.as_ref().to_vec();
        self
    }

    pub(crate) fn version(mut self, version: &str) -> Self {
        self.version = match version {
            "1.0" => Version::Http10,
            "1.1" => Version::Http11,
            other => panic!("no such version: {other}"),
        };
        self
    }

    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn not_reusable(mut self) -> Self {
        self.reusable = false;
        self
    }

    pub(crate) fn informational(mut self, count: usize) -> Self {
        self.informational = count;
        self
    }

    pub(crate) fn continues(mut self, count: usize) -> Self {
        self.continues = count;
        self
    }

    pub(crate) fn pending(mut self) -> Self {
        self.end = End::Pending;
        self
    }
}

/// A complete, reusable HTTP/1.1 response with the reason `OK`.
pub(crate) fn response(status: u16) -> Outcome {
    Outcome {
        status,
        reason: b"OK".to_vec(),
        reusable: true,
        end: End::Complete,
        ..Outcome::new()
    }
}

/// A chunked response with these bytes behind its head.
pub(crate) fn chunked(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

/// Drives one guard through requests of one kind and collects the responses.
pub(crate) struct Reader {
    pub(crate) guard: Guard,
    /// Responses that ended, failed or became a stream, and the current one.
    pub(crate) outcomes: Vec<Outcome>,
    /// Bytes the guard left in the input at rest.
    pub(crate) left: Vec<u8>,
    kinds: std::vec::IntoIter<(RequestKind, bool)>,
    failed: bool,
}

impl Reader {
    pub(crate) fn new(limits: Limits, unexpected: UnexpectedContinue) -> Self {
        Self::with_guard(Guard::new(limits, unexpected))
    }

    pub(crate) fn with_guard(guard: Guard) -> Self {
        Self {
            guard,
            outcomes: Vec::new(),
            left: Vec::new(),
            kinds: Vec::new().into_iter(),
            failed: false,
        }
    }

    /// Starts reading the responses to these requests (kind, expects 100), written together.
    pub(crate) fn expect(mut self, kinds: Vec<(RequestKind, bool)>) -> Self {
        self.kinds = kinds.into_iter();
        self.begin_next();
        self
    }

    fn begin_next(&mut self) {
        if let Some((kind, expect_continue)) = self.kinds.next() {
            assert!(self.guard.is_idle());
            self.guard.begin(kind, expect_continue);
            assert!(!self.guard.is_idle());
            self.outcomes.push(Outcome::new());
        }
    }

    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !self.failed {
            let step = match self.guard.feed(rest) {
                Ok(step) => step,
                Err(error) => return self.fail(error),
            };
            assert!(step.consumed <= rest.len());
            let (taken, behind) = rest.split_at(step.consumed);
            let Some(current) = self.outcomes.last_mut() else {
                panic!("nothing was begun");
            };
            match step.event {
                GuardEvent::NeedMore => {
                    assert!(behind.is_empty(), "NeedMore takes everything");
                    return;
                }
                GuardEvent::Idle => {
                    assert!(taken.is_empty() && self.guard.is_idle());
                    return self.left.extend_from_slice(behind);
                }
                GuardEvent::Upgrade => {
                    let guard = &self.guard;
                    record_head(current, guard);
                    if let End::Upgraded { stream } = &mut current.end {
                        stream.extend_from_slice(behind);
                    } else {
                        current.end = End::Upgraded {
                            stream: behind.to_vec(),
                        };
                    }
                    return;
                }
                GuardEvent::Informational => current.informational += 1,
                GuardEvent::Continue => current.continues += 1,
                GuardEvent::Head => record_head(current, &self.guard),
                GuardEvent::Data(range) => {
                    assert!(!range.is_empty() && range.end <= step.consumed);
                    current.body.extend_from_slice(&rest[range]);
                    assert_eq!(self.guard.body_received(), current.body.len() as u64);
                }
                GuardEvent::LastChunk => assert!(current.trailers.is_empty()),
                GuardEvent::End => self.end(),
            }
            rest = behind;
        }
    }

    pub(crate) fn eof(&mut self) {
        if self.failed {
            return;
        }
        match self.guard.eof() {
            Ok(GuardEvent::End) => self.end(),
            Ok(GuardEvent::Idle | GuardEvent::Upgrade) => {}
            Ok(other) => panic!("{other:?} at the end"),
            Err(error) => self.fail(error),
        }
    }

    fn end(&mut self) {
        let Some(current) = self.outcomes.last_mut() else {
            panic!("an end of nothing");
        };
        current.trailers = fields(self.guard.trailers());
        current.end = End::Complete;
        assert!(self.guard.is_idle());
        if current.reusable {
            self.begin_next();
        }
    }

    fn fail(&mut self, error: dodici_pool::Error) {
        self.failed = true;
        for again in [
            self.guard.feed(b"x").map(|_| ()),
            self.guard.eof().map(|_| ()),
        ] {
            assert_eq!(again.map_err(|error| error.kind()), Err(error.kind()));
        }
        if let Some(current) = self.outcomes.last_mut() {
            current.end = End::Refused {
                kind: error.kind(),
                message: error.message().to_owned(),
            };
        }
    }
}

fn record_head(current: &mut Outcome, guard: &Guard) {
    let head = guard.head();
    current.version = head.version;
    current.status = head.status;
    current.reason.clone_from(&head.reason);
    current.headers = fields(&head.headers);
    current.reusable = guard.keep_alive().reusable;
    current.other_codings = guard.has_other_transfer_codings();
}

fn fields(block: &dodici_pool::HeaderBlock) -> Fields {
    block
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// One row of the table.
#[derive(Clone)]
pub(crate) struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    kind: RequestKind,
    expect_continue: bool,
    unexpected: UnexpectedContinue,
    limits: Limits,
    used: bool,
    expected: Expected,
    at_eof: AtEof,
}

#[derive(Clone)]
enum Expected {
    Response(Outcome),
    Refused(ErrorKind, Option<&'static str>),
}

/// How the peer's end affects the expected outcome.
#[derive(Clone, Copy)]
enum AtEof {
    Nothing,
    Completes,
    Refused(ErrorKind),
}

/// The answer to a plain request on a guard with default limits.
pub(crate) fn plain(name: &'static str, bytes: impl AsRef<[u8]>) -> Vector {
    Vector {
        name,
        bytes: bytes.as_ref().to_vec(),
        kind: RequestKind::Plain,
        expect_continue: false,
        unexpected: UnexpectedContinue::Ignore,
        limits: Limits::default(),
        used: true,
        expected: Expected::Refused(ErrorKind::Internal, None),
        at_eof: AtEof::Nothing,
    }
}

impl Vector {
    pub(crate) fn to(mut self, kind: RequestKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn expecting_continue(mut self) -> Self {
        self.expect_continue = true;
        self
    }

    pub(crate) fn unexpected_continue(mut self, unexpected: UnexpectedContinue) -> Self {
        self.unexpected = unexpected;
        self
    }

    pub(crate) fn max_header_size(mut self, bytes: usize) -> Self {
        self.limits = Limits::with_max_header_size(bytes);
        self
    }

    pub(crate) fn fresh_only(mut self) -> Self {
        self.used = false;
        self
    }

    pub(crate) fn answers(mut self, outcome: Outcome) -> Self {
        self.expected = Expected::Response(outcome);
        self
    }

    pub(crate) fn upgrades(self, outcome: Outcome, stream: &[u8]) -> Self {
        self.answers(Outcome {
            reusable: false,
            end: End::Upgraded {
                stream: stream.to_vec(),
            },
            ..outcome
        })
    }

    pub(crate) fn with_other_codings(mut self) -> Self {
        match &mut self.expected {
            Expected::Response(outcome) => outcome.other_codings = true,
            Expected::Refused(..) => panic!("{}: refused", self.name),
        }
        self
    }

    pub(crate) fn refused(mut self, kind: ErrorKind) -> Self {
        self.expected = Expected::Refused(kind, None);
        self
    }

    pub(crate) fn refused_with(mut self, kind: ErrorKind, message: &'static str) -> Self {
        self.expected = Expected::Refused(kind, Some(message));
        self
    }

    /// The peer's end completes the body.
    pub(crate) fn ends_at_eof(mut self) -> Self {
        self.at_eof = AtEof::Completes;
        self
    }

    /// The peer's end is an error of this kind.
    pub(crate) fn at_eof(mut self, kind: ErrorKind) -> Self {
        self.at_eof = AtEof::Refused(kind);
        self
    }

    /// Runs the vector in every way and panics if an outcome is not the expected one.
    pub(crate) fn check(&self) {
        let all = self.bytes.len();
        // Every position up to 2,500 bytes; beyond, a sample and both ends.
        let (stride, edge) = if all <= 2_500 { (1, 0) } else { (all / 29, 16) };
        let splits = (0..=all).filter(|at| at % stride == 0 || *at < edge || all - at < edge);
        let cuts: Vec<Cut> = [Cut::Whole, Cut::Bytes]
            .into_iter()
            .chain(splits.map(Cut::At))
            .collect();
        for used in [false, true] {
            if used && !self.used {
                continue;
            }
            for cut in &cuts {
                self.check_open(used, *cut);
                self.check_eof(used, *cut);
            }
        }
    }

    /// The connection stays open, and the marker follows if the connection is reusable.
    fn check_open(&self, used: bool, cut: Cut) {
        let marked = matches!(&self.expected, Expected::Response(outcome)
            if outcome.reusable && outcome.end == End::Complete);
        let mut stream = self.bytes.clone();
        let mut kinds = vec![(self.kind, self.expect_continue)];
        if marked {
            stream.extend_from_slice(MARKER);
            kinds.push((RequestKind::Plain, false));
        }
        let mut reader = self.reader(used).expect(kinds);
        cut.feed(&mut reader, &stream);
        self.compare(&reader.outcomes[0], cut, AtEof::Nothing);
        assert!(reader.left.is_empty(), "{}: bytes were left", self.name);
        if marked {
            let marker = response(203)
                .reason("Marker")
                .field("M", "k")
                .field("Content-Length", "6")
                .body("marker");
            assert_eq!(reader.outcomes[1], marker, "{}: marker, {cut:?}", self.name);
        }
    }

    /// The peer closes after the last byte.
    fn check_eof(&self, used: bool, cut: Cut) {
        let mut reader = self
            .reader(used)
            .expect(vec![(self.kind, self.expect_continue)]);
        cut.feed(&mut reader, &self.bytes);
        reader.eof();
        self.compare(&reader.outcomes[0], cut, self.at_eof);
    }

    fn reader(&self, used: bool) -> Reader {
        let mut guard = Guard::new(self.limits, self.unexpected);
        if used {
            let mut first = Reader::with_guard(guard).expect(vec![(RequestKind::Plain, false)]);
            first.feed(&chunked("1\r\na\r\n0\r\nT: v\r\n\r\n"));
            assert_eq!(first.outcomes[0].end, End::Complete);
            guard = first.guard;
        }
        Reader::with_guard(guard)
    }

    fn compare(&self, have: &Outcome, cut: Cut, at_eof: AtEof) {
        let refusal = match (&self.expected, at_eof) {
            (_, AtEof::Refused(kind)) => Some((kind, None)),
            (Expected::Refused(kind, message), _) => Some((*kind, *message)),
            (Expected::Response(_), _) => None,
        };
        let shown = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(200)]);
        let context = format!("{} {shown:?} {cut:?}", self.name);
        match (refusal, &self.expected) {
            (Some((kind, message)), _) => match &have.end {
                End::Refused {
                    kind: have_kind,
                    message: have_message,
                } => {
                    assert_eq!(*have_kind, kind, "{context}");
                    assert!(
                        message.is_none_or(|message| message == have_message),
                        "{context}: {have_message}"
                    );
                }
                other => panic!("{context}: not refused but {other:?}"),
            },
            (None, Expected::Response(expected)) => {
                let mut expected = expected.clone();
                if matches!(at_eof, AtEof::Completes) {
                    expected.end = End::Complete;
                }
                assert_eq!(*have, expected, "{context}");
            }
            (None, Expected::Refused(..)) => unreachable!("a refusal is Some"),
        }
    }
}

/// How a stream is cut into inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    At(usize),
}

impl Cut {
    pub(crate) fn feed(self, reader: &mut Reader, stream: &[u8]) {
        match self {
            Self::Whole => reader.feed(stream),
            Self::Bytes => {
                for byte in stream.chunks(1) {
                    reader.feed(byte);
                    if reader.failed {
                        break;
                    }
                }
            }
            Self::At(at) => {
                let (first, second) = stream.split_at(at);
                reader.feed(first);
                reader.feed(second);
            }
        }
    }
}

fn plain_reader() -> Reader {
    Reader::new(Limits::default(), UnexpectedContinue::Ignore)
        .expect(vec![(RequestKind::Plain, false)])
}

/// Kind and message of the error when the peer closes after these bytes.
pub(crate) fn truncated(bytes: &[u8]) -> (ErrorKind, String) {
    let mut reader = plain_reader();
    reader.feed(bytes);
    assert_eq!(
        reader.outcomes[0].end,
        End::Pending,
        "no error before the end"
    );
    reader.eof();
    match &reader.outcomes[0].end {
        End::Refused { kind, message } => (*kind, message.clone()),
        other => panic!("{other:?} after a truncated response"),
    }
}

/// Whether these bytes hold a complete final head.
pub(crate) fn head_is_complete(bytes: &[u8]) -> bool {
    let mut reader = plain_reader();
    reader.feed(bytes);
    reader.outcomes[0].status != 0
}

/// The guard reads the response, then becomes idle and leaves everything after it untouched.
pub(crate) fn assert_leaves_extra_bytes(message: &[u8], extra: &[u8]) {
    let stream = [message, extra].concat();
    for at in 0..=stream.len() {
        let mut reader = plain_reader();
        Cut::At(at).feed(&mut reader, &stream);
        assert_eq!(reader.outcomes[0].end, End::Complete);
        assert_eq!(reader.left, extra);
        assert!(reader.guard.is_idle());
    }
}
