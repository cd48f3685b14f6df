//! Submissions on the I/O thread: decodes a flush and calls the engine.
//!
//! Called by `runtime` for each flush. The engine is never called while `local`'s table is
//! borrowed.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use dodici::{AddressRule, ConnectHooks, Engine, RequestHandle};
use dodici_pool::{ConnId, Error, ErrorKind, Phase, Request};
use dodici_wire::Target;
use dodici_wire::completion::{put_connect_failed, put_connections, put_pool_closed, put_ready};
use dodici_wire::frame::Header;
use dodici_wire::options::{Allow, PoolOptions};
use dodici_wire::submission::{BadRecord, Subject, Submitted, submissions};

use crate::local::{PoolEntry, PoolState, with_env};
use crate::resolver::{JsJudge, JsResolver, JsRule};
use crate::sink::{self, PoolEvents, RequestSink, fail};

/// Processes every record of one flush, in order.
pub(crate) fn act(engine: &Engine, env: u32, flush: Bytes) {
    for record in submissions(flush) {
        match record {
            Ok((header, submitted)) => {
                let acted = catch_unwind(AssertUnwindSafe(|| {
                    carry_out(engine, env, header.target, submitted)
                }));
                if acted.is_err() {
                    refuse(env, &header, "a submission could not be processed");
                }
            }
            Err(BadRecord {
                header: Some(header),
                error,
            }) => {
                refuse(env, &header, error.to_string());
            }
            // Cannot happen: the frames were checked when the flush was submitted.
            Err(BadRecord { header: None, .. }) => {}
        }
    }
}

fn carry_out(engine: &Engine, env: u32, target: Target, submitted: Submitted) {
    match submitted {
        Submitted::Dispatch {
            pool,
            request,
            reports_connection,
        } => dispatch(env, target, pool, request, reports_connection),
        Submitted::BodyChunk(chunk) => on_request(env, target, |handle| handle.body_chunk(chunk)),
        Submitted::BodyEnd(trailers) => on_request(env, target, |handle| handle.body_end(trailers)),
        Submitted::BodyLeft => on_request(env, target, |handle| handle.body_left()),
        Submitted::Cancel => {
            if let Some(handle) = with_env(env, |env| env.cancel(target)).flatten() {
                handle.cancel();
            }
        }
        Submitted::Reset => {
            if let Some(handle) = with_env(env, |env| env.cancel(target)).flatten() {
                handle.reset();
            }
        }
        Submitted::Credit { bytes, paused } => on_request(env, target, |handle| {
            handle.credit(bytes);
            handle.pause(paused);
        }),
        Submitted::PoolCreate(options) => create_pool(engine, env, target.slot, &options),
        Submitted::PoolConfigure(options) => configure_pool(engine, env, target.slot, &options),
        Submitted::PoolClose => on_pool(env, target.slot, dodici::Pool::close),
        Submitted::PoolDestroy => {
            with_env(env, |env| env.forget_requests_of(target.slot));
            on_pool(env, target.slot, dodici::Pool::destroy);
        }
        Submitted::PoolConnect => {
            if let Some(PoolState::Open(pool)) = pool_state(env, target.slot) {
                pool.connect();
            }
        }
        Submitted::PoolPipelining(depth) => {
            if let Some(PoolState::Open(pool)) = pool_state(env, target.slot) {
                pool.set_keep_alive(dodici_wire::options::keeps_alive(depth));
                pool.set_pipelining(depth);
            }
        }
        Submitted::PoolInspect => inspect(env, target),
        Submitted::PoolPreconnect(count) => preconnect(env, target, count),
        Submitted::ConnectionDestroy => {
            on_connection(env, target, dodici::Pool::destroy_connection);
        }
        Submitted::ConnectionGiveUp => {
            on_connection(env, target, dodici::Pool::give_up_connection);
        }
        Submitted::LookupResult(answer) => {
            with_env(env, |env| {
                if let Some(entry) = env.pools.get_mut(&target.slot) {
                    entry.lookups.answer(target.generation, answer);
                }
            });
        }
    }
}

