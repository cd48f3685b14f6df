//! The example does what it claims.

#[allow(dead_code, unreachable_pub, reason = "its main is cargo's")]
#[path = "../../examples/pool.rs"]
mod pool;

#[tokio::test]
async fn the_example_shows_events_hints_limits_and_trailers() {
    let lines = pool::run().await.unwrap();
    assert_eq!(
        lines,
        [
            "connected",
            "first: hint 103",
            "first: 200 OK on a new connection, trailers [(\"X-Checksum\", \"5d41402a\")]",
            "second: hint 103",
            "second: 200 OK on a reused connection, trailers [(\"X-Checksum\", \"5d41402a\")]",
            "1 connection open",
        ]
    );
}
