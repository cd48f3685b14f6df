//! Layers around connecting, and arguments that name a Unix socket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dodici::{AroundHook, ErrorKind, HookFuture, Phase, Replay};
use parking_lot::Mutex;
use tower::util::{BoxCloneSyncService, BoxCloneSyncServiceLayer, ServiceExt};
use tower::{Layer, Service};

use crate::error::{BoxError, TimedOut};

/// A connection attempt, as seen by a layer. Opaque.
pub struct Unnameable(HookFuture<Result<dodici::Connected, dodici::Error>>);

impl fmt::Debug for Unnameable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unnameable")
    }
}

/// A connection, as seen by a layer. Opaque.
#[derive(Debug)]
pub struct Conn(dodici::Connected);

/// The service that layers wrap.
pub(crate) type BoxedConnectorService = BoxCloneSyncService<Unnameable, Conn, BoxError>;

pub(crate) type BoxedConnectorLayer =
    BoxCloneSyncServiceLayer<BoxedConnectorService, Unnameable, Conn, BoxError>;

/// A client's layers, the first innermost, the connect timeout outermost.
pub(crate) fn layered(
    layers: &[BoxedConnectorLayer],
    timeout: Option<Duration>,
) -> Option<Arc<dyn AroundHook>> {
    if layers.is_empty() {
        return None;
    }
    let mut service = BoxCloneSyncService::new(tower::service_fn(|Unnameable(making)| async {
        making.await.map(Conn).map_err(BoxError::from)
    }));
    for layer in layers {
        service = layer.layer(service);
    }
    if let Some(timeout) = timeout {
        let layer = tower::timeout::TimeoutLayer::new(timeout);
        service = BoxCloneSyncService::new(layer.layer(service));
    }
    Some(Arc::new(Layered(Mutex::new(service))))
}

struct Layered(Mutex<BoxedConnectorService>);

impl AroundHook for Layered {
    fn around(
        &self,
        connect: HookFuture<Result<dodici::Connected, dodici::Error>>,
    ) -> HookFuture<Result<dodici::Connected, dodici::Error>> {
        let mut service = self.0.lock().clone();
        Box::pin(async move {
            let ready = service.ready().await.map_err(engine_error)?;
            match ready.call(Unnameable(connect)).await {
                Ok(Conn(connected)) => Ok(connected),
                Err(error) => Err(engine_error(error)),
            }
        })
    }
}

/// A layer's failure as an engine error.
fn engine_error(error: BoxError) -> dodici::Error {
    let error = match error.downcast::<dodici::Error>() {
        Ok(engine) => return *engine,
        Err(other) => other,
    };
    let (kind, message, cause) = if error.is::<tower::timeout::error::Elapsed>() {
        let cause: BoxError = Box::new(TimedOut);
        (ErrorKind::ConnectTimeout, "connecting timed out", cause)
    } else {
        (ErrorKind::Connect, "a connector layer failed", error)
    };
    dodici::Error::new(kind, Phase::Connect, message)
        .with_replay(Replay::Unsent)
        .with_source(cause)
}

/// Accepted by [`ClientBuilder::unix_socket`](crate::ClientBuilder::unix_socket): paths, and
/// strings that are paths. Sealed.
#[cfg(unix)]
pub trait UnixSocketProvider: sealed::Path {}

/// Accepted by [`ClientBuilder::windows_named_pipe`](crate::ClientBuilder::windows_named_pipe):
/// paths, and strings that are paths. Sealed.
#[cfg(windows)]
pub trait WindowsNamedPipeProvider: sealed::Path {}

mod sealed {
    pub trait Path: AsRef<std::path::Path> {}

    macro_rules! paths {
        ($provider:ident, $($type:ty),*) => {$(
            impl Path for $type {}
            impl super::$provider for $type {}
        )*};
    }

    #[cfg(unix)]
    paths!(
        UnixSocketProvider,
        String,
        &'_ str,
        &'_ std::path::Path,
        std::path::PathBuf,
        std::sync::Arc<std::path::Path>
    );
    #[cfg(windows)]
    paths!(
        WindowsNamedPipeProvider,
        String,
        &'_ str,
        &'_ std::path::Path,
        std::path::PathBuf,
        &'_ std::ffi::OsStr,
        std::ffi::OsString
    );
}
