//! Memory for large flushes, written by JavaScript and read in place by the I/O threads.
//!
//! `exports::page` gives JavaScript a page, `exports::submit` takes what was written to it. Without
//! pages, a flush is copied once more on the JavaScript thread: for a body of 64 KiB, half of the
//! request's cost there.
//!
//! A page is lent with a flush and free again when nothing decoded from the flush remains: heads
//! and bodies are slices of it, and a connection holds them until the response. JavaScript's view
//! of a page is never exposed to user code, so it is never detached or resized.

#![expect(
    unsafe_code,
    reason = "memory that JavaScript and I/O threads use in turns"
)]

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use bytes::Bytes;
use dodici_wire::schema::BODY_SLICE;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::panics::expecting;

/// Capacity of a page: four whole body slices with their frames, and a few heads, so that slices
/// and requests with bodies share a wake-up.
const ROOM: usize = 4 * BODY_SLICE as usize + 4 * 1024;

/// Pages per environment: 16 MiB. Beyond that, flushes are copied.
const MOST: usize = 64;

/// Holders of a page that is not lent: the list, and JavaScript.
const AT_REST: usize = 2;

/// The pages of one environment.
#[derive(Default)]
pub(crate) struct Pages(Mutex<Vec<Entry>>);

/// One page of the list.
struct Entry {
    page: Arc<Page>,
    /// One of JavaScript's writers has it and has not lent it yet.
    given: bool,
}

/// What JavaScript may write to next.
pub(crate) enum Next<'cx> {
    /// A page that it has, by its number.
    Again(usize),
    /// A new page. Its number is the count of pages before it.
    New(Handle<'cx, JsBuffer>),
    /// All pages are lent, or the environment is about to end.
    None,
}

impl Pages {
    /// A page that is neither lent nor held by a writer. Called on the environment's JavaScript
    /// thread only.
    pub(crate) fn next<'cx>(&self, cx: &mut Cx<'cx>) -> Next<'cx> {
        let mut pages = self.0.lock();
        let is_free = |entry: &Entry| !entry.given && Page::is_at_rest(&entry.page);
        if let Some(free) = pages.iter().position(is_free) {
            pages[free].given = true;
            return Next::Again(free);
        }
        if pages.len() >= MOST {
            return Next::None;
        }
        let page = Arc::new(Page::new());
        // A worker that is being terminated gets no more Buffers. What Neon leaks then is memory
        // that was never touched.
        let Ok(buffer) = expecting(|| JsBuffer::external(cx, View(Arc::clone(&page)))) else {
            return Next::None;
        };
        pages.push(Entry { page, given: true });
        Next::New(buffer)
    }

    /// The first `length` bytes of a page, lent until the last slice of them is dropped. `None` if
    /// there is no such page, if it is lent, or if it is shorter.
    pub(crate) fn lend(&self, number: usize, length: usize) -> Option<Bytes> {
        let mut pages = self.0.lock();
        let entry = pages.get_mut(number)?;
        if length > ROOM || !entry.given {
            return None;
        }
        entry.given = false;
        let page = Arc::clone(&entry.page);
        Some(Bytes::from_owner(Lent { page, length }))
    }
}

/// One page. JavaScript writes while it is at rest, I/O threads read while it is lent.
struct Page(Box<[UnsafeCell<u8>]>);

// SAFETY: the bytes are written through `View` by the JavaScript thread while `is_at_rest`, and
// read through `Lent` while not; `exports::submit` and the `Acquire` in `is_at_rest` order the two.
unsafe impl Sync for Page {}

impl Page {
    fn new() -> Self {
        // Zeroed by the system when it is first touched: most pages are never full.
        let memory = Box::into_raw(vec![0_u8; ROOM].into_boxed_slice());
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`, and the box was the only owner.
        Self(unsafe { Box::from_raw(memory as *mut [UnsafeCell<u8>]) })
    }

    /// Whether only the list and JavaScript hold it. True stays true until it is lent again, which
    /// the JavaScript thread alone does.
    fn is_at_rest(page: &Arc<Self>) -> bool {
        let at_rest = Arc::strong_count(page) <= AT_REST;
        // What the last `Lent` read happened before its drop, which the count has seen.
        fence(Ordering::Acquire);
        at_rest
    }
}

/// JavaScript's view of a page.
struct View(Arc<Page>);

impl AsMut<[u8]> for View {
    fn as_mut(&mut self) -> &mut [u8] {
        let page = &self.0.0;
        // SAFETY: Neon asks once, for pointer and length, before anything was lent.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(page.as_ptr()), page.len()) }
    }
}

/// The part of a page that holds a flush.
struct Lent {
    page: Arc<Page>,
    /// At most `ROOM`.
    length: usize,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        let page = &self.page.0[..self.length];
        // SAFETY: the range is within the page, which JavaScript does not write in while it is
        // lent.
        unsafe { std::slice::from_raw_parts(UnsafeCell::raw_get(page.as_ptr()), page.len()) }
    }
}
