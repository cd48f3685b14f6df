//! The pieces in which a body is delivered: packets are small, and a frame may stop anywhere.

use dodici_testkit::h3::{frame, head, kind};
use dodici_testkit::{QuicPeer, Signal, within};

use crate::support::{Standstill, client, listen, single};

/// Answers with a head and the first of these parts in one write, and with each other part once the
/// signal beside it was raised.
fn in_parts(first: Vec<u8>, parts: Vec<(Signal, Vec<u8>)>) -> QuicPeer {
    listen().run(move |mut peer| {
        let (first, parts) = (first.clone(), parts.clone());
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            stream.send([head(200, &[]), first].concat()).await;
            for (go, part) in parts {
                go.raised().await;
                stream.send(part).await;
            }
            stream.finish();
        }
    })
}

fn halves() -> (Vec<u8>, Vec<u8>) {
    let mut first = frame(kind::DATA, "x".repeat(2000));
    let second = first.split_off(1000);
    (first, second)
}

#[tokio::test]
async fn the_packets_of_a_frame_are_delivered_together() {
    let ((first, second), go) = (halves(), Signal::new());
    let peer = in_parts(first, vec![(go.clone(), second)]);
    let client = client(peer.port(), single());
    // Otherwise, the first half is delivered when it has waited for long enough.
    let standstill = Standstill::begin();
    let call = client.get("/");
    let headed = call.recording.wait(|seen| seen.head.as_ref().map(drop));
    headed.await;
    go.raise();
    let seen = call.ended().await;
    assert_eq!(seen.chunks, [2000]);
    standstill.end().await;
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn what_is_there_of_a_frame_that_stalls_is_delivered() {
    let ((first, second), go) = (halves(), Signal::new());
    let peer = in_parts(first, vec![(go.clone(), second)]);
    let client = client(peer.port(), single());
    let call = client.get("/");
    let begun = call.recording.wait(|seen| seen.chunks.first().map(drop));
    within("the first half", begun).await;
    go.raise();
    let seen = within("the second half", call.ended()).await;
    assert_eq!(seen.body.len(), 2000);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_complete_frame_waits_for_nothing() {
    let go = Signal::new();
    let another = frame(kind::DATA, "another");
    let peer = in_parts(frame(kind::DATA, "event"), vec![(go.clone(), another)]);
    let client = client(peer.port(), single());
    let standstill = Standstill::begin();
    let call = client.get("/");
    let begun = call.recording.wait(|seen| seen.chunks.first().map(drop));
    begun.await;
    go.raise();
    assert_eq!(call.ended().await.chunks, [5, 7]);
    standstill.end().await;
    client.shut_down().await;
    peer.finish().await;
}
