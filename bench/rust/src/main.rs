//! Requests per second and allocations per request of dodici-reqwest, reqwest and hyper-util's
//! client, against its own servers. `just bench-rust` runs it.
//!
//! All clients run in this one process, on one thread, one after another in short rounds, so that
//! other load on the machine affects all of them. The figure that matters is a round's ratio; the
//! table shows the median over all rounds.

mod alloc;
mod clients;
mod server;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clients::{BoxError, Client, Kind};
use server::{Protocol, Server};

const HELP: &str = "\
Compares dodici-reqwest with reqwest and hyper-util's client.

Usage: dodici-bench-rust [--rounds N] [--millis MS] [--only TEXT] [--client NAME]

  --rounds N    rounds of each row (default 9)
  --millis MS   length of one client's turn in a round (default 400)
  --only TEXT   only rows whose name contains this
  --client NAME only this client: dodici, reqwest or hyper (for a profiler)
";

/// One row of the table.
struct Row {
    name: &'static str,
    protocol: Protocol,
    concurrency: usize,
    body: usize,
}

const ROWS: &[Row] = &[
    Row {
        name: "h1, 1 connection",
        protocol: Protocol::Http1,
        concurrency: 1,
        body: 13,
    },
    Row {
        name: "h1, 50 connections",
        protocol: Protocol::Http1,
        concurrency: 50,
        body: 13,
    },
    Row {
        name: "h1, 500 connections",
        protocol: Protocol::Http1,
        concurrency: 500,
        body: 13,
    },
    Row {
        name: "h1, 50 connections, 64 KiB",
        protocol: Protocol::Http1,
        concurrency: 50,
        body: 65_536,
    },
    Row {
        name: "h1 over TLS, 50 connections",
        protocol: Protocol::Tls,
        concurrency: 50,
        body: 13,
    },
    Row {
        name: "h1 over TLS, 50 connections, 64 KiB",
        protocol: Protocol::Tls,
        concurrency: 50,
        body: 65_536,
    },
    Row {
        name: "h2 over TLS, 1 stream",
        protocol: Protocol::Http2,
        concurrency: 1,
        body: 13,
    },
    Row {
        name: "h2 over TLS, 50 streams",
        protocol: Protocol::Http2,
        concurrency: 50,
        body: 13,
    },
    Row {
        name: "h2 over TLS, 50 streams, 64 KiB",
        protocol: Protocol::Http2,
        concurrency: 50,
        body: 65_536,
    },
];

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
    allocations: f64,
}

fn main() -> Result<(), BoxError> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    println!(
        "{:<38}{:>12}{:>12}{:>12}{:>10}{:>10}{:>22}",
        "", "dodici /s", "reqwest /s", "hyper /s", "x reqwest", "x hyper", "allocations (d/r/h)"
    );
    for row in ROWS {
        if options
            .only
            .as_ref()
            .is_some_and(|only| !row.name.contains(only))
        {
            continue;
        }
        show(row, &measure(row, &options)?);
    }
    Ok(())
}

/// All turns of a row, by client.
fn measure(row: &Row, options: &Options) -> Result<Vec<(Kind, Vec<Turn>)>, BoxError> {
    let server = Server::start(row.protocol, row.body)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let mut clients = Vec::new();
        let wanted = |kind: &Kind| options.client.is_none_or(|only| only == *kind);
        for kind in Kind::ALL.into_iter().filter(wanted) {
            let client = Client::new(kind, row.protocol)?;
            clients.push((kind, Rc::new(client), Vec::new()));
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
    }))
}

/// Keeps `concurrency` requests going until the time is up.
async fn turn(
    client: &Rc<Client>,
    url: &str,
    row: &Row,
    length: Duration,
) -> Result<Turn, BoxError> {
    let done = Rc::new(Cell::new(0_u64));
    let (started, allocated) = (Instant::now(), alloc::count());
    let workers: Vec<_> = (0..row.concurrency)
        .map(|_| {
            let (client, done, url) = (Rc::clone(client), Rc::clone(&done), url.to_owned());
            let expected = row.body;
            tokio::task::spawn_local(async move {
                while started.elapsed() < length {
                    let bytes = client.get(&url).await?;
                    if bytes != expected {
                        return Err(format!("{bytes} bytes instead of {expected}").into());
                    }
                    done.set(done.get() + 1);
                }
                Ok::<_, BoxError>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let requests = done.get().max(1) as f64;
    Ok(Turn {
        per_second: requests / started.elapsed().as_secs_f64(),
        allocations: (alloc::count() - allocated) as f64 / requests,
    })
}

fn show(row: &Row, measured: &[(Kind, Vec<Turn>)]) {
    let turns = |kind: Kind| {
        let found = measured.iter().find(|(have, _)| *have == kind);
        found.map(|(_, turns)| turns.as_slice()).unwrap_or_default()
    };
    let speed = |kind| median(turns(kind).iter().map(|turn| turn.per_second));
    let allocations = |kind| median(turns(kind).iter().map(|turn| turn.allocations));
    let ratio = |kind| {
        let pairs = turns(Kind::Dodici).iter().zip(turns(kind));
        median(pairs.map(|(ours, theirs)| ours.per_second / theirs.per_second))
    };
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    println!(
        "{:<38}{:>12}{:>12}{:>12}{:>10}{:>10}{:>22}",
        row.name,
        number(speed(Kind::Dodici), 0),
        number(speed(Kind::Reqwest), 0),
        number(speed(Kind::Hyper), 0),
        number(ratio(Kind::Reqwest), 2),
        number(ratio(Kind::Hyper), 2),
        format!(
            "{} / {} / {}",
            number(allocations(Kind::Dodici), 1),
            number(allocations(Kind::Reqwest), 1),
            number(allocations(Kind::Hyper), 1)
        ),
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
