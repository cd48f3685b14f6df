//! What an established TLS stream holds right now: for the probe, and for TLS inside TLS.
//!
//! Called by the transport and the socket. Must not wait.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::Context;

use rustls::ClientConnection;
use tokio::io::AsyncWrite;
use tokio_rustls::client::TlsStream;

use super::read_ahead::ReadAhead;
use super::socket::Probe;

/// Bytes per read. A server's tickets after a handshake take a few hundred bytes; whatever is
/// larger is data, and the probe ends there.
const BITE: usize = 2048;

/// Reads per probe, 128 KiB in total. A peer that sends more than tickets on an idle connection
/// must not keep the thread busy.
const MOST_BITES: usize = 64;

/// Decrypts what the kernel holds. Application data stays in the session, where the next read
/// finds it.
pub(super) fn probe(stream: &mut TlsStream<ReadAhead>, cx: &mut Context<'_>) -> Probe {
    let (socket, session) = stream.get_mut();
    let mut bite = [0; BITE];
    for _ in 0..MOST_BITES {
        // First, process what earlier reads left in the session.
        if let Some(seen) = process(session) {
            return seen;
        }
        let count = match socket.read_now(&mut bite) {
            Ok(0) => return Probe::Closed(None),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return clean(stream, cx),
            Err(error) => return Probe::Closed(Some(error)),
        };
        let mut rest = &bite[..count];
        while !rest.is_empty() {
            match session.read_tls(&mut rest) {
                Ok(_) => {}
                Err(error) => return Probe::Closed(Some(error)),
            }
            if let Some(seen) = process(session) {
                return seen;
            }
        }
    }
    Probe::Data
}

fn clean(stream: &mut TlsStream<ReadAhead>, cx: &mut Context<'_>) -> Probe {
    if stream.get_ref().1.wants_write() {
        // A key update needs a response; an error here is reported by the next write.
        let _ = Pin::new(stream).poll_flush(cx);
    }
    Probe::Clean
}

/// Reads what the kernel holds and TLS decrypts, like `read(2)`: for TLS to the origin inside TLS
/// to a proxy.
pub(super) fn read_now(stream: &mut TlsStream<ReadAhead>, buffer: &mut [u8]) -> io::Result<usize> {
    let (socket, session) = stream.get_mut();
    loop {
        match session.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        let mut bite = [0; BITE];
        let count = socket.read_now(&mut bite)?;
        let mut rest = &bite[..count];
        loop {
            // An empty rest is the end of the socket, which the session must see as well.
            session.read_tls(&mut rest)?;
            session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if rest.is_empty() {
                break;
            }
        }
    }
}

/// `None` while there is nothing for the application.
fn process(session: &mut ClientConnection) -> Option<Probe> {
    match session.process_new_packets() {
        Ok(state) if state.plaintext_bytes_to_read() > 0 => Some(Probe::Data),
        Ok(state) if state.peer_has_closed() => Some(Probe::Closed(None)),
        Ok(_) => None,
        Err(error) => Some(Probe::Closed(Some(io::Error::new(
            io::ErrorKind::InvalidData,
            error,
        )))),
    }
}
