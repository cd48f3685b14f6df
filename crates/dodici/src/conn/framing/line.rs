//! Splits a byte stream into lines. Used for heads and trailers.
//!
//! A line that is complete in the input is returned without a copy; only the part of a line cut off
//! by the end of the input is buffered. Must not know what is in a line.

/// Smallest allocation for a buffered part: most header lines are shorter.
const FIRST_HOLD: usize = 256;

/// The splitter. A *section* is a response head or a trailer section.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    held: Vec<u8>,
    /// The buffered bytes were returned as a line and may be overwritten.
    spent: bool,
    /// Bytes of the section's complete lines.
    used: usize,
}

/// The result of [`LineBuffer::take`].
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A line, including its LF.
    Complete(&'a [u8]),
    /// The start of a line, possibly empty; the input is consumed.
    Partial(&'a [u8]),
    /// The start of a line that does not end within the section's limit.
    Overflow(&'a [u8]),
}

impl LineBuffer {
    /// Starts a section and discards the previous one; keeps the memory.
    pub(super) fn start(&mut self) {
        self.held.clear();
        self.spent = false;
        self.used = 0;
    }

    /// Bytes of the section so far, including those of an incomplete line.
    pub(super) fn section_len(&self) -> usize {
        self.used + if self.spent { 0 } else { self.held.len() }
    }

    /// Takes the next line from the front of `input` and returns how many bytes were consumed. A
    /// section may have `limit` bytes; what follows is never examined or buffered, so the result
    /// does not depend on how the stream was split into inputs.
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

    /// Frees memory if more than `keep` bytes of it are unused.
    pub(super) fn shrink(&mut self, keep: usize) {
        if self.held.capacity() > keep {
            self.held = Vec::new();
            self.spent = false;
        }
    }

    /// Doubles like any vector, but never beyond the limit: a peer that sends an endless line gets
    /// `limit` bytes of our memory, not twice that.
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
