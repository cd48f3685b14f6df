//! One direction of a path: packets come out later than they went in, or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Larger than any packet.
const PACKET: usize = 1 << 16;
/// Packets under way; more are lost, as in a full router.
const UNDER_WAY: usize = 20_000;

#[derive(Default)]
struct Counts {
    carried: AtomicU64,
    lost: AtomicU64,
}

/// Its threads end with the process.
pub(crate) struct Relay(Arc<Counts>);

type Packet = (Instant, Vec<u8>);

impl Relay {
    /// Carries packets from one device to the other, `delay` later, and loses `loss` percent.
    pub(crate) fn start(from: File, to: File, delay: Duration, loss: f64, seed: u64) -> Self {
        let (sender, receiver) = sync_channel(UNDER_WAY);
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        thread::spawn(move || take(from, &sender, delay, loss / 100.0, dice, &counting));
        thread::spawn(move || give(to, &receiver));
        Self(counts)
    }

    pub(crate) fn carried(&self) -> u64 {
        self.0.carried.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

fn take(
    mut from: File,
    sender: &SyncSender<Packet>,
    delay: Duration,
    loss: f64,
    mut dice: Dice,
    counts: &Counts,
) {
    let mut packet = vec![0; PACKET];
    // An interface that is down cannot be read: the path has ended.
    while let Ok(len) = from.read(&mut packet) {
        let due = Instant::now() + delay;
        let lost = dice.share() < loss || sender.try_send((due, packet[..len].to_vec())).is_err();
        let count = if lost { &counts.lost } else { &counts.carried };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn give(mut to: File, receiver: &Receiver<Packet>) {
    while let Ok((due, packet)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // An interface that is down takes none.
        let _dropped = to.write(&packet);
    }
}

/// Repeatable pseudo-random numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    /// At least 0, below 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