fn dispatch(env: u32, target: Target, pool: u32, request: Request, reports_connection: bool) {
    let reserved = with_env(env, |env| {
        let state = env.pools.get(&pool).map(|entry| entry.state.clone());
        (env.reserve(target, pool), state)
    });
    // The environment has ended, and with it the caller of this request.
    let Some((reserved, state)) = reserved else {
        return;
    };
    match reserved {
        Ok(None) => {}
        Ok(Some(left)) => left.cancel(),
        Err(too_large) => return refuse_request(env, target, format!("{too_large:?}")),
    }
    let reports_to = reports_connection.then_some(pool);
    match state {
        Some(PoolState::Open(pool)) => {
            let sink = RequestSink::new(env, target, reports_to);
            let handle = pool.dispatch(request, Box::new(sink));
            with_env(env, |env| env.attach(target, handle));
        }
        Some(PoolState::Failed(error)) => fail(env, target, &error),
        None => fail(env, target, &internal("no such pool".into())),
    }
}

fn create_pool(engine: &Engine, env: u32, id: u32, options: &[u8]) {
    let made = PoolOptions::decode(options)
        .map_err(Error::from)
        .and_then(|options| {
            let hooks = hooks(env, id, &options);
            let events = Arc::new(PoolEvents::new(env, id));
            let mut engine = engine.clone();
            if let Some(shared) = with_env(env, |env| Arc::clone(&env.shared)) {
                engine = engine.with_alternatives(shared.alternatives.clone());
                if let Some((id, most)) = options.limit {
                    engine = engine.under(shared.limit(id, most));
                }
            }
            engine.open_pool_with(options.origin, options.config, hooks, events)
        });
    with_env(env, |env| {
        let state = match made {
            Ok(pool) => PoolState::Open(pool),
            Err(error) => {
                let target = Target {
                    slot: id,
                    generation: 0,
                };
                env.batch.put(|out| put_connect_failed(out, target, &error));
                PoolState::Failed(error)
            }
        };
        env.pools.insert(id, PoolEntry::new(state))
    });
}

/// Answers with what the connections of a pool are doing.
fn inspect(env: u32, target: Target) {
    let state = pool_state(env, target.slot);
    tokio::spawn(async move {
        let connections = match state {
            Some(PoolState::Open(pool)) => pool.connections().await,
            Some(PoolState::Failed(_)) | None => Vec::new(),
        };
        sink::put(env, |env| {
            let batch = &mut env.batch;
            batch.put(|out| put_connections(out, target, &connections));
        });
    });
}

/// Answers with how many connections of a pool are ready, when that is so.
fn preconnect(env: u32, target: Target, count: u32) {
    let state = pool_state(env, target.slot);
    tokio::spawn(async move {
        let ready = match state {
            Some(PoolState::Open(pool)) => pool.preconnect(count).await,
            Some(PoolState::Failed(error)) => Err(error),
            None => Err(internal("no such pool".into())),
        };
        answer(env, target, ready);
    });
}

fn answer(env: u32, target: Target, ready: Result<u32, Error>) {
    sink::put(env, |env| {
        let ready = ready.as_ref().copied();
        env.batch.put(|out| put_ready(out, target, ready));
    });
}

fn hooks(env: u32, pool: u32, options: &PoolOptions) -> ConnectHooks {
    let mut hooks = ConnectHooks::default();
    if options.lookup {
        hooks.resolve = Some(Arc::new(JsResolver { env, pool }));
    }
    let rule = |allow, is_proxied| -> Arc<dyn AddressRule> {
        match allow {
            Allow::Public => Arc::new(dodici::public),
            Allow::Asked => Arc::new(JsRule {
                env,
                pool,
                is_proxied,
            }),
        }
    };
    hooks.allow = options.allow.map(|allow| rule(allow, false));
    hooks.allow_proxied = options.allow_proxied.map(|allow| rule(allow, true));
    let connect = &options.config.connect;
    let proxy = connect.proxy.as_ref().and_then(|proxy| proxy.tls.as_ref());
    if connect.tls.check_identity || proxy.is_some_and(|tls| tls.check_identity) {
        hooks.identity = Some(Arc::new(JsJudge { env, pool }));
    }
    if let Some(roots) = with_env(env, |env| env.shared.roots()) {
        hooks.roots = roots;
    }
    hooks
}

