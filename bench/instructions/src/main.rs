//! Repeats fixed work: `bench/instructions.mjs` runs this under callgrind with two numbers of
//! repetitions. Their difference is the cost of the work alone, without start-up and
//! warm-up.
//!
//! A workload takes the same number of instructions in every run, so 5 % more is a change in the
//! code, not noise. It says nothing about caches and waiting; `just bench` does.

#[path = "../../rust/src/alloc.rs"]
mod alloc;
mod codec;
mod guard;
mod pool;
mod request;

use std::process::ExitCode;

const HELP: &str = "\
Fixed work of the pool, the framing guard, the codec and whole requests.

Usage: dodici-bench-instructions --list
       dodici-bench-instructions WORKLOAD REPETITIONS
       dodici-bench-instructions --allocations WORKLOAD REPETITIONS
";

/// Work that can be repeated.
struct Workload {
    name: &'static str,
    /// Prepares everything and repeats the work this often.
    run: fn(u64),
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "pool: a request on an idle connection",
        run: pool::reuse,
    },
    Workload {
        name: "pool: a request that was queued",
        run: pool::queued,
    },
    Workload {
        name: "pool: a request that is cancelled in the queue",
        run: pool::cancelled,
    },
    Workload {
        name: "pool: a pipelined request",
        run: pool::pipelined,
    },
    Workload {
        name: "pool: a stream on a connection",
        run: pool::stream,
    },
    Workload {
        name: "guard: a small response",
        run: guard::small,
    },
    Workload {
        name: "guard: a head of 24 fields",
        run: guard::fields,
    },
    Workload {
        name: "guard: a chunked body of 8 chunks",
        run: guard::chunked,
    },
    Workload {
        name: "guard: a small response, byte by byte",
        run: guard::bytewise,
    },
    Workload {
        name: "codec: decode a flush of 16 requests",
        run: codec::decode_dispatches,
    },
    Workload {
        name: "codec: encode a small response",
        run: codec::encode_response,
    },
    Workload {
        name: "codec: encode a head of 24 fields",
        run: codec::encode_fields,
    },
    Workload {
        name: "request: GET through Pool::send",
        run: request::pool_get,
    },
    Workload {
        name: "request: POST of 1 KiB through Pool::send_known",
        run: request::pool_post,
    },
    Workload {
        name: "request: GET through dodici-reqwest",
        run: request::reqwest_get,
    },
    Workload {
        name: "request: POST of 1 KiB through dodici-reqwest",
        run: request::reqwest_post,
    },
];

fn main() -> ExitCode {
    match start(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn start(mut args: lexopt::Parser) -> Result<(), lexopt::Error> {
    use lexopt::prelude::*;
    let mut values = Vec::new();
    let mut counts_allocations = false;
    while let Some(arg) = args.next()? {
        match arg {
            Long("list") => {
                WORKLOADS.iter().for_each(|work| println!("{}", work.name));
                return Ok(());
            }
            Long("allocations") => counts_allocations = true,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Value(value) => values.push(value.string()?),
            _ => return Err(arg.unexpected()),
        }
    }
    let [name, repetitions] = values.as_slice() else {
        return Err("a workload and a number are needed".into());
    };
    let work = WORKLOADS
        .iter()
        .find(|work| work.name == name)
        .ok_or_else(|| format!("there is no workload \"{name}\""))?;
    let before = alloc::count();
    (work.run)(repetitions.parse().map_err(|_| "no number")?);
    if counts_allocations {
        println!("{}", alloc::count() - before);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::WORKLOADS;

    #[test]
    fn every_workload_does_its_work() {
        // Each asserts the result of its last repetition.
        for work in WORKLOADS {
            (work.run)(3);
        }
    }
}
