//! Frames that do no work, without end: the connection is closed with H3_EXCESSIVE_LOAD, or the server
//! cannot send any more.

use dodici_testkit::h3::conn::H3Peer;
use dodici_testkit::h3::log::End;
use dodici_testkit::h3::stream::H3Stream;
use dodici_testkit::h3::{self, code, frame, kind, stream_kind, varint};
use dodici_testkit::{Watched, within};

use crate::support::{client, listen, single};

/// Bytes after which a flood has not been noticed: fifty times what any of them may send.
const MOST: usize = 256 << 20;
/// Bytes of one write.
const WRITE: usize = 16 << 10;

/// Where a flood comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    /// The control stream.
    Control,
    /// The stream of a request that is not answered.
    Request,
    /// A unidirectional stream.
    Encoder,
    /// The same.
    Decoder,
}

/// Sends this again and again, until the connection has ended.
async fn flood(peer: &mut H3Peer, stream: &mut H3Stream, from: From, unit: Vec<u8>) -> usize {
    let write = unit.repeat((WRITE / unit.len()).max(1));
    let mut uni = match from {
        From::Encoder => Some(peer.open_uni(stream_kind::QPACK_ENCODER).await),
        From::Decoder => Some(peer.open_uni(stream_kind::QPACK_DECODER).await),
        From::Control | From::Request => None,
    };
    let mut sent = 0;
    while sent < MOST && peer.connection().close_reason().is_none() {
        match (&mut uni, from) {
            (Some(uni), _) => uni.send(&write).await,
            (None, From::Control) => peer.control().send(&write).await,
            (None, _) => {
                stream.send(&write).await;
            }
        }
        sent += write.len();
    }
    sent
}

/// It ends with the connection, and the request fails.
async fn is_noticed(name: &str, from: From, unit: Vec<u8>, expected: u64) {
    let sent = Watched::<usize>::default();
    let told = sent.clone();
    let peer = listen().run(move |mut peer| {
        let (unit, told) = (unit.clone(), told.clone());
        async move {
            peer.begin(&[]).await;
            let Some((mut stream, _)) = peer.next_request().await else {
                return;
            };
            let bytes = flood(&mut peer, &mut stream, from, unit).await;
            told.update(|told| *told = bytes);
        }
    });
    let client = client(peer.port(), single());
    let call = client.post("/", "id", "x");
    let error = within(name, call.error()).await;
    assert!(!error.message().is_empty(), "{name}");
    let end = within(name, peer.end(0)).await;
    assert_eq!(end, End::Http(expected), "{name}");
    let bytes = within(name, sent.wait(|sent| (*sent > 0).then_some(*sent))).await;
    assert!(bytes < MOST, "{name}: {bytes} bytes were sent");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s35_over_http3_a_flood_on_the_control_stream_ends_the_connection() {
    let goaway = frame(kind::GOAWAY, varint(4));
    is_noticed("GOAWAY", From::Control, goaway, code::EXCESSIVE_LOAD).await;
    for (name, payload) in [("empty unknown frames", &b""[..]), ("unknown frames", b"x")] {
        let unit = frame(kind::GREASE, payload);
        is_noticed(name, From::Control, unit, code::EXCESSIVE_LOAD).await;
    }
}

#[tokio::test]
async fn s35_over_http3_a_flood_on_a_request_ends_the_connection() {
    let unknown = frame(kind::GREASE, "");
    is_noticed(
        "unknown frames",
        From::Request,
        unknown,
        code::EXCESSIVE_LOAD,
    )
    .await;
}

#[tokio::test]
async fn s35_over_http3_empty_data_without_end_ends_the_connection() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        let Some((mut stream, _)) = peer.next_request().await else {
            return;
        };
        stream.send(h3::head(200, &[])).await;
        let empty = frame(kind::DATA, "");
        flood(&mut peer, &mut stream, From::Request, empty).await;
    });
    let client = client(peer.port(), single());
    within("error", client.get("/").error()).await;
    let end = within("end", peer.end(0)).await;
    assert_eq!(end, End::Http(code::EXCESSIVE_LOAD));
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s35_over_http3_a_flood_of_qpack_instructions_ends_the_connection() {
    // The only one that a client without a dynamic table lets pass: that its capacity is nothing.
    is_noticed(
        "capacities",
        From::Encoder,
        vec![0x20],
        code::EXCESSIVE_LOAD,
    )
    .await;
    // A stream's cancellation refers to nothing, and need not.
    is_noticed(
        "cancellations",
        From::Decoder,
        vec![0x40],
        code::EXCESSIVE_LOAD,
    )
    .await;
}

#[tokio::test]
async fn s35_over_http3_streams_of_unknown_types_do_not_stop_a_connection() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        while let Some((mut stream, _)) = peer.next_request().await {
            for _ in 0..100 {
                let opened = peer.open_uni(stream_kind::GREASE);
                // The client lets so many be open at a time: a stream that it stops reading is free
                // again.
                let mut other = within("a stream", opened).await;
                other.send(vec![0; 1000]).await;
                other.finish();
            }
            stream.respond(200, &[], "ok").await;
        }
    });
    let client = client(peer.port(), single());
    for _ in 0..3 {
        let seen = within("answer", client.get("/").ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s34_over_http3_one_byte_frames_that_are_read_are_no_flood() {
    const BYTES: usize = 100_000;
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        let (mut stream, _) = peer.next_request().await.unwrap();
        stream.head(200, &[]).await;
        let thousand = frame(kind::DATA, "x").repeat(1000);
        for _ in 0..BYTES / 1000 {
            stream.send(&thousand).await;
        }
        stream.finish();
    });
    let client = client(peer.port(), single());
    let seen = within("answer", client.get("/").ended()).await;
    assert_eq!(seen.body.len(), BYTES);
    client.shut_down().await;
    peer.finish().await;
}
