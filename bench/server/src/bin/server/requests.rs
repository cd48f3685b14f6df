//! Counts complete requests in a stream of bytes, however it is cut. The connection loop feeds it;
//! it knows framing only: the end of a head and the body's length (`Content-Length` or chunked).

use memchr::memmem;

/// Counts requests on one connection.
#[derive(Default)]
pub(crate) struct RequestCounter {
    state: State,
    /// The head, or the end of the chunked body, as far as it has come.
    pending: Vec<u8>,
}

#[derive(Default)]
enum State {
    /// Within a request's head.
    #[default]
    Head,
    /// Body bytes still to come.
    Body(u64),
    /// Within a chunked body, which ends with `0\r\n\r\n` at the start of a line.
    Chunked,
}

impl RequestCounter {
    /// Takes the next bytes; says how many requests they completed.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut complete = 0;
        while !bytes.is_empty() {
            match self.state {
                State::Head => {
                    let Some((head, rest)) = self.until(bytes, b"\r\n\r\n") else {
                        break;
                    };
                    self.state = after(&head);
                    complete += u64::from(matches!(self.state, State::Head));
                    bytes = rest;
                }
                State::Body(left) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = &bytes[taken as usize..];
                    self.state = if taken == left {
                        complete += 1;
                        State::Head
                    } else {
                        State::Body(left - taken)
                    };
                }
                State::Chunked => {
                    // The load generators never send these five bytes as content.
                    let Some((_, rest)) = self.until(bytes, b"0\r\n\r\n") else {
                        break;
                    };
                    self.state = State::Head;
                    complete += 1;
                    bytes = rest;
                }
            }
        }
        complete
    }

    /// What comes up to and with `end`, and what follows; keeps `bytes` if `end` has not come.
    fn until<'a>(&mut self, bytes: &'a [u8], end: &[u8]) -> Option<(Vec<u8>, &'a [u8])> {
        let before = self.pending.len();
        let from = before.saturating_sub(end.len() - 1);
        self.pending.extend_from_slice(bytes);
        let Some(at) = memmem::find(&self.pending[from..], end) else {
            if matches!(self.state, State::Chunked) {
                // Only the last bytes can be the start of the end.
                let keep = self.pending.len().min(end.len() - 1);
                self.pending.drain(..self.pending.len() - keep);
            }
            return None;
        };
        let stop = from + at + end.len();
        let mut found = std::mem::take(&mut self.pending);
        found.truncate(stop);
        Some((found, &bytes[stop - before..]))
    }
}

/// What follows this head.
fn after(head: &[u8]) -> State {
    for line in head.split(|&b| b == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .and_then(|v| v.parse().ok())
                .unwrap_or(0);
            return if length == 0 {
                State::Head
            } else {
                State::Body(length)
            };
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return State::Chunked;
        }
    }
    State::Head
}

#[cfg(test)]
mod tests {
    use super::RequestCounter;

    const MIXED: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\
        POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\n\
        POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn requests_of_every_framing_are_counted_in_one_piece() {
        assert_eq!(RequestCounter::default().feed(MIXED), 4);
    }

    #[test]
    fn requests_are_counted_however_the_stream_is_cut() {
        for size in 1..MIXED.len() {
            let mut counter = RequestCounter::default();
            let total: u64 = MIXED.chunks(size).map(|piece| counter.feed(piece)).sum();
            assert_eq!(total, 4, "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_request_that_has_not_ended_is_not_counted() {
        assert_eq!(RequestCounter::default().feed(&MIXED[..MIXED.len() - 1]), 3);
    }
}
