//! Requests per second and allocations per request of dodici-reqwest, of the engine's pool alone, of
//! reqwest and of hyper-util's client, against its own servers. `just bench-rust` runs it.
//!
//! All clients run in this one process, on one thread if not stated otherwise, one after another in short rounds, so that
//! other load on the machine affects all of them. The figure that matters is a round's ratio; the
//! table shows the median over all rounds.

mod alloc;
mod clients;
mod server;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clients::{BoxError, Client, Kind};
use server::{Protocol, Server};
use work::Work;

const HELP: &str = "\
Compares dodici-reqwest with reqwest and hyper-util's client.

Usage: dodici-bench-rust [--rounds N] [--millis MS] [--only TEXT] [--client NAME]

  --rounds N    rounds of each row (default 9)
  --millis MS   length of one client's turn in a round (default 400)
  --only TEXT   only rows whose name contains this
  --client NAME only this client: dodici, pool, reqwest or hyper (for a profiler)
";

/// One row of the table.
struct Row {
    name: &'static str,
    protocol: Protocol,
    concurrency: usize,
    /// Threads of the clients' runtime; 1 is a runtime without threads of its own.
    threads: usize,
    work: Work,
}

const GIB: u64 = 1 << 30;

fn rows() -> Vec<Row> {
    let row = |name, protocol, concurrency, work| Row {
        name,
        protocol,
        concurrency,
        threads: 1,
        work,
    };
    let post = |bytes: usize| Work::Post(vec![b'x'; bytes].into());
    let (small, large) = (Work::Get(13), Work::Get(65_536));
    let (h1, tls, h2) = (Protocol::Http1, Protocol::Tls, Protocol::Http2);
    vec![
        row("h1, 1 connection", h1, 1, small.clone()),
        row("h1, 50 connections", h1, 50, small.clone()),
        row("h1, 500 connections", h1, 500, small.clone()),
        row("h1, 50 connections, 64 KiB", h1, 50, large.clone()),
        row("h1, 50 connections, POST of 1 KiB", h1, 50, post(1024)),
        row("h1, 50 connections, POST of 64 KiB", h1, 50, post(65_536)),
        row("h1, 50 connections, JSON", h1, 50, Work::Json),
        row("h1, download of 1 GiB", h1, 1, Work::Download(GIB)),
        row("h1, upload of 1 GiB", h1, 1, Work::Upload(GIB)),
        row("h1 over TLS, 50 connections", tls, 50, small.clone()),
        row(
            "h1 over TLS, 50 connections, 64 KiB",
            tls,
            50,
            large.clone(),
        ),
        row(
            "h1 over TLS, download of 1 GiB",
            tls,
            1,
            Work::Download(GIB),
        ),
        row("h1 over TLS, upload of 1 GiB", tls, 1, Work::Upload(GIB)),
        row("h2 over TLS, 1 stream", h2, 1, small.clone()),
        row("h2 over TLS, 50 streams", h2, 50, small.clone()),
        row("h2 over TLS, 500 streams", h2, 500, small.clone()),
        row("h2 over TLS, 50 streams, 64 KiB", h2, 50, large),
        row("h2 over TLS, 50 streams, POST of 1 KiB", h2, 50, post(1024)),
        Row {
            threads: 2,
            ..row("h1, 50 connections, 2 workers", h1, 50, small.clone())
        },
        Row {
            threads: 2,
            ..row("h2 over TLS, 50 streams, 2 workers", h2, 50, small)
        },
    ]
}

struct Options {
    rounds: usize,
    turn: Duration,
    only: Option<String>,
    client: Option<Kind>,
}

/// What one client did in its turn.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    /// `None` if there are threads whose allocations are not counted.
    allocations: Option<f64>,
}

fn main() -> Result<(), BoxError> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    println!(
        "{:<40}{:>10}{:>10}{:>10}{:>10}{:>11}{:>9}{:>9}{:>27}",
        "",
        "dodici /s",
        "pool /s",
        "reqwest /s",
        "hyper /s",
        "x reqwest",
        "x hyper",
        "pool x h",
        "allocations (d/p/r/h)"
    );
    for row in rows() {
        let unwanted = |only: &String| !row.name.contains(only);
        if !options.only.as_ref().is_some_and(unwanted) {
            show(&row, &measure(&row, &options)?);
        }
    }
    Ok(())
}

