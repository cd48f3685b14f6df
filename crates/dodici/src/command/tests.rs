use std::sync::Arc;

use bytes::Bytes;
use dodici_pool::BodyKind;

use super::space::Room;
use super::{Command, Slice, Space};
use crate::tuning::{LARGE_PULL_STEP, LEAST_ROOM, PULL_STEP, PULL_WINDOW};

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
    let command = Command::new(0, &BodyKind::Chunked, Some(Space::new()));
    assert_eq!(command.first_pull(), PULL_WINDOW);
    offer(&command, PULL_WINDOW);
    while command.has_chunks() {
        take(&command);
    }
    command
}

#[test]
fn a_body_gets_more_room_once_its_first_window_is_sent() {
    let command = Command::new(0, &BodyKind::Chunked, Some(Space::new()));
    assert_eq!(command.first_pull(), PULL_WINDOW);
    offer(&command, PULL_WINDOW);
    const { assert!(SLICE >= PULL_STEP) };
    assert_eq!(take(&command), SLICE);
    assert_eq!(take(&command), SLICE + 4 * 1024 * 1024);
}

#[test]
fn with_more_room_many_slices_are_requested_at_a_time() {
    let command = with_more_room();
    offer(&command, PULL_WINDOW + LEAST_ROOM);
    let asked: Vec<u32> = (0..(PULL_WINDOW + LEAST_ROOM) / SLICE)
        .map(|_| take(&command))
        .filter(|asked| *asked > 0)
        .collect();
    assert_eq!(asked, [LARGE_PULL_STEP; 2]);
}

#[test]
fn a_starved_body_with_more_room_is_requested_immediately() {
    let command = with_more_room();
    offer(&command, SLICE);
    assert_eq!(take(&command), SLICE);
}

#[test]
fn each_body_gets_a_quarter_of_the_room_that_is_left() {
    let space = Space::new();
    let mut rooms: Vec<Room> = std::iter::from_fn(|| space.take()).collect();
    let kib: Vec<u32> = rooms.iter().map(|room| room.bytes / 1024).collect();
    assert_eq!(kib, [4096, 3072, 2304, 1664, 1280, 896]);
    drop(rooms.remove(0));
    // 7,168 KiB are left.
    assert_eq!(space.take().map(|room| room.bytes / 1024), Some(1792));
    rooms.clear();
    assert_eq!(space.take().map(|room| room.bytes / 1024), Some(4096));
}
