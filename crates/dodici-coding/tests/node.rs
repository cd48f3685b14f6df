//! Broken bodies, decoded by ours and by Node's zlib: the same result, the same messages, and the
//! same bytes. Without a `node`, there is nothing to compare with, and the tests say so.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use dodici_coding::{Behind, Coding, Decoder};
use support::{decoded, unit};

/// Reads lines `coding hex`, and prints the result of Node's zlib for each, called as in undici:
/// `ok hex` or `error code errno message`; `unknown` for a coding that this Node does not have.
const JUDGE: &str = r"
const zlib = require('node:zlib');
const { constants } = zlib;
const deflate = (bytes) =>
  (bytes[0] & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw();
const codings = {
  Gzip: () => zlib.createGunzip(),
  Deflate: deflate,
  Brotli: () => zlib.createBrotliDecompress(),
  Zstd: zlib.createZstdDecompress && (() =>
    zlib.createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } })),
};
function judge(coding, bytes) {
  if (!codings[coding]) return 'unknown';
  return new Promise((resolve) => {
    const chunks = [];
    const stream = codings[coding](bytes);
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve('ok ' + Buffer.concat(chunks).toString('hex')));
    stream.on('error', ({ code, errno, message }) => resolve(`error ${code} ${errno} ${message}`));
    // It decodes one zstd frame per chunk, and skips the rest of the chunk.
    if (coding === 'Zstd') for (const byte of bytes) stream.write(Buffer.of(byte));
    else stream.write(bytes);
    stream.end();
  });
}
(async () => {
  const lines = require('node:fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
  const verdicts = [];
  for (const line of lines) {
    const [coding, hex] = line.split(' ');
    verdicts.push(await judge(coding, Buffer.from(hex, 'hex')));
  }
  process.stdout.write(verdicts.join('\n'));
})();
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Node's results for these bodies; `None` without a Node.
fn verdicts(bodies: &[(Coding, Vec<u8>)]) -> Option<Vec<String>> {
    let node = std::env::var_os("DODICI_NODE").unwrap_or_else(|| "node".into());
    let spawned = Command::new(node)
        .args(["-e", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut node) = spawned else {
        println!("skipped: there is no node to compare with");
        return None;
    };
    let lines: String = bodies
        .iter()
        .map(|(coding, bytes)| format!("{coding:?} {}\n", hex(bytes)))
        .collect();
    // It reads all of its input before it writes.
    node.stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), bodies.len());
    Some(verdicts)
}

fn ours(coding: Coding, bytes: &[u8]) -> String {
    // The library checks some broken frames more strictly if it has them as a whole.
    let slice = match coding {
        Coding::Zstd => 1,
        _ => bytes.len(),
    };
    let decoder = Decoder::new(&[coding], Behind::Ignored, None);
    match decoded(&mut decoder.unwrap(), bytes.chunks(slice), 4096) {
        Ok(body) => format!("ok {}", hex(&body)),
        Err(error) => format!("error {} {} {error}", error.code(), error.number()),
    }
}

/// Node's result in our words, where ours cover several of Node's.
fn without_detail(ours: &str, verdict: &str) -> String {
    let named = [
        "invalid distance too far back",
        "invalid distance code",
        "invalid literal/length code",
    ];
    match named.iter().find(|name| verdict.ends_with(*name)) {
        Some(name) if !ours.ends_with(name) => verdict.replace(name, "invalid code or distance"),
        _ => verdict.to_owned(),
    }
}

fn compare(bodies: &[(Coding, Vec<u8>)]) {
    let Some(verdicts) = verdicts(bodies) else {
        return;
    };
    let mut different = Vec::new();
    for ((coding, bytes), verdict) in bodies.iter().zip(verdicts) {
        let ours = ours(*coding, bytes);
        if verdict != "unknown" && ours != without_detail(&ours, &verdict) {
            different.push(format!(
                "{coding:?} {}\n  node {verdict}\n  ours {ours}",
                hex(bytes)
            ));
        }
    }
    let count = different.len();
    different.truncate(20);
    assert!(
        count == 0,
        "{count} of {}:\n{}",
        bodies.len(),
        different.join("\n")
    );
}

/// Short, but with literals, matches and a dynamic code.
const BODY: &[u8] =
    b"{\"id\":1,\"name\":\"one\"},{\"id\":2,\"name\":\"two\"},{\"id\":3,\"name\":\"three\"}";

fn bodies() -> Vec<(Coding, Vec<u8>)> {
    use support::{Wrapper, brotli, zlib, zstd};
    use zlib_rs::DeflateFlush::{NoFlush, SyncFlush};

    let parts = [&BODY[..20], &BODY[20..]];
    vec![
        (Coding::Gzip, unit(Coding::Gzip, BODY)),
        (Coding::Gzip, zlib(&parts, 9, Wrapper::Gzip(15), SyncFlush)),
        (Coding::Gzip, zlib(&parts, 0, Wrapper::Gzip(15), NoFlush)),
        (
            Coding::Gzip,
            [unit(Coding::Gzip, b"one"), unit(Coding::Gzip, b"two")].concat(),
        ),
        (Coding::Deflate, unit(Coding::Deflate, BODY)),
        (Coding::Deflate, zlib(&parts, 0, Wrapper::Zlib(9), NoFlush)),
        (Coding::Deflate, zlib(&parts, 6, Wrapper::Raw(15), NoFlush)),
        (Coding::Brotli, unit(Coding::Brotli, BODY)),
        (Coding::Brotli, brotli(&parts, 11, 16)),
        (Coding::Zstd, unit(Coding::Zstd, BODY)),
        (Coding::Zstd, zstd(&parts, 19, 12)),
        (
            Coding::Zstd,
            [unit(Coding::Zstd, b"one"), unit(Coding::Zstd, b"two")].concat(),
        ),
    ]
}

#[test]
fn a_body_with_any_bit_flipped_is_judged_as_by_nodes_zlib() {
    let mut flipped = Vec::new();
    for (coding, coded) in bodies() {
        for bit in 0..coded.len() * 8 {
            let mut bytes = coded.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            flipped.push((coding, bytes));
        }
    }
    compare(&flipped);
}

#[test]
fn a_body_truncated_anywhere_is_judged_as_by_nodes_zlib() {
    let mut cut = Vec::new();
    for (coding, coded) in bodies() {
        // Without a byte there is nothing to decode, as in a response to HEAD.
        cut.extend((1..=coded.len()).map(|end| (coding, coded[..end].to_vec())));
    }
    compare(&cut);
}

#[test]
fn bytes_after_a_body_are_judged_as_by_nodes_zlib() {
    let mut longer = Vec::new();
    for (coding, coded) in bodies() {
        for behind in [
            &b"\0"[..],
            b"\0\0\0\0",
            b"\x1f",
            b"\x1f\x8b",
            b"x",
            b"garbage",
        ] {
            longer.push((coding, [&coded, behind].concat()));
        }
    }
    compare(&longer);
}
