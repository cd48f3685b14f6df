//! Secrets of TLS sessions in a file, in the format of NSS, for tools that decrypt captured traffic:
//! `--tls-keylog` of Node.
//!
//! Called by rustls during a handshake, if the configuration names a file.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use rustls::KeyLog;

/// Appends to this file. As in Node, a handshake does not fail if it cannot.
#[derive(Debug)]
pub(super) struct KeyLogFile(pub(super) PathBuf);

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One write: lines of other connections, and of Node's own sockets, go to the same file.
        let written = options
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        drop(written);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
