//! Checks that several of these files share.

use dodici::Event;
use dodici_testkit::{Call, Client, within};

/// Checks that the request failed before its connection's disconnect.
pub(crate) fn assert_error_before_disconnect(client: &Client, call: &Call) {
    let gone = client
        .events
        .stamp_of(|event| matches!(event, Event::Disconnected { .. }));
    assert!(call.seen().stamp() < gone.unwrap());
}

/// Proves that the pool still serves requests.
pub(crate) async fn assert_usable(client: &Client) {
    within("a later request", client.get("/bytes/1").ended()).await;
}
