//! The connection pool of dodici as a state machine without I/O, and the vocabulary that all
//! crates of dodici share.
//!
//! - `model`: plain values: origin, ids, heads, errors, events, configuration.
//! - `pool`: [`OriginPool`], the queue and the connections of one origin; [`SharedLimit`], a limit on
//!   the connections of several.
//!
//! Nothing here reads a clock, opens a socket, takes a lock or spawns a task: time is an argument,
//! and the caller carries out the actions that the pool returns. So every race can be tested in
//! microseconds.
#![forbid(unsafe_code)]

mod alternatives;
mod deadlines;
mod model;
mod pool;

pub use alternatives::{AltSvc, Alternative, Alternatives, HEAD_START, Offer};
pub use model::close_reason::CloseReason;
pub use model::config::{
    AddressOrder, ConnectConfig, ConnectFailure, DnsCacheConfig, ExchangeConfig, Family,
    Http2Config, Leniency, OriginConfig, PoolConfig, UnexpectedContinue,
};
pub use model::credit::{PIECE_OVERHEAD, piece_cost};
pub use model::error::{Error, ErrorKind, ParseErrorCode, Replay, SocketInfo, SystemDetail};
pub use model::event::{ConnectInfo, ConnectTimings, DisconnectInfo, Event, Protocol};
pub use model::headers::HeaderBlock;
pub use model::http3::{Congestion, Http3Config, Http3Mode};
pub use model::id::{ConnId, RequestId};
pub use model::origin::{Origin, Scheme};
pub use model::phase::Phase;
pub use model::proxy::{
    Proxy, ProxyAnswer, ProxyCredentials, ProxyInfo, ProxyProtocol, SocksResolve,
};
pub use model::request::{BodyKind, Decode, DecodeManner, Request, RequestKind};
pub use model::response::{ResponseHead, Version};
pub use model::size_limit::SizeLimit;
pub use model::status::{Activity, ConnectionStatus};
pub use model::timings::RequestTimings;
pub use model::tls::{Identity, RootSource, TlsConfig, TlsInfo, TlsVersion};

pub use pool::{
    Action, Cancelled, MemberId, Members, OriginPool, Outcome, PoolStats, Refused, SharedLimit,
    Traits,
};
