//! The I/O threads of the process: each runs a tokio current-thread runtime and an engine.
//!
//! Started by the first environment, shared by all, never stopped. What a thread does with a
//! command is in `submit`; how it hands over batches is in `deliver`, when in `gather`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use dodici::Engine;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::env::Environment;
use crate::{deliver, gather, local, submit};

/// A command to an I/O thread.
pub(crate) enum Command {
    /// There is a new environment.
    Open(Arc<Environment>),
    /// An environment's submissions.
    Submit(u32, Bytes),
    /// An environment has ended.
    Close(u32),
}

/// All I/O threads.
pub(crate) struct Threads {
    commands: Vec<UnboundedSender<Command>>,
}

static THREADS: OnceLock<Threads> = OnceLock::new();

/// More I/O threads than this help no process.
const MOST_THREADS: usize = 64;

/// The threads, started by this call if they are not running yet. `wanted` applies to the first
/// call only; it is clamped to 1 to [`MOST_THREADS`].
pub(crate) fn start(wanted: usize) -> io::Result<&'static Threads> {
    // Two environments may open at the same time; the second waits and finds the threads.
    static STARTING: Mutex<()> = Mutex::new(());
    let _starting = STARTING.lock();
    if let Some(threads) = THREADS.get() {
        return Ok(threads);
    }
    // If the second of two threads cannot start, the first ends with its sender.
    let mut engine = None;
    let commands = (0..wanted.clamp(1, MOST_THREADS))
        .map(|index| start_thread(index, &mut engine))
        .collect::<Result<_, _>>()?;
    Ok(THREADS.get_or_init(|| Threads { commands }))
}

/// Tells all threads that the environment with this number has ended.
pub(crate) fn notify_end(env: u32) {
    if let Some(threads) = threads() {
        threads.send_all(|| Command::Close(env));
    }
}

/// The threads, if they are running.
pub(crate) fn threads() -> Option<&'static Threads> {
    THREADS.get()
}

impl Threads {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.commands.len()
    }

    /// Sends a command to one thread. Returns whether it exists.
    pub(crate) fn send(&self, thread: usize, command: Command) -> bool {
        self.commands
            .get(thread)
            .is_some_and(|commands| commands.send(command).is_ok())
    }

    /// Sends a command to all threads.
    pub(crate) fn send_all(&self, command: impl Fn() -> Command) {
        for thread in 0..self.count() {
            self.send(thread, command());
        }
    }
}

/// Starts a thread with the process's engine, which the first of them makes.
fn start_thread(index: usize, engine: &mut Option<Engine>) -> io::Result<UnboundedSender<Command>> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(|| guarded(deliver::hand_over_all))
        .build()?;
    let handle = runtime.handle().clone();
    let own = match engine {
        Some(engine) => engine.also_on(handle),
        None => engine.insert(Engine::on_runtime(handle)).clone(),
    };
    let (sender, receiver) = unbounded_channel();
    thread::Builder::new()
        .name(format!("dodici-io-{index}"))
        .spawn(move || run(&runtime, own, receiver))?;
    Ok(sender)
}

fn run(runtime: &Runtime, engine: Engine, mut commands: UnboundedReceiver<Command>) {
    runtime.spawn(gather::run(|| guarded(deliver::hand_over_all)));
    runtime.block_on(async move {
        while let Some(command) = commands.recv().await {
            guarded(|| match command {
                Command::Open(env) => local::open(env),
                Command::Submit(env, flush) => submit::act(&engine, env, flush),
                Command::Close(env) => local::close(env),
            });
        }
    });
}

/// Runs `work`. A panic in it has been reported by the panic hook and ends here: the thread serves
/// other environments too.
fn guarded(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}
