//! One exchange: one attempt of a request on one connection, from writing its head to the end of
//! the response.
//!
//! - [`Rules`]: what applies to every exchange, a state machine without I/O used by each wire.
//! - `pace`: the minimum rate of a body.
//! - [`Job`]: the request, and whether it may be sent again after it was lost.
//! - `hyper`: an exchange that has an HTTP/1.1 connection to itself, driven by hyper.
//! - `multiplexed`: an exchange over one stream of an HTTP/2 or HTTP/3 connection.
//! - `stream`: the byte stream after an upgrade over HTTP/1.1.
//!
//! The third wire, HTTP/1.1 requests that share a connection, is `origin::pipeline`. Must not know
//! the pool.

mod hyper;
mod job;
mod multiplexed;
mod pace;
mod rules;
mod stream;

pub(crate) use hyper::{Finish, Interrupt, run};
pub(crate) use job::{Job, Loss, Watch};
pub(crate) use multiplexed::{StreamExchange, StreamFinish, StreamStep};
pub(crate) use rules::{Length, Rules, Stage, Wire};
pub(crate) use stream::run_stream;
