//! Counts complete requests in a stream of bytes, however it is cut. The connection loop feeds it;
//! it knows framing only: the end of a head and the body's length (`Content-Length` or chunked).

use memchr::memmem;

/// Counts requests on one connection.
#[derive(Default)]
pub(crate) struct RequestCounter {
    state: State,
    /// The part of the head, or of the end of the chunked body, that has arrived.
    pending: Vec<u8>,
    /// Times of dispatch in heads since the last call, if they are read.
    dispatched: Option<Vec<u64>>,
}

#[derive(Default)]
enum State {
    /// Within a request's head.
    #[default]
    Head,
    /// Remaining body bytes.
    Body(u64),
    /// Within a chunked body, which ends with `0\r\n\r\n` at the start of a line.
    Chunked,
}

impl RequestCounter {
    /// A counter that also reads `x-dispatched`, if `times` says so.
    pub(crate) fn new(times: bool) -> Self {
        Self {
            dispatched: times.then(Vec::new),
            ..Self::default()
        }
    }

    /// The times of dispatch since the last call.
    pub(crate) fn dispatched(&mut self) -> impl Iterator<Item = u64> {
        self.dispatched.iter_mut().flat_map(|times| times.drain(..))
    }

    /// Takes the next bytes; returns how many requests they completed.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut complete = 0;
        while !bytes.is_empty() {
            match self.state {
                State::Head => {
                    let Some((head, rest)) = self.until(bytes, b"\r\n\r\n") else {
                        break;
                    };
                    self.state = after(&head);
                    if let Some(times) = &mut self.dispatched {
                        times.extend(field(&head, b"x-dispatched").and_then(number));
                    }
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

    /// Splits after `end`; keeps `bytes` if `end` has not arrived.
    fn until<'a>(&mut self, bytes: &'a [u8], end: &[u8]) -> Option<(Vec<u8>, &'a [u8])> {
        let before = self.pending.len();
        let from = before.saturating_sub(end.len() - 1);
        self.pending.extend_from_slice(bytes);
        let Some(at) = memmem::find(&self.pending[from..], end) else {
            if matches!(self.state, State::Chunked) {
                // Only the last bytes can be the start of `end`.
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
    if let Some(value) = field(head, b"content-length") {
        return match number(value) {
            None | Some(0) => State::Head,
            Some(length) => State::Body(length),
        };
    }
    match field(head, b"transfer-encoding") {
        Some(_) => State::Chunked,
        None => State::Head,
    }
}

/// The first value of a field. `name` is in lower case.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&b| b == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon]
            .eq_ignore_ascii_case(name)
            .then(|| line[colon + 1..].trim_ascii())
    })
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
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

    #[test]
    fn times_of_dispatch_are_read_when_that_is_wanted() {
        let head = b"GET / HTTP/1.1\r\nX-Dispatched: 17\r\n\r\n";
        let mut counter = RequestCounter::new(true);
        counter.feed(head);
        counter.feed(head);
        assert_eq!(counter.dispatched().collect::<Vec<_>>(), [17, 17]);
        assert_eq!(counter.dispatched().count(), 0);
        let mut counter = RequestCounter::new(false);
        counter.feed(head);
        assert_eq!(counter.dispatched().count(), 0);
    }
}
