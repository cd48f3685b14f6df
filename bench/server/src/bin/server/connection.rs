//! One connection: reads requests, writes the prepared response to each. main.rs starts it; it knows
//! nothing of listening and of TLS.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Served;
use crate::requests::RequestCounter;
use crate::waits;

/// Bytes asked for in one read. 64 KiB holds some thousand small pipelined requests.
const READ_BUFFER: usize = 64 * 1024;
/// A body of up to this size is prepared in one piece with its head; a larger one is written in
/// pieces of this size.
const PIECE: usize = 256 * 1024;

/// The transport of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

/// The response to every request.
pub(crate) struct Answer {
    /// The head, and the prepared part of the body.
    start: Vec<u8>,
    /// The rest of a longer body.
    piece: Vec<u8>,
    /// Bytes of the body after `start`.
    rest: u64,
    delay: Duration,
    /// Each has a write of its own, also those of requests that came together.
    each: bool,
}

impl Answer {
    /// A 200 with `body` bytes, `delay` after the request; see [`Answer::each`].
    pub(crate) fn new(body: u64, delay: Duration, each: bool) -> Self {
        let prepared = if body <= PIECE as u64 { body } else { 0 };
        let mut start = head(body);
        start.resize(start.len() + prepared as usize, b'x');
        let rest = body - prepared;
        let piece = vec![b'x'; if rest == 0 { 0 } else { PIECE }];
        Self {
            start,
            piece,
            rest,
            delay,
            each,
        }
    }

    async fn write(&self, stream: &mut impl Stream) -> std::io::Result<()> {
        stream.write_all(&self.start).await?;
        let mut left = self.rest;
        while left > 0 {
            let length = left.min(PIECE as u64);
            stream.write_all(&self.piece[..length as usize]).await?;
            left -= length;
        }
        // TLS keeps what the socket did not accept.
        stream.flush().await
    }
}

/// What Node's own server sends for a short text, so that clients parse a typical head.
fn head(body: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
         Connection: keep-alive\r\n\
         Keep-Alive: timeout=60\r\n\
         Content-Length: {body}\r\n\r\n"
    )
    .into_bytes()
}

/// Serves until the client ends it.
///
/// # Errors
/// The error of the socket or of TLS.
pub(crate) async fn serve(
    mut stream: impl Stream,
    answer: &Answer,
    served: &Served,
) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BUFFER];
    let mut many = Vec::new();
    let mut counter = RequestCounter::new(served.waits.is_some());
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let requests = counter.feed(&buffer[..read]);
        if requests == 0 {
            continue;
        }
        served.requests.set(served.requests.get() + requests);
        if let Some(waits) = &served.waits {
            waits
                .borrow_mut()
                .arrived(waits::now(), counter.dispatched());
        }
        if !answer.delay.is_zero() {
            tokio::time::sleep(answer.delay).await;
        }
        if requests == 1 || answer.rest > 0 || answer.each {
            for _ in 0..requests {
                answer.write(&mut stream).await?;
            }
        } else {
            // Pipelined requests are answered with one write, as good servers do.
            many.clear();
            (0..requests).for_each(|_| many.extend_from_slice(&answer.start));
            stream.write_all(&many).await?;
            stream.flush().await?;
        }
    }
}
