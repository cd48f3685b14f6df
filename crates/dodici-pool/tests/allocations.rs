//! Counts the allocations of the pool's steady state: there are none.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    reason = "a global allocator that counts is an unsafe trait; a panic is how a test fails"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use dodici_pool::{Action, OriginPool, Outcome, PoolConfig, Traits};

thread_local! {
    // Per thread: the test harness allocates on its own threads meanwhile.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is a plain
// thread-local without a destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Enqueues `count` requests and serves them all; returns how many were assigned.
fn serve(pool: &mut OriginPool, count: u32, now: &mut Instant) -> u32 {
    let traits = Traits {
        idempotent: true,
        blocking: true,
        exclusive: false,
    };
    let mut assigned = 0;
    for _ in 0..count {
        pool.handle_enqueue(traits, *now).unwrap();
    }
    while let Some(action) = pool.poll_action() {
        *now += Duration::from_millis(1);
        match action {
            Action::Connect(conn) => pool.handle_connected(conn, *now, 1),
            Action::Assign { conn, request } => {
                assigned += 1;
                pool.handle_head_received(conn, request);
                pool.handle_released(conn, request, Outcome::Reusable { hint: None }, *now);
            }
            other => assert_eq!(other, Action::Drain),
        }
        assert!(pool.next_deadline().is_none_or(|at| at > *now));
    }
    assigned
}

#[test]
fn r25_nothing_is_allocated_from_enqueue_to_release() {
    let mut config = PoolConfig::default();
    config.max_connections = 4.try_into().ok();
    let mut pool = OriginPool::new(config);
    let mut now = Instant::now();
    assert_eq!(serve(&mut pool, 16, &mut now), 16);
    let before = ALLOCATIONS.with(Cell::get);
    assert!(before > 0, "the allocator counts");
    for _ in 0..100 {
        assert_eq!(serve(&mut pool, 16, &mut now), 16);
    }
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
}
