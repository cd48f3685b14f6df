//! The engine's tuning constants, each with the measurement behind it. Numbers that both languages
//! must agree on are in the schema, in `dodici-wire`.

// --- request bodies ---

/// Bytes of request body that a caller may have in flight towards the engine.
/// 128 KiB: two slices, so that one can be written while the next is fetched.
pub(crate) const PULL_WINDOW: u32 = 128 * 1024;

/// Bytes that all bodies of an engine may have in flight beyond their [`PULL_WINDOW`]s. 16 MiB.
///
/// A body that has sent its first window gets a quarter of what is left: the first one 4 MiB, the
/// sixth 1 MiB. Its caller then fetches the next slices while these are written. Waking the
/// caller's thread costs it 36 µs, and each slice of 64 KiB 5 µs: 1 GiB over TLS takes 176 ms of
/// the JavaScript thread with 1 MiB, 143 with 2, 125 with 4 (alternating, median of 9). With six in
/// progress, the others do not need it to keep both threads busy.
pub(crate) const SHARED_ROOM: u32 = 16 * 1024 * 1024;

/// The least extra room worth taking: 1 MiB together with the window.
pub(crate) const LEAST_ROOM: u32 = 7 * PULL_WINDOW;

/// Bytes are requested in steps of at least this many, unless nothing is buffered.
pub(crate) const PULL_STEP: u32 = 32 * 1024;

/// The same with extra room, so that many slices arrive, and are written, at a time.
pub(crate) const LARGE_PULL_STEP: u32 = 512 * 1024;

/// Bytes of a streamed body that hyper collects for one write. 512 KiB: each write wakes a waiting
/// peer, which costs more than writing 64 KiB. Over TCP, 1 GiB takes 0.75 s of CPU time in writes
/// of 64 KiB, 0.34 s with 256 KiB, 0.25 s with 512 KiB.
pub(crate) const WRITTEN_AT_ONCE: usize = 512 * 1024;

// --- response bodies ---

/// hyper's largest read: its buffers grow beyond the requested size by doubling, and this is what a
/// paused reader may hold beyond its window. 64 KiB: a body of that size arrives in one or two
/// reads.
pub(crate) const HYPER_READ: usize = 64 * 1024;

/// Bytes that the pipe reads at a time. 16 KiB: a hundred small responses; of a large one, only
/// this much is copied before the rest is read directly into the sink's memory.
pub(crate) const READ: usize = 16 * 1024;

/// Bodies from this length on are read directly into the sink's memory. 16 KiB: with its head, such
/// a body takes more than one [`READ`], and would be delivered in two pieces.
pub(crate) const DIRECT_FROM: u64 = 16 * 1024;

/// Maximum number of bytes read into a sink's memory in one step: the size of the addon's first
/// slab for a response.
pub(crate) const DIRECT_READ: usize = 64 * 1024;

/// Extra bytes of memory that [`Sink::read_in_place`](crate::Sink::read_in_place) is asked for at the end
/// of a body, so that the last read is a short one, after which the socket is not asked again. One would
/// do; memory is allocated in such steps.
pub const READ_SLACK: usize = 64;

/// Chunks up to this length are copied, so that a reader who keeps one does not retain a whole read
/// with other responses. 1 KiB.
pub(crate) const COPIED_CHUNK: usize = 1024;

// --- requests ---

/// Bodies up to this length are copied after their heads, so that one slice is written. 4 KiB:
/// beyond it, the copy costs more than the slice.
pub(crate) const COPIED_BODY: usize = 4 * 1024;

/// Unsent bytes beyond which no further request is taken. 64 KiB: more than one write accepts; a
/// request that is not taken can still be cancelled without loss.
pub(crate) const BACKLOG: u64 = 64 * 1024;
