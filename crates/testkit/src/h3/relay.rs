//! A relay of datagrams between a client and a server, with faults.
//!
//! It knows nothing of QUIC but where a long header has its connection ids, so that it can forge
//! Version Negotiation.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::watched::Watched;

/// Larger than any datagram.
const DATAGRAM: usize = 1 << 16;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client.
    Up,
    /// From the server.
    Down,
}

/// A datagram that has arrived.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Which way it goes.
    pub way: Way,
    /// How many went this way before.
    pub index: usize,
    /// What it consists of.
    pub bytes: &'a [u8],
}

/// What becomes of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on.
    Pass,
    /// It is lost.
    Lose,
    /// It is passed on twice.
    Repeat,
    /// Another takes its place.
    Replace(Vec<u8>),
    /// It is lost, and its sender gets this one.
    Answer(Vec<u8>),
    /// It is passed on, and its sender gets this one before.
    PassAndAnswer(Vec<u8>),
}

/// How many datagrams have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// From clients.
    pub up: usize,
    /// From servers.
    pub down: usize,
}

/// The relay. Dropping it ends it.
#[derive(Debug)]
pub struct UdpRelay {
    address: SocketAddr,
    state: Arc<State>,
    front: JoinHandle<()>,
}

type Decide = dyn FnMut(&Datagram<'_>) -> Fate + Send;

struct State {
    /// What clients send to.
    socket: UdpSocket,
    target: Mutex<SocketAddr>,
    decide: Mutex<Box<Decide>>,
    arrived: Watched<Arrived>,
    /// Sockets to the server, by client.
    flows: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
    /// Readers of these sockets, and of those before.
    readers: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl UdpRelay {
    /// A relay on a free port of 127.0.0.1 that passes everything on to this server.
    ///
    /// # Panics
    /// If there is no port left.
    pub async fn to(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let socket = socket.expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let state = Arc::new(State {
            socket,
            target: Mutex::new(server),
            decide: Mutex::new(Box::new(|_| Fate::Pass)),
            arrived: Watched::default(),
            flows: Mutex::default(),
            readers: Mutex::default(),
        });
        let front = tokio::spawn(Arc::clone(&state).read_clients());
        Self {
            address,
            state,
            front,
        }
    }

    /// What clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on, `decide` says what becomes of each datagram.
    pub fn decide(&self, decide: impl FnMut(&Datagram<'_>) -> Fate + Send + 'static) {
        *self.state.decide.lock() = Box::new(decide);
    }

    /// From now on, everything is lost.
    pub fn sever(&self) {
        self.decide(|_| Fate::Lose);
    }

    /// From now on, everything is passed on.
    pub fn mend(&self) {
        self.decide(|_| Fate::Pass);
    }

    /// From now on, clients reach another server, from other addresses.
    pub fn redirect(&self, server: SocketAddr) {
        *self.state.target.lock() = server;
        self.rebind();
    }

    /// From now on, clients have other addresses: what the server sends to the former ones still
    /// arrives.
    pub fn rebind(&self) {
        self.state.flows.lock().clear();
    }

    /// Sends a datagram to all clients.
    pub async fn inject(&self, bytes: &[u8]) {
        let clients: Vec<_> = self.state.flows.lock().keys().copied().collect();
        for client in clients {
            // A client that is gone needs none.
            let _ = self.state.socket.send_to(bytes, client).await;
        }
    }

    /// How many datagrams have arrived so far.
    pub fn arrived(&self) -> Arrived {
        self.state.arrived.read(|arrived| *arrived)
    }

    /// Resolves with the first `Some` that `look` finds.
    pub async fn wait<R>(&self, mut look: impl FnMut(Arrived) -> Option<R>) -> R {
        self.state.arrived.wait(|arrived| look(*arrived)).await
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.front.abort();
        for reader in self.state.readers.lock().drain(..) {
            reader.abort();
        }
    }
}

impl State {
    async fn read_clients(self: Arc<Self>) {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            // On some systems, a client that is gone shows here as an error.
            let Ok((len, client)) = self.socket.recv_from(&mut datagram).await else {
                continue;
            };
            let bytes = &datagram[..len];
            let (fate, target) = (self.fate(Way::Up, bytes), *self.target.lock());
            let flow = self.flow(client).await;
            for (way, bytes) in deliveries(fate, Way::Up, bytes) {
                // Lost, like any datagram may be.
                let _ = match way {
                    Way::Up => flow.send_to(&bytes, target).await,
                    Way::Down => self.socket.send_to(&bytes, client).await,
                };
            }
        }
    }

    /// The socket that stands for this client.
    async fn flow(self: &Arc<Self>, client: SocketAddr) -> Arc<UdpSocket> {
        if let Some(flow) = self.flows.lock().get(&client) {
            return Arc::clone(flow);
        }
        let flow = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let flow = Arc::new(flow.expect("a free port"));
        self.flows.lock().insert(client, Arc::clone(&flow));
        let reader = Arc::clone(self).read_server(client, Arc::clone(&flow));
        self.readers.lock().push(tokio::spawn(reader));
        flow
    }

    async fn read_server(self: Arc<Self>, client: SocketAddr, flow: Arc<UdpSocket>) {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let Ok((len, server)) = flow.recv_from(&mut datagram).await else {
                continue;
            };
            let bytes = &datagram[..len];
            let fate = self.fate(Way::Down, bytes);
            for (way, bytes) in deliveries(fate, Way::Down, bytes) {
                let _ = match way {
                    Way::Up => flow.send_to(&bytes, server).await,
                    Way::Down => self.socket.send_to(&bytes, client).await,
                };
            }
        }
    }

    fn fate(&self, way: Way, bytes: &[u8]) -> Fate {
        let index = self.arrived.update(|arrived| {
            let count = match way {
                Way::Up => &mut arrived.up,
                Way::Down => &mut arrived.down,
            };
            *count += 1;
            *count - 1
        });
        let mut decide = self.decide.lock();
        decide(&Datagram { way, index, bytes })
    }
}

/// What is sent, and which way.
fn deliveries(fate: Fate, way: Way, bytes: &[u8]) -> Vec<(Way, Vec<u8>)> {
    let back = match way {
        Way::Up => Way::Down,
        Way::Down => Way::Up,
    };
    let same = || (way, bytes.to_vec());
    match fate {
        Fate::Pass => vec![same()],
        Fate::Lose => Vec::new(),
        Fate::Repeat => vec![same(), same()],
        Fate::Replace(other) => vec![(way, other)],
        Fate::Answer(answer) => vec![(back, answer)],
        Fate::PassAndAnswer(answer) => vec![(back, answer), same()],
    }
}

/// Version Negotiation that answers this datagram of a client (RFC 9000, section 17.2.1); `None`
/// if it has no long header.
pub fn version_negotiation(datagram: &[u8], versions: &[u32]) -> Option<Vec<u8>> {
    if datagram.first()? & 0x80 == 0 {
        return None;
    }
    let destination = connection_id(&datagram[5..])?;
    let source = connection_id(&datagram[5 + 1 + destination.len()..])?;
    let mut bytes = vec![0x80, 0, 0, 0, 0];
    for id in [source, destination] {
        bytes.push(id.len() as u8);
        bytes.extend(id);
    }
    bytes.extend(versions.iter().flat_map(|version| version.to_be_bytes()));
    Some(bytes)
}

/// The connection id that begins here with its length.
fn connection_id(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first()?;
    rest.get(..usize::from(*len))
}
