//! A network namespace with one TUN device, made with `ip`.

use std::fs::File;
use std::io;
use std::process::{Command, id};

use crate::tun;

/// Packets that may wait in the device: more than a window that a client may send at once.
const QUEUE: &str = "10000";

/// Of both ends.
const NETWORK: &str = "10.77.0.0/30";

/// The congestion control of TCP: that of QUIC is CUBIC as well. Whatever the system has chosen, such as
/// one that ignores losses, would be compared instead of the protocols.
const CONGESTION: &str = "cubic";

/// Dropping it deletes the namespace.
pub(crate) struct Namespace {
    name: String,
    address: &'static str,
    device: File,
}

impl Namespace {
    /// Makes `dodici-<what>-<pid>`, whose device has this address in a network of two.
    pub(crate) fn create(what: &str, address: &'static str) -> io::Result<Self> {
        let (name, device) = (
            format!("dodici-{what}-{}", id()),
            format!("dt{}{}", &what[..1], id()),
        );
        ip(&["netns", "add", &name])?;
        // From here on, a failure deletes it.
        let file = tun::create(&device);
        let this = match file {
            Ok(file) => Self {
                name,
                address,
                device: file,
            },
            Err(error) => {
                let _deleted = ip(&["netns", "del", &name]);
                return Err(error);
            }
        };
        let name = &this.name;
        ip(&["link", "set", &device, "netns", name])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        ip(&[
            "-n",
            name,
            "addr",
            "add",
            &format!("{address}/30"),
            "dev",
            &device,
        ])?;
        ip(&[
            "-n",
            name,
            "link",
            "set",
            &device,
            "txqueuelen",
            QUEUE,
            "up",
        ])?;
        // The system may not let a namespace choose it for all routes.
        ip(&[
            "-n", name, "route", "replace", NETWORK, "dev", &device, "src", address, "congctl",
            CONGESTION,
        ])?;
        Ok(this)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &str {
        self.address
    }

    /// Its device.
    pub(crate) fn tun(&self) -> io::Result<File> {
        self.device.try_clone()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell if it fails.
        let _deleted = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let (arguments, complaint) = (arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Err(io::Error::other(format!("ip {arguments}: {complaint}")))
}
