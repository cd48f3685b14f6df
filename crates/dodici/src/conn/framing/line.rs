//! Cuts a byte stream into lines. Used by the head reader and for trailers.
//!
//! A line that lies whole in the input is handed out without a copy; only the part of a line that
//! was cut off by the end of the input is held back. Knows nothing of what stands in a line.

/// Smallest allocation for a held part: most header lines are shorter.
const FIRST_HOLD: usize = 256;

/// The cutter. One *section* is a response head or a trailer section.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    held: Vec<u8>,
    /// The held bytes were handed out as a line and may be overwritten.
    spent: bool,
    /// Bytes of the section's complete lines.
    used: usize,
}

/// What [`LineBuffer::take`] found.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A line with the LF that ends it.
    Complete(&'a [u8]),
    /// The start of a line, possibly empty; the input is used up.
    Partial(&'a [u8]),
    /// The start of a line that does not end within the section's limit.
    Overflow(&'a [u8]),
}

impl LineBuffer {
    /// Starts a section and forgets the one before; keeps the memory.
    pub(super) fn start(&mut self) {
        self.held.clear();
        self.spent = false;
        self.used = 0;
    }

    /// Bytes of the section so far, those of an unfinished line included.
    pub(super) fn section_len(&self) -> usize {
        self.used + if self.spent { 0 } else { self.held.len() }
    }

    /// Takes the next line off the front of `input` and says how many bytes that were.
    /// A section may have `limit` bytes; what lies behind is never looked at and never held, so
    /// the outcome does not depend on how the stream was cut into inputs.
    pub(super) fn take<'a>(&'a mut self, input: &'a [u8], limit: usize) -> (usize, Line<'a>) {
        if self.spent {
            self.held.clear();
            self.spent = false;
        }
        let allowed = limit.saturating_sub(self.used + self.held.len());
        let window = &input[..input.len().min(allowed)];
        let Some(lf) = memchr::memchr(b'\n', window) else {
            self.hold(window, limit);
            let line = if input.len() > allowed {
                Line::Overflow(&self.held)
            } else {
                Line::Partial(&self.held)
            };
            return (window.len(), line);
        };
        let taken = lf + 1;
        if self.held.is_empty() {
            self.used += taken;
            return (taken, Line::Complete(&input[..taken]));
        }
        self.hold(&window[..taken], limit);
        self.used += self.held.len();
        self.spent = true;
        (taken, Line::Complete(&self.held))
    }

    /// Gives memory back if more than `keep` bytes of it lie unused.
    pub(super) fn shrink(&mut self, keep: usize) {
        if self.held.capacity() > keep {
            self.held = Vec::new();
            self.spent = false;
        }
    }

    /// Doubles like any vector, but never past the limit: a peer that sends one endless line
    /// gets `limit` bytes of our memory, not twice that.
    fn hold(&mut self, bytes: &[u8], limit: usize) {
        let needed = self.held.len() + bytes.len();
        if needed > self.held.capacity() {
            let doubled = self.held.capacity().saturating_mul(2).max(FIRST_HOLD);
            let target = doubled.min(limit).max(needed);
            self.held.reserve_exact(target - self.held.len());
        }
        self.held.extend_from_slice(bytes);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }
}
