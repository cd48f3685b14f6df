//! Numbers that tune one side of the boundary, each with the measurement behind it.
//!
//! `cargo xtask codegen` writes JavaScript's into `node/src/wire/generated.ts`, below the schema; the
//! addon's stand behind them. None is part of the layout hash, because only one side acts on it. What
//! both sides must agree on is a limit of [`schema`](crate::schema); how bodies move inside the engine
//! is the engine's own.

use crate::schema::{BATCH_LIMIT, WINDOW};

/// A number with its name and the lines of its documentation.
pub type Tuned = (&'static str, u32, &'static [&'static str]);

macro_rules! tuning {
    ($($(#[doc = $line:literal])+ $name:ident = $value:expr,)*) => {
        $($(#[doc = $line])+ pub const $name: u32 = $value;)*

        /// All of them, for the generator.
        pub const TUNING: &[Tuned] = &[$((stringify!($name), $name, &[$($line),+]),)*];
    };
}

tuning! {
    /// Records after which what was written so far is flushed, so that the I/O thread works on
    /// the first requests while JavaScript makes the others. Of 8, 12, 16 and 24, compared with
    /// `just bench-h1`, 24 made the fewest calls that kept both threads busy.
    FLUSH_EVERY = 24,

    /// Initial size of what a flush is written in. 64 KiB carry some hundred heads; a batch beyond
    /// that is handed over early.
    FLUSH_CAPACITY = 64 * 1024,

    /// Flushes from this length on are lent, not copied. Below 16 KiB a copy costs less than looking
    /// for the next page, and a request that is held for long pins little else.
    LEND_FROM = 16 * 1024,

    /// Memory for one batch of completions: a batch at its limit, plus the largest record that may
    /// exceed it, which is a chunk below `LARGE_CHUNK` or a head.
    INBOUND_BYTES = BATCH_LIMIT as u32 + 128 * 1024,

    /// Credit is returned in steps of half a window: one record for every 128 KiB, and the other half
    /// is in flight meanwhile.
    CREDIT_STEP = WINDOW / 2,

    /// Added to the window of a body whose first window was consumed without a pause, so that the I/O
    /// thread reads on while JavaScript works: 1 MiB in all. A download of 1 GiB took 1.5 times
    /// undici's time before windows grew, and as long as undici's after.
    MORE_ROOM = 3 * WINDOW,

    /// Event-loop turns after which every socket has been polled since a batch arrived. Two, because the
    /// first may end without a poll: Node calls a thread-safe function again that was rung while it ran.
    RIPE_TURNS = 2,

    /// A response that arrives this many milliseconds after the end of its request body does not wait
    /// until it is ripe. 50 are enough for a server in this process on a busy machine; elsewhere a
    /// response waits for two turns at most.
    SOON = 50,

    /// With at most so many requests in flight, not counting paused ones, responses take turns.
    /// Sixteen is a race among a few; with more requests, sharing a turn is what makes them cheap.
    FEW = 16,

    /// Ends of connections that one event-loop turn delivers. Each costs some 15 µs with its error and
    /// its event: thousands, when a pool or a server goes away, would hold the event loop for as many
    /// times that. 64 are a millisecond, in which the turn's own cost does not show.
    MOST_DISCONNECTS = 64,
}

// --- the addon ---

/// Polls of the sockets before a batch is handed over: 3, of 1, 3 and 8. More would delay available
/// responses by more than a fuller batch saves.
pub const LOOKS: usize = 3;

/// A batch is handed over with this many records, some two dozen small responses, although the
/// thread has more to do: JavaScript works on them meanwhile. Waiting for all would make the two
/// threads take turns instead of working side by side.
pub const RECORDS_LIMIT: usize = 80;

/// A batch is handed over when its slabs contain this much. 1 MiB: a dozen large bodies per
/// wake-up, and still only a fraction of a millisecond of copying.
pub const SLABS_LIMIT: usize = 1 << 20;

/// A batch that has grown beyond this is not kept for reuse: a single huge head may have caused it.
pub const KEPT_CAPACITY: usize = 4 * BATCH_LIMIT;
