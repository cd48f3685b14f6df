//! Unit tests of the tap.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::future::poll_fn;
use std::io::Read;
use std::net::TcpListener;

use dodici_pool::ConnectConfig;
use tokio::task::coop;

use super::*;
use crate::connect::tests::support::{connect, plain};

#[tokio::test]
async fn the_complaint_is_sent_although_the_task_has_spent_its_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connector = plain(listener.local_addr().unwrap(), ConnectConfig::default());
    let (transport, _) = connect(&connector).await;
    let (mut peer, _) = listener.accept().unwrap();
    let mut tap = Tap::new(transport);
    // Only the preface is ever followed by a frame.
    tap.wrote(&[0; PREFACE as usize]);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        while polls == 1 && coop::has_budget_remaining() {
            let spent = std::pin::pin!(coop::consume_budget()).as_mut().poll(cx);
            assert!(spent.is_ready());
        }
        tap.poll_complain(cx)
    })
    .await;
    assert_eq!(polls, 2);
    let mut seen = Vec::new();
    peer.read_to_end(&mut seen).unwrap();
    assert_eq!(
        seen,
        [
            0,
            0,
            8,
            kind::GOAWAY,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0xb
        ]
    );
}
