# Run with `npx -y rust-just <recipe>`, or `just <recipe>` where just is installed.
# Everything needs Rust (rustup), Node 20 or newer and a C compiler, and nothing else.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

# Show this table of contents
[private]
default:
    @just --justfile "{{ justfile() }}" --list --unsorted

# Start its own servers, send real requests through the engine, compare with undici
[group('1 see it work')]
demo *ARGS: build-servers
    @node --require ./scripts/peer.cjs node/demo/demo.mjs {{ ARGS }}

# Check and test everything, as CI does
[group('1 see it work')]
test *ARGS:
    @node scripts/test.mjs {{ ARGS }}

# Install the npm packages that the recipes below need
[group('2 build')]
setup:
    @node scripts/setup.mjs node

# Build the addon (release) and the npm package
[group('2 build')]
build: setup
    @node scripts/native.mjs
    @npm run --silent --prefix node build

# Make the npm packages as they are published, in target/packages: --dry-run, or --help
[group('2 build')]
pack *ARGS: build
    @node scripts/pack.mjs {{ ARGS }}

# Delete everything that was built or installed
[group('2 build')]
clean:
    @node scripts/clean.mjs

# Check formatting, lints, layer rules, generated code, requirements, documentation and lockfiles
[group('3 change it')]
lint *ARGS:
    @node scripts/test.mjs --group lint {{ ARGS }}

# Format Rust and TypeScript
[group('3 change it')]
fmt: setup
    cargo fmt --all
    npm run --silent --prefix node format

# Build the documentation site and check its links: --help
[group('3 change it')]
docs *ARGS:
    @node scripts/setup.mjs node docs
    @node scripts/docs.mjs {{ ARGS }}

# Serve the documentation site while you write it
[group('3 change it')]
docs-dev: (docs "--dev")

# undici's own tests against our classes: --suite DIR, with --types its type tests, or --help
[group('3 change it')]
conformance-undici *ARGS: build
    @node conformance/undici/run.mjs {{ ARGS }}

# Exports, options and defaults of undici that ours lack: --latest, or --help
[group('3 change it')]
undici-diff *ARGS: setup
    @npm run --silent --prefix node build
    @node conformance/undici/diff.mjs {{ ARGS }}

# Install the packages from a registry of their own with every package manager: --short, or --help
[group('3 change it')]
rehearse *ARGS: build
    @node scripts/setup.mjs rehearsal
    @node rehearsal/run.mjs {{ ARGS }}

# What can be tried of a release without publishing: packages, rehearsal, Debian 11: --list, or --help
[group('3 change it')]
release-check *ARGS:
    @node scripts/release-check.mjs {{ ARGS }}

# Compare the public names of dodici-reqwest with reqwest's
[group('3 change it')]
api-diff:
    cargo xtask api-diff

# Write the TypeScript half of the boundary's schema
[group('3 change it')]
codegen:
    cargo xtask codegen

# Compare with undici and others on every load, in about a quarter of an hour: --list, or --help
[group('4 measure')]
bench *ARGS: build-bench
    @node bench/run.mjs {{ ARGS }}

# HTTP/1.1 only: 1 and 50 connections, pipelining, undici's own benchmark
[group('4 measure')]
bench-h1 *ARGS: build-bench
    @node bench/run.mjs h1 {{ ARGS }}

# HTTP/1.1 over TLS 1.3 only
[group('4 measure')]
bench-tls *ARGS: build-bench
    @node bench/run.mjs tls {{ ARGS }}

# HTTP/2 only
[group('4 measure')]
bench-h2 *ARGS: build-bench
    @node bench/run.mjs h2 {{ ARGS }}

# HTTP/3 against HTTP/2, also over a path of 50 ms that loses 1 % of the packets: see --help
[group('4 measure')]
bench-h3 *ARGS: build-bench
    @node bench/h3.mjs {{ ARGS }}

# Bodies only: 16 KiB to 1 GiB, in both directions
[group('4 measure')]
bench-bodies *ARGS: build-bench
    @node bench/run.mjs bodies {{ ARGS }}

