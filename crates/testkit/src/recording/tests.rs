//! Recordings that must fail.

use dodici_pool::{CloseReason, ConnectInfo, DisconnectInfo, Event, Phase, Protocol};

use super::*;
use crate::watched::within;

const CONN: ConnId = ConnId {
    slot: 1,
    generation: 0,
};

fn head(status: u16) -> ResponseHead {
    ResponseHead {
        status,
        headers: HeaderBlock::from_iter([("A", "b")]),
        ..ResponseHead::default()
    }
}

fn aborted() -> Error {
    Error::new(ErrorKind::Aborted, Phase::Queued, "aborted")
}

#[tokio::test]
async fn a_whole_response_is_recorded() {
    let (recording, mut sink) = Recording::new();
    sink.on_pull(5);
    sink.on_informational(&head(103));
    sink.on_head(&head(200), CONN, true);
    sink.on_data(&Bytes::from_static(b"ab"));
    sink.on_data(&Bytes::from_static(b"c"));
    sink.on_end(&HeaderBlock::from_iter([("T", "1"), ("t", "2")]));
    drop(sink);
    let seen = within("end", recording.ended()).await;
    assert_eq!((seen.status(), seen.pulled()), (200, 5));
    assert_eq!(seen.body, b"abc");
    assert_eq!(seen.chunks, [2, 1]);
    assert_eq!(seen.connection, Some((CONN, true)));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = Expected {
        informational: vec![(103, vec![pair("A", "b")])],
        status: 200,
        headers: vec![pair("A", "b")],
        body: b"abc".to_vec(),
        trailers: vec![pair("T", "1"), pair("t", "2")],
        until_close: false,
    };
    assert_eq!(seen.as_expected(&expected), expected);
    within("release", recording.released()).await;
}

#[tokio::test]
#[should_panic(expected = "a sink's rules were broken: error after End")]
async fn a_second_terminal_call_fails_the_test() {
    let (recording, mut sink) = Recording::new();
    sink.on_head(&head(200), CONN, false);
    sink.on_end(&HeaderBlock::new());
    sink.on_error(aborted());
    recording.settled().await;
}

#[tokio::test]
#[should_panic(expected = "data after Error")]
async fn data_after_the_end_fails_the_test_even_if_it_no_longer_waits() {
    let (recording, mut sink) = Recording::new();
    sink.on_head(&head(200), CONN, false);
    sink.on_error(aborted());
    recording.error().await;
    sink.on_data(&Bytes::from_static(b"late"));
    drop(recording);
}

#[tokio::test]
#[should_panic(expected = "dropped without end or error")]
async fn a_sink_that_is_forgotten_fails_the_test_instead_of_hanging_it() {
    let (recording, sink) = Recording::new();
    drop(sink);
    recording.settled().await;
}

#[tokio::test]
#[should_panic(expected = "data before the head; end without a head")]
async fn callbacks_out_of_order_fail_the_test() {
    let (recording, mut sink) = Recording::new();
    sink.on_data(&Bytes::from_static(b"x"));
    sink.on_end(&HeaderBlock::new());
    recording.settled().await;
}

#[tokio::test]
#[should_panic(expected = "the request ended, but only this was seen")]
async fn waiting_past_the_end_fails_the_test() {
    let (recording, mut sink) = Recording::new();
    sink.on_error(aborted());
    recording.wait(|seen| seen.head.clone()).await;
}

#[test]
fn credit_owed_before_the_hook_is_given_with_it() {
    let given = Arc::new(Mutex::new(Vec::new()));
    let hook = |given: &Arc<Mutex<Vec<u32>>>| {
        let given = Arc::clone(given);
        move |bytes| given.lock().push(bytes)
    };
    let (recording, mut sink) = Recording::new();
    sink.on_head(&head(200), CONN, false);
    sink.on_data(&Bytes::from_static(b"abc"));
    sink.on_data(&Bytes::from_static(b"de"));
    recording.attach_credit(hook(&given));
    sink.on_data(&Bytes::from_static(b"f"));
    sink.on_end(&HeaderBlock::new());
    let pieces = |lengths: &[usize]| lengths.iter().map(|len| piece_cost(*len)).sum::<u32>();
    assert_eq!(*given.lock(), [pieces(&[3, 2]), pieces(&[1])]);

    given.lock().clear();
    let (recording, mut sink) = Recording::manual();
    recording.attach_credit(hook(&given));
    sink.on_head(&head(200), CONN, false);
    sink.on_data(&Bytes::from_static(b"abc"));
    sink.on_end(&HeaderBlock::new());
    assert!(given.lock().is_empty());
}

fn connected(slot: u32) -> Event {
    Event::Connected {
        conn: ConnId {
            slot,
            generation: 0,
        },
        info: ConnectInfo::new(Protocol::Http1),
    }
}

fn disconnected(slot: u32) -> Event {
    Event::Disconnected {
        conn: ConnId {
            slot,
            generation: 0,
        },
        info: DisconnectInfo::new(CloseReason::PeerClosed),
    }
}

#[tokio::test]
async fn events_are_kept_in_order_and_can_be_waited_for() {
    let recorder = Recorder::new();
    let waiter = {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            recorder
                .wait_nth(2, |event| matches!(event, Event::Connected { .. }))
                .await
        })
    };
    for event in [connected(0), disconnected(0), connected(1), disconnected(1)] {
        recorder.record(event);
    }
    let second = within("second connect", waiter).await.unwrap();
    assert!(matches!(second, Event::Connected { conn, .. } if conn.slot == 1));
    assert_eq!((recorder.connects(), recorder.disconnects()), (2, 2));
    recorder.record(Event::Closed);
    within("closed", recorder.closed()).await;
    let up = recorder.stamp_of(|event| matches!(event, Event::Connected { .. }));
    let closed = recorder.stamp_of(|event| matches!(event, Event::Closed));
    assert!(up.unwrap() < closed.unwrap());
}

#[test]
#[should_panic(expected = "disconnected unconnected")]
fn two_disconnects_of_one_connection_fail_the_test() {
    let recorder = Recorder::new();
    for event in [connected(0), disconnected(0), disconnected(0)] {
        recorder.record(event);
    }
    recorder.open_connections();
}

#[tokio::test]
#[should_panic(expected = "connections left")]
async fn closing_with_a_connection_left_fails_the_test() {
    let recorder = Recorder::new();
    recorder.record(connected(0));
    recorder.record(Event::Closed);
    recorder.closed().await;
}
