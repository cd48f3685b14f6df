use std::sync::Arc;

use bytes::Bytes;
use dodici_pool::BodyKind;

use super::{Command, LARGE_PULL_STEP, MORE_ROOM, PULL_STEP, PULL_WINDOW, Places, Slice};

const SLICE: u32 = 64 * 1024;

/// Hands over `bytes` in slices.
fn offer(command: &Command, bytes: u32) {
    for _ in 0..bytes / SLICE {
        command.chunk(Bytes::from(vec![0; SLICE as usize]));
    }
}

/// Takes one slice and says how much is asked for then.
fn take(command: &Command) -> u32 {
    assert!(matches!(command.next_slice(), Slice::Chunk(_)));
    command.take_pull()
}

/// A body whose first window has left.
fn with_more_room() -> Arc<Command> {
    let command = Command::new(0, &BodyKind::Chunked);
    assert_eq!(command.first_pull(), PULL_WINDOW);
    offer(&command, PULL_WINDOW);
    while command.has_chunks() {
        take(&command);
    }
    command
}

#[test]
fn a_body_gets_more_room_once_its_first_window_has_left() {
    let command = Command::new(0, &BodyKind::Chunked);
    assert_eq!(command.first_pull(), PULL_WINDOW);
    offer(&command, PULL_WINDOW);
    const { assert!(SLICE >= PULL_STEP) };
    assert_eq!(take(&command), SLICE);
    assert_eq!(take(&command), SLICE + MORE_ROOM);
}

#[test]
fn with_more_room_slices_are_asked_for_many_at_a_time() {
    let command = with_more_room();
    offer(&command, PULL_WINDOW + MORE_ROOM);
    let asked: Vec<u32> = (0..(PULL_WINDOW + MORE_ROOM) / SLICE)
        .map(|_| take(&command))
        .filter(|asked| *asked > 0)
        .collect();
    assert_eq!(asked, [LARGE_PULL_STEP, LARGE_PULL_STEP]);
}

#[test]
fn a_body_with_more_room_that_has_run_dry_is_asked_for_at_once() {
    let command = with_more_room();
    offer(&command, SLICE);
    assert_eq!(take(&command), SLICE);
}

#[test]
fn a_place_is_free_again_when_it_is_dropped() {
    static PLACES: Places = Places::new(2);
    let first = PLACES.take();
    let second = PLACES.take();
    assert!(first.is_some() && second.is_some());
    assert!(PLACES.take().is_none());
    drop(first);
    assert!(PLACES.take().is_some());
    drop(second);
}