# request(), stream(), pipeline(), fetch() only
[group('4 measure')]
bench-apis *ARGS: build-bench
    @node bench/run.mjs apis {{ ARGS }}

# fetch() only: JSON, codings, streams, redirects, and the fetches of Node, Bun, Deno, axios and ky
[group('4 measure')]
bench-fetch *ARGS: build-bench
    @node bench/run.mjs fetch {{ ARGS }}

# One request after the other only
[group('4 measure')]
bench-latency *ARGS: build-bench
    @node bench/run.mjs latency {{ ARGS }}

# 1,000 origins only
[group('4 measure')]
bench-origins *ARGS: build-bench
    @node bench/run.mjs origins {{ ARGS }}

# A busy JavaScript thread only
[group('4 measure')]
bench-busy *ARGS: build-bench
    @node bench/run.mjs busy {{ ARGS }}

# Programs only: a gateway, a renderer of pages, a relay of uploads, a crawler
[group('4 measure')]
bench-work *ARGS: build-bench
    @node bench/run.mjs work {{ ARGS }}

# Closing 5,000 connections only
[group('4 measure')]
bench-closing *ARGS: build-bench
    @node bench/run.mjs closing {{ ARGS }}

# From 10 to 10,000 connections, 1 to 10,000 origins, 0 to 64 MiB …, and what each costs: see --help
[group('4 measure')]
bench-scale *ARGS: build-bench
    @node bench/scale.mjs {{ ARGS }}

# Cold start only
[group('4 measure')]
bench-start *ARGS: build-bench
    @node bench/run.mjs start {{ ARGS }}

# Memory of idle connections only
[group('4 measure')]
bench-memory *ARGS: build-bench
    @node bench/run.mjs memory {{ ARGS }}

# All other clients only: Node's own, axios, got, node-fetch, impit, wreq-js
[group('4 measure')]
bench-peers *ARGS: build-bench
    @node bench/run.mjs peers {{ ARGS }}

# Compare dodici-reqwest with reqwest and hyper-util: --rounds N --millis MS, or --help
[group('4 measure')]
bench-rust *ARGS:
    cargo run --release --quiet --package dodici-bench-rust -- {{ ARGS }}

# Compare a run with bench/baseline.json: --tolerance SHARE, or --help
[group('4 measure')]
bench-compare *ARGS:
    @node bench/compare.mjs {{ ARGS }}

# Publish a run: baseline, plots, docs/benchmarks.md
[group('4 measure')]
bench-publish *ARGS:
    @node bench/publish.mjs {{ ARGS }}

# Count instructions (callgrind) and allocations of pool, framing guard, codec and requests: fails at 5 % more
[group('4 measure')]
bench-instructions *ARGS:
    @node bench/instructions.mjs {{ ARGS }}

# Fuzz each decoder of peer input for a minute: [target…] --seconds N, or --help
[group('4 measure')]
fuzz *ARGS:
    @node scripts/fuzz.mjs {{ ARGS }}

# Mixed load, or one gate with many repetitions (origins, race, nodes, asan, ..., all): see --help
[group('4 measure')]
soak *ARGS: build
    @node --expose-gc --require ./scripts/peer.cjs bench/soak.mjs {{ ARGS }}

# HTTP/2 with servers that go away, refuse and flood, and with third-party servers: see --help
[group('4 measure')]
soak-h2 *ARGS: build
    @node scripts/soak-h2.mjs {{ ARGS }}

# HTTP/3 with servers that do wrong, and with third-party servers (Caddy, aioquic): see --help
[group('4 measure')]
soak-h3 *ARGS:
    @node scripts/soak-h3.mjs {{ ARGS }}

# Build everything that the benchmarks need and install the clients they compare
[group('4 measure')]
build-bench: build-servers
    @node scripts/setup.mjs bench

# As `build`, with the servers of the demo and the benchmarks
[private]
build-servers: setup
    @node scripts/native.mjs --servers
    @npm run --silent --prefix node build
