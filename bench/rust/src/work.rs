//! What a request does: its body, and the response's.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serde::{Deserialize, Serialize};

/// What a request does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A response of this size, collected.
    Get(usize),
    /// Sends these bytes, for a small response.
    Post(Bytes),
    /// Sends and receives an [`Order`].
    Json,
    /// Streams this many bytes to the server, for a small response.
    Upload(u64),
    /// Streams this many bytes from the server.
    Download(u64),
}

/// Size of a small response.
const SMALL: usize = 13;

impl Work {
    /// What the server answers with, repeated.
    pub(crate) fn answer(&self) -> (Bytes, u64) {
        match self {
            Self::Get(size) => (vec![b'x'; *size].into(), 1),
            Self::Post(_) | Self::Upload(_) => (vec![b'x'; SMALL].into(), 1),
            Self::Json => (
                serde_json::to_vec(&Order::example())
                    .unwrap_or_default()
                    .into(),
                1,
            ),
            Self::Download(bytes) => (vec![b'x'; PIECE].into(), bytes / PIECE as u64),
        }
    }
}

/// Bytes of a piece of a streamed body.
const PIECE: usize = 64 * 1024;

/// A streamed request body.
pub(crate) struct Zeros {
    left: u64,
    piece: Bytes,
}

impl Zeros {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            piece: vec![0; PIECE].into(),
        }
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(PIECE as u64);
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..length as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// About a kilobyte of JSON.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    id: u64,
    customer: String,
    express: bool,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Item {
    sku: String,
    title: String,
    count: u32,
    price: f64,
}

impl Order {
    pub(crate) fn example() -> Self {
        let item = |number: u32| Item {
            sku: format!("A-{number:06}"),
            title: "A thing with a rather usual name".into(),
            count: number + 1,
            price: 9.75 * f64::from(number + 1),
        };
        Self {
            id: 7_421_096,
            customer: "Somebody, Somewhere 12, 1010 Town".into(),
            express: true,
            items: (0..10).map(item).collect(),
        }
    }
}
