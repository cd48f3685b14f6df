//! A path between two network namespaces that delays and loses packets, for kernels that cannot do
//! it themselves (netem). `bench/lib/far.mjs` starts it. Linux only; wants root.
//!
//! It makes the namespaces, connects them with two TUN devices, and prints one JSON line:
//! `{"client":"NAMESPACE","server":"NAMESPACE","address":"ADDRESS OF THE SERVER'S END"}`. It carries
//! packets until its standard input ends. Then it deletes the namespaces, and prints how many it has
//! carried and lost: `{"carried":N,"lost":N}`.

#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod tun;

const HELP: &str = "\
A path between two network namespaces.

Usage: dodici-bench-path [--rtt MILLISECONDS] [--loss PERCENT] [--seed N]

  --rtt MS        time that a packet and its answer take, half of it each (default 50)
  --loss PERCENT  packets lost, in each direction (default 1)
  --seed N        of the choice which (default 1)
";

struct Options {
    rtt: f64,
    loss: f64,
    seed: u64,
}

/// The options, or `None` if help was asked for.
fn parse(mut args: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        rtt: 50.0,
        loss: 1.0,
        seed: 1,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("rtt") => options.rtt = args.value()?.parse()?,
            Long("loss") => options.loss = args.value()?.parse()?,
            Long("seed") => options.seed = args.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    run(&options)
}

#[cfg(target_os = "linux")]
fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{Write, stdin, stdout};
    use std::time::Duration;

    let client = namespace::Namespace::create("client", "10.77.0.1")?;
    let server = namespace::Namespace::create("server", "10.77.0.2")?;
    let half = Duration::from_secs_f64(options.rtt / 2e3);
    let up = relay::Relay::start(
        client.tun()?,
        server.tun()?,
        half,
        options.loss,
        options.seed,
    );
    let seed = options.seed.wrapping_add(1);
    let down = relay::Relay::start(server.tun()?, client.tun()?, half, options.loss, seed);
    println!(
        "{{\"client\":\"{}\",\"server\":\"{}\",\"address\":\"{}\"}}",
        client.name(),
        server.name(),
        server.address(),
    );
    stdout().flush()?;
    std::io::copy(&mut stdin(), &mut std::io::sink())?;
    let (carried, lost) = (up.carried() + down.carried(), up.lost() + down.lost());
    println!("{{\"carried\":{carried},\"lost\":{lost}}}");
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let Options { rtt, loss, seed } = options;
    Err(format!("network namespaces are Linux's (--rtt {rtt} --loss {loss} --seed {seed})").into())
}
