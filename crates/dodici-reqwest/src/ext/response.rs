//! Extensions of both response types.

use std::sync::Arc;
use std::time::Duration;

use dodici::{ConnId, ConnectInfo, ConnectTimings, HeaderBlock, ResponseHead};

/// How long a response took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long connecting took, by leg; `None` for a reused connection.
    pub connect: Option<ConnectTimings>,
    /// From the start of the request to the response head: waiting for a connection, connecting,
    /// sending, waiting for the response.
    pub head: Duration,
}

/// Details that reqwest's response does not have. A response created from an `http::Response` has
/// none of them.
pub trait ResponseExt: sealed::Extensions {
    /// Whether the connection had served a request before.
    fn is_reused(&self) -> bool {
        self.via().is_some_and(|via| via.detail.info.reused)
    }

    /// The id of its connection within its pool. Events carry the same id.
    fn connection_id(&self) -> Option<ConnId> {
        self.via().map(|via| via.detail.info.conn)
    }

    /// Details of the connection: addresses, protocol, TLS.
    fn connection(&self) -> Option<&Arc<ConnectInfo>> {
        self.via()?.detail.connection.as_ref()
    }

    /// How long it took.
    ///
    /// ```no_run
    /// use dodici_reqwest::ext::ResponseExt;
    ///
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let response = dodici_reqwest::get("https://example.com/").await?;
    /// println!("{:?}, reused: {}", response.timings(), response.is_reused());
    /// # Ok(())
    /// # }
    /// ```
    fn timings(&self) -> Option<Timings> {
        let via = self.via()?;
        let connection = via.detail.connection.as_ref();
        Some(Timings {
            connect: connection
                .filter(|_| !via.detail.info.reused)
                .map(|connection| connection.timings),
            head: via.head,
        })
    }

    /// The head exactly as received: order, letter case and duplicates of its fields, the bytes of
    /// the reason phrase.
    fn raw_head(&self) -> Option<&ResponseHead> {
        self.via().map(|via| &via.detail.head)
    }

    /// The informational responses (1xx) that preceded it, oldest first.
    fn informational(&self) -> &[ResponseHead] {
        match self.via() {
            Some(via) => &via.detail.informational,
            None => &[],
        }
    }

    /// The trailers exactly as received, if any, once the body has been read to its end.
    ///
    /// ```no_run
    /// use dodici_reqwest::ext::ResponseExt;
    ///
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let mut response = dodici_reqwest::get("https://example.com/").await?;
    /// while let Some(_chunk) = response.chunk().await? {}
    /// println!("{:?}", response.trailers());
    /// # Ok(())
    /// # }
    /// ```
    fn trailers(&self) -> Option<&HeaderBlock> {
        self.via()?.trailers
    }
}

impl<R: sealed::Extensions> ResponseExt for R {}

mod sealed {
    use crate::via::ViaRef;

    pub trait Extensions {
        #[doc(hidden)]
        fn via(&self) -> Option<ViaRef<'_>>;
    }

    impl Extensions for crate::Response {
        fn via(&self) -> Option<ViaRef<'_>> {
            Self::via(self)
        }
    }

    #[cfg(feature = "blocking")]
    impl Extensions for crate::blocking::Response {
        fn via(&self) -> Option<ViaRef<'_>> {
            self.inner.via()
        }
    }
}
