//! A client in its own process, which a test can stop and continue.
//!
//! The process is the test's own binary, running only the ignored test `client`. It prints
//! the outcome of each request on standard output, in lines that begin with `outcome `.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The process. Killed when it is dropped.
#[derive(Debug)]
pub struct ClientProcess(Child);

impl ClientProcess {
    /// Starts it with these environment variables.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let this = env::current_exe().expect("the test's binary is known");
        let started = Command::new(this)
            .args(["--exact", "client", "--ignored", "--nocapture"])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(started.expect("the test's binary can be started"))
    }

    /// Sends a signal, for instance `-STOP`.
    pub fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([name, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill can be started").success());
    }

    /// How often it reported each outcome. Blocks until it has ended.
    ///
    /// # Panics
    /// If it failed.
    pub fn outcomes(&mut self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        let output = self.0.stdout.take().expect("outcomes are asked for once");
        for line in BufReader::new(output).lines() {
            let line = line.expect("the client's output can be read");
            if let Some(outcome) = line.strip_prefix("outcome ") {
                *outcomes.entry(outcome.to_owned()).or_default() += 1;
            }
        }
        let status = self.0.wait().expect("the client can be waited for");
        assert!(status.success(), "{status}");
        outcomes
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.0.kill();
        let _status = self.0.wait();
    }
}