/// All turns of a row, by client.
fn measure(row: &Row, options: &Options) -> Result<Vec<(Kind, Vec<Turn>)>, BoxError> {
    let server = Server::start(row.protocol, row.work.answer())?;
    let mut builder = match row.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(row.threads).enable_all().build()?;
    runtime.block_on(async {
        let mut clients = Vec::new();
        let wanted = |kind: &Kind| options.client.is_none_or(|only| only == *kind);
        for kind in Kind::ALL.into_iter().filter(wanted) {
            let client = Client::new(kind, row.protocol, server.url())?;
            clients.push((kind, Arc::new(client), Vec::new()));
        }
        for round in 0..=options.rounds {
            for (_, client, turns) in &mut clients {
                let turn = turn(client, server.url(), row, options.turn).await?;
                // The first round opens the connections.
                if round > 0 {
                    turns.push(turn);
                }
            }
            // The first client pays for what the others left in the caches.
            clients.rotate_left(1);
        }
        Ok(clients
            .into_iter()
            .map(|(kind, _, turns)| (kind, turns))
            .collect())
    })
}

/// Keeps `concurrency` requests going until the time is up.
async fn turn(
    client: &Arc<Client>,
    url: &str,
    row: &Row,
    length: Duration,
) -> Result<Turn, BoxError> {
    let done = Arc::new(AtomicU64::new(0));
    let (body, times) = row.work.answer();
    let expected = body.len() as u64 * times;
    let (started, allocated) = (Instant::now(), alloc::count());
    let workers: Vec<_> = (0..row.concurrency)
        .map(|_| {
            let (client, done) = (Arc::clone(client), Arc::clone(&done));
            let (url, work) = (url.to_owned(), row.work.clone());
            tokio::spawn(async move {
                while started.elapsed() < length {
                    let bytes = client.run(&url, &work).await?;
                    if bytes != expected {
                        return Err(format!("{bytes} bytes instead of {expected}").into());
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, BoxError>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let requests = done.load(Ordering::Relaxed).max(1) as f64;
    let allocated = (alloc::count() - allocated) as f64;
    Ok(Turn {
        per_second: requests / started.elapsed().as_secs_f64(),
        allocations: (row.threads == 1).then_some(allocated / requests),
    })
}

fn show(row: &Row, measured: &[(Kind, Vec<Turn>)]) {
    let turns = |kind: Kind| {
        let found = measured.iter().find(|(have, _)| *have == kind);
        found.map(|(_, turns)| turns.as_slice()).unwrap_or_default()
    };
    let speed = |kind| median(turns(kind).iter().map(|turn| turn.per_second));
    let allocations = |kind| median(turns(kind).iter().filter_map(|turn| turn.allocations));
    let ratio = |ours, theirs| {
        let pairs = turns(ours).iter().zip(turns(theirs));
        median(pairs.map(|(ours, theirs)| ours.per_second / theirs.per_second))
    };
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let rate = |kind| {
        let value = speed(kind);
        // Of gibibytes there are a few a second.
        number(
            value,
            if value.is_some_and(|value| value < 100.0) {
                2
            } else {
                0
            },
        )
    };
    println!(
        "{:<40}{:>10}{:>10}{:>10}{:>10}{:>11}{:>9}{:>9}{:>27}",
        row.name,
        rate(Kind::Dodici),
        rate(Kind::Pool),
        rate(Kind::Reqwest),
        rate(Kind::Hyper),
        number(ratio(Kind::Dodici, Kind::Reqwest), 2),
        number(ratio(Kind::Dodici, Kind::Hyper), 2),
        number(ratio(Kind::Pool, Kind::Hyper), 2),
        Kind::ALL
            .map(|kind| number(allocations(kind), 1))
            .join(" / "),
    );
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};

    let mut options = Options {
        rounds: 9,
        turn: Duration::from_millis(400),
        only: None,
        client: None,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rounds") => options.rounds = arguments.value()?.parse::<usize>()?.max(1),
            Long("millis") => options.turn = Duration::from_millis(arguments.value()?.parse()?),
            Long("only") => options.only = Some(arguments.value()?.string()?),
            Long("client") => {
                options.client = Some(arguments.value()?.parse_with(Kind::from_name)?);
            }
            Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
