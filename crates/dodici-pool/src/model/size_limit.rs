//! A limit on the bytes of a response body. Counted where a body passes: by an exchange as received,
//! by dodici-reqwest as decoded.

/// A limit on the size of a body, and how much of the body there was.
#[derive(Clone, Copy, Debug, Default)]
pub struct SizeLimit {
    /// Maximum number of bytes; `None`: no limit.
    pub max: Option<u64>,
    received: u64,
}

impl SizeLimit {
    /// A limit for a body of which nothing was received yet.
    pub const fn new(max: Option<u64>) -> Self {
        Self { max, received: 0 }
    }

    /// Bytes received.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that may still be received.
    pub fn allowed(&self) -> u64 {
        self.max
            .map_or(u64::MAX, |max| max.saturating_sub(self.received))
    }

    /// Counts received bytes; false if they are more than allowed.
    pub fn receive(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.allowed();
        self.received = self.received.saturating_add(bytes);
        fits
    }
}
