//! The numbers that tune how bodies move, with the measurement behind each. Those that the two languages
//! must agree on are in the schema of the boundary, in `dodici-wire`.

// --- request bodies ---

/// Bytes of request body that a caller may have in flight towards the engine.
/// 128 KiB: two slices, so that one can be written while the next is fetched.
pub(crate) const PULL_WINDOW: u32 = 128 * 1024;

/// Bytes that all bodies of an engine may have in flight beyond their [`PULL_WINDOW`]s. 16 MiB.
///
/// A body that has sent its first window gets a quarter of what is left, so the first one 4 MiB and the
/// sixth 1: its caller then fetches the next slices while these are written. To wake the caller's thread
/// costs it 36 µs, and each slice of 64 KiB itself 5: 1 GiB over TLS takes 176 ms of the JavaScript thread
/// with 1 MiB, 143 with 2, 125 with 4 (in turns, median of 9). With six under way, none of the others
/// needs it to keep both threads at work.
pub(crate) const SHARED_ROOM: u32 = 16 * 1024 * 1024;

/// The least that is worth having more: 1 MiB with the window itself.
pub(crate) const LEAST_ROOM: u32 = 7 * PULL_WINDOW;

/// Bytes are asked for again in steps of at least so many, unless nothing is buffered.
pub(crate) const PULL_STEP: u32 = 32 * 1024;

/// The same once there is more room, so that slices come, and are written, many at a time.
pub(crate) const LARGE_PULL_STEP: u32 = 512 * 1024;

/// What hyper collects of a streamed body for one write. 512 KiB: a peer that waits for bytes is
/// woken by each write, which costs more than writing 64 KiB does. Over TCP, 1 GiB takes 0.75 s of
/// processor time by 64 KiB, 0.34 s by 256, 0.25 s by 512.
pub(crate) const WRITTEN_AT_ONCE: usize = 512 * 1024;

// --- response bodies ---

/// Largest read of hyper's: its buffers grow beyond the size they are asked for, by doubling, and this is
/// what a paused reader may hold beyond its window. 64 KiB: a body of that size comes in one read or
/// two.
pub(crate) const HYPER_READ: usize = 64 * 1024;

/// Bytes that the pipe reads at a time. 16 KiB: a hundred small responses; of a large one only so much is
/// copied before the rest is read where it is wanted.
pub(crate) const READ: usize = 16 * 1024;

/// Bodies from this length on are read straight into the sink's memory. 32 KiB: below it, most of
/// the body usually came with its head.
pub(crate) const DIRECT_FROM: u64 = 32 * 1024;

/// Most bytes of a body read into a sink's memory in one step: what the addon's first slab for a response
/// holds.
pub(crate) const DIRECT_READ: usize = 64 * 1024;

/// Bytes by which the memory for the last part of a body is larger than the part. 64: one would do,
/// and memory comes in such steps.
pub(crate) const SLACK: usize = 64;

/// Chunks up to this length get memory of their own, so that a reader who keeps one does not keep
/// a whole read of other people's responses. 1 KiB.
pub(crate) const COPIED_CHUNK: usize = 1024;

// --- requests ---

/// Bodies up to this length are copied behind their heads, so that one slice is written. 4 KiB:
/// beyond it the copy costs more than the slice.
pub(crate) const COPIED_BODY: usize = 4 * 1024;

/// Bytes that wait for the socket from which on no further request is taken. 64 KiB: more than one
/// write takes; a request that is not taken can still be given up without loss.
pub(crate) const BACKLOG: u64 = 64 * 1024;
