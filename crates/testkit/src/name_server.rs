//! A name server on loopback with the names that a test defines (RFC 1035, RFC 3596).
//!
//! It uses UDP and answers queries for addresses and for HTTPS records (RFC 9460). Any other name
//! does not exist.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::watched::Watched;

/// TTL of answers in seconds: longer than any test.
const TTL: u32 = 3600;
/// Length of a message's header.
const HEADER: usize = 12;

/// The type of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `A`
    V4,
    /// `AAAA`
    V6,
    /// `HTTPS`
    Service,
}

/// The data of an HTTPS record (RFC 9460, section 2.2): a target, empty for the name itself, and
/// parameters, whose keys ascend.
pub fn service(priority: u16, target: &str, parameters: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = priority.to_be_bytes().to_vec();
    for label in target.split('.').filter(|label| !label.is_empty()) {
        data.push(u8::try_from(label.len()).expect("a label"));
        data.extend(label.as_bytes());
    }
    data.push(0);
    for (key, value) in parameters {
        data.extend(key.to_be_bytes());
        let len = u16::try_from(value.len()).expect("a short value");
        data.extend(len.to_be_bytes());
        data.extend(*value);
    }
    data
}

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Watched<Vec<(String, Family)>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Starts one with these names, in lower case, and their addresses.
    ///
    /// # Panics
    /// If there is no port left on 127.0.0.1.
    pub async fn start(names: impl IntoIterator<Item = (&str, Vec<IpAddr>)>) -> Self {
        Self::start_with(names, Some(HashMap::new())).await
    }

    /// The same with HTTPS records, by name; `None`: it does not answer queries for such.
    ///
    /// # Panics
    /// If there is no port left on 127.0.0.1.
    pub async fn start_with(
        names: impl IntoIterator<Item = (&str, Vec<IpAddr>)>,
        services: Option<HashMap<String, Vec<Vec<u8>>>>,
    ) -> Self {
        let mut names: HashMap<String, Records> = names
            .into_iter()
            .map(|(name, addresses)| (name.to_owned(), addresses.into_iter().map(record).collect()))
            .collect();
        let serves = services.is_some();
        for (name, services) in services.unwrap_or_default() {
            let services = services.into_iter().map(|data| (Family::Service, data));
            names.entry(name).or_default().extend(services);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let asked = Watched::<Vec<(String, Family)>>::default();
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut message = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut message).await {
                let question = read_question(&message[..len]).expect("a question");
                log.update(|log| log.push((question.name.clone(), question.family)));
                if question.family == Family::Service && !serves {
                    continue;
                }
                let known = names.get(&question.name).map(Vec::as_slice);
                let answer = answer(&message[..question.end], question.family, known);
                // A client that is gone needs no answer.
                drop(socket.send_to(&answer, from).await);
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The queries in order; names in lower case, without the trailing dot.
    pub fn asked(&self) -> Vec<(String, Family)> {
        self.asked.read(Clone::clone)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a name has: types, and the data of each record.
type Records = Vec<(Family, Vec<u8>)>;

fn record(address: IpAddr) -> (Family, Vec<u8>) {
    match address {
        IpAddr::V4(ip) => (Family::V4, ip.octets().to_vec()),
        IpAddr::V6(ip) => (Family::V6, ip.octets().to_vec()),
    }
}

struct Question {
    name: String,
    family: Family,
    /// Where it ends in the message.
    end: usize,
}

/// The only question of a message; `None` if it is for something else.
fn read_question(message: &[u8]) -> Option<Question> {
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        let label = message.get(at..at + len)?;
        labels.push(String::from_utf8(label.to_ascii_lowercase()).ok()?);
        at += len;
    }
    let family = match message.get(at..at + 4)? {
        [0, 1, 0, 1] => Family::V4,
        [0, 28, 0, 1] => Family::V6,
        [0, 65, 0, 1] => Family::Service,
        _ => return None,
    };
    Some(Question {
        name: labels.join("."),
        family,
        end: at + 4,
    })
}

/// The response to a query that ends with its question. `known`: the records; `None`
/// if there is no such name.
fn answer(question: &[u8], family: Family, known: Option<&[(Family, Vec<u8>)]>) -> Vec<u8> {
    let records = known.unwrap_or_default().iter();
    let records: Vec<_> = records.filter(|(of, _)| *of == family).collect();
    let kind = match family {
        Family::V4 => 1,
        Family::V6 => 28,
        Family::Service => 65,
    };
    let count = u8::try_from(records.len()).expect("few addresses");
    let mut out = question.to_vec();
    // An authoritative response, with the RD bit of the query; no error, or no such name.
    out[2] = 0x84 | (question[2] & 1);
    out[3] = 0x80 | if known.is_some() { 0 } else { 3 };
    out[4..HEADER].copy_from_slice(&[0, 1, 0, count, 0, 0, 0, 0]);
    for (_, data) in records {
        // The name is a pointer to the question's.
        out.extend([0xc0, HEADER as u8, 0, kind, 0, 1]);
        out.extend(TTL.to_be_bytes());
        let len = u16::try_from(data.len()).expect("a short record");
        out.extend(len.to_be_bytes());
        out.extend(data);
    }
    out
}
