//! What is held in memory for a reader that stops, and that it continues where it stopped.

use dodici::{Event, OriginConfig};
use dodici_testkit::client::get;
use dodici_testkit::recording::Seen;
use dodici_testkit::{Client, TestOrigin, within};

const BODY: usize = 20_000_000;
/// One read of the socket, see `HYPER_READ` in `tuning.rs`, and the head.
const SLACK: u64 = 64 * 1024 + 1024;

/// Lets the connection's task read as much as it would.
async fn settle_down() {
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn s34_a_reader_without_credit_has_one_window_and_one_read_in_memory() {
    let targets = [
        format!("/bytes/{BODY}"),
        format!("/until-close/{BODY}"),
        format!("/chunked/{BODY}/65536"),
    ];
    for target in targets {
        let origin = TestOrigin::start().await;
        let config = OriginConfig::default();
        let window = u64::from(config.exchange.window);
        let client = Client::new(origin.port(), config);
        let call = client.send_paused(get(&target));
        let full = |seen: &Seen| (seen.cost() >= window).then_some(());
        within("the window", call.recording.wait(full)).await;
        settle_down().await;
        call.handle.cancel();
        within("the end", client.disconnected(1)).await;
        let read = client
            .events
            .events()
            .into_iter()
            .find_map(|event| match event {
                Event::Disconnected { info, .. } => Some(info.bytes_read),
                _ => None,
            });
        let read = read.unwrap();
        assert!(
            (window - SLACK..=window + SLACK).contains(&read),
            "{target}: {read} bytes for a window of {window}"
        );
    }
}

#[tokio::test]
async fn s34_a_reader_that_returns_credit_bit_by_bit_gets_the_whole_body() {
    let size = 1_000_000;
    for target in [format!("/bytes/{size}"), format!("/chunked/{size}/7")] {
        let origin = TestOrigin::start().await;
        let client = Client::new(origin.port(), OriginConfig::default());
        let call = client.send_paused(get(&target));
        let mut given = 0;
        loop {
            let reached = |seen: &Seen| {
                (seen.terminal.is_some() || seen.cost() > given).then(|| seen.terminal.is_some())
            };
            let done = within("progress", call.recording.wait(reached)).await;
            if done {
                break;
            }
            let cost = call.recording.seen().cost();
            call.handle.credit(u32::try_from(cost - given).unwrap());
            given = cost;
        }
        let seen = within("the end", call.recording.ended()).await;
        assert_eq!(seen.body.len(), size, "{target}");
    }
}
