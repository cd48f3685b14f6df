//! The result that all codecs share.

/// What one call of a codec did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Step {
    pub(crate) read: usize,
    pub(crate) written: usize,
    /// The unit (member, stream, frame) is complete.
    pub(crate) ended: bool,
}