/// Opens the pool's connections with other options from now on.
fn configure_pool(engine: &Engine, env: u32, id: u32, options: &[u8]) {
    match pool_state(env, id) {
        Some(PoolState::Open(pool)) => match PoolOptions::decode(options) {
            Ok(options) => {
                pool.reconfigure(&options.config.connect, hooks(env, id, &options));
            }
            // Options of an existing pool are malformed only because of a bug: then it must not
            // open connections with outdated options.
            Err(_) => pool.destroy(),
        },
        Some(PoolState::Failed(_)) => create_pool(engine, env, id, options),
        None => {}
    }
}

/// Ends the connection with this serial number with `end`, if it still exists.
fn on_connection(env: u32, target: Target, end: impl FnOnce(&dodici::Pool, ConnId)) {
    let found = with_env(env, |env| {
        let entry = env.pools.get(&target.slot)?;
        let conn = entry.connection(target.generation)?;
        Some((entry.state.clone(), conn))
    });
    if let Some(Some((PoolState::Open(pool), conn))) = found {
        end(&pool, conn);
    }
}

/// Ends a pool with `end`. One that could not be created is closed immediately.
fn on_pool(env: u32, id: u32, end: impl FnOnce(&dodici::Pool)) {
    match pool_state(env, id) {
        Some(PoolState::Open(pool)) => end(&pool),
        Some(PoolState::Failed(_)) => {
            with_env(env, |env| {
                env.pools.remove(&id);
                env.batch.put(|out| put_pool_closed(out, id));
            });
        }
        None => {}
    }
}

fn pool_state(env: u32, id: u32) -> Option<PoolState> {
    with_env(env, |env| {
        env.pools.get(&id).map(|entry| entry.state.clone())
    })
    .flatten()
}

/// Applies `work` to a request, unless it has ended.
fn on_request(env: u32, target: Target, work: impl FnOnce(RequestHandle)) {
    if let Some(handle) = with_env(env, |env| env.handle(target)).flatten() {
        work(handle);
    }
}

/// Fails what a record was about, because the record is invalid: a bug on one of the two sides,
/// which must result in an error and not in something that waits forever.
fn refuse(env: u32, header: &Header, message: impl Into<Cow<'static, str>>) {
    let target = header.target;
    match Subject::of(header.kind) {
        Some(Subject::Request) => refuse_request(env, target, message),
        Some(Subject::Question) => answer(env, target, Err(internal(message.into()))),
        Some(Subject::Lookup) => {
            with_env(env, |env| {
                if let Some(entry) = env.pools.get_mut(&target.slot) {
                    entry.lookups.forget(target.generation);
                }
            });
        }
        Some(Subject::Pool) => {
            let error = internal(message.into());
            with_env(env, |env| {
                let target = Target {
                    slot: target.slot,
                    generation: 0,
                };
                env.batch.put(|out| put_connect_failed(out, target, &error));
                // A pool that was to be created does not exist: its requests must fail.
                let failed = || PoolEntry::new(PoolState::Failed(error));
                env.pools.entry(target.slot).or_insert_with(failed);
            });
        }
        None => {}
    }
}

fn refuse_request(env: u32, target: Target, message: impl Into<Cow<'static, str>>) {
    let left = with_env(env, |env| env.take(target)).flatten();
    if let Some(left) = left {
        left.cancel();
    }
    fail(env, target, &internal(message.into()));
}

fn internal(message: Cow<'static, str>) -> Error {
    Error::new(ErrorKind::Internal, Phase::Queued, message)
}
