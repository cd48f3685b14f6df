//! Bytes to be written to a connection.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::tuning::COPIED_BODY;

/// Bytes to be written.
#[derive(Default)]
pub(super) struct Output {
    pub(super) slices: VecDeque<Bytes>,
    /// After them: small parts, merged.
    tail: BytesMut,
    pub(super) len: u64,
}

impl Output {
    pub(super) fn push(&mut self, bytes: &Bytes) {
        self.len += bytes.len() as u64;
        if bytes.len() <= COPIED_BODY {
            self.tail.extend_from_slice(bytes);
        } else {
            self.seal();
            self.slices.push_back(bytes.clone());
        }
    }

    pub(super) fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
    }

    pub(super) fn advance(&mut self, mut written: usize) {
        self.len -= written as u64;
        while let Some(first) = self.slices.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.slices.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
