//! What is known of how a response was received.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dodici::{HeaderBlock, ResponseDetail};

/// How a response was received, exposed by [`crate::ext::ResponseExt`]. In the extensions of a response
/// that has left its body, or that switched protocols; that of any other knows by itself.
#[derive(Clone)]
pub(crate) struct Via {
    pub(crate) detail: ResponseDetail,
    /// Time from the start of the request to the response's head.
    pub(crate) head: Duration,
    pub(crate) trailers: Trailers,
}

/// [`Via`], borrowed.
#[derive(Clone, Copy)]
#[doc(hidden)]
pub struct ViaRef<'a> {
    pub(crate) detail: &'a ResponseDetail,
    pub(crate) head: Duration,
    pub(crate) trailers: Option<&'a HeaderBlock>,
}

/// Where a body stores its trailers, exactly as received, for the response.
pub(crate) type Trailers = Arc<OnceLock<HeaderBlock>>;
