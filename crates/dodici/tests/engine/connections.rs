//! Connections of several pools under one limit, connections ahead of time, and what connections are
//! doing.

use std::num::NonZeroU32;

use dodici::{
    Activity, CloseReason, ConnectionLimit, ConnectionStatus, Engine, ErrorKind, Event, Origin,
    OriginConfig, Protocol, Scheme,
};
use dodici_testkit::client::{get, upgrade};
use dodici_testkit::config::{config, connections, http2};
use dodici_testkit::{Client, OK, ScriptedPeer, TestOrigin, Watched, within};
use tokio::runtime::Handle;

fn limited(most: u32) -> (ConnectionLimit, Engine) {
    let limit = ConnectionLimit::new(NonZeroU32::new(most).unwrap());
    let engine = Engine::on_runtime(Handle::current()).under(limit.clone());
    (limit, engine)
}

fn client(engine: &Engine, port: u16) -> Client {
    let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
    Client::of(engine, origin, OriginConfig::default())
}

/// Waits until the connections do this.
async fn doing(client: &Client, expected: &[Activity]) -> Vec<ConnectionStatus> {
    let polled = async {
        loop {
            let mut found = client.pool.connections().await;
            found.sort_by_key(|status| status.activity.as_str());
            if found
                .iter()
                .map(|status| status.activity)
                .eq(expected.iter().copied())
            {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    within("the connections", polled).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_for_all_pools_and_every_request_settles() {
    let mut origins = Vec::new();
    for _ in 0..8 {
        origins.push(TestOrigin::start().await);
    }
    let (limit, engine) = limited(3);
    let clients: Vec<_> = origins
        .iter()
        .map(|origin| client(&engine, origin.port()))
        .collect();
    let calls: Vec<_> = (0..25)
        .flat_map(|_| clients.iter().map(|client| client.get("/bytes/10")))
        .collect();
    for call in calls {
        within("a response", call.ended()).await;
        assert!(limit.open() <= 3);
    }
    for client in clients {
        client.shut_down().await;
    }
    for origin in origins {
        origin.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_makes_room_and_says_so() {
    let origins = [TestOrigin::start().await, TestOrigin::start().await];
    let (limit, engine) = limited(1);
    let [one, two] = origins
        .each_ref()
        .map(|origin| client(&engine, origin.port()));
    one.get("/bytes/1").ended().await;
    within("the other", two.get("/bytes/1").ended()).await;
    one.disconnected(1).await;
    assert_eq!(one.reasons(), [CloseReason::MadeRoom]);
    assert_eq!(limit.open(), 1);
    within("again", one.get("/bytes/1").ended()).await;
    for origin in origins {
        origin.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_stream_counts_until_it_ends() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 101 Fine\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        conn.closed().await;
    });
    let origin = TestOrigin::start().await;
    let (limit, engine) = limited(1);
    let (streaming, other) = (client(&engine, peer.port()), client(&engine, origin.port()));
    let stream = streaming.send(upgrade("/"));
    within("upgrade", stream.wait(|seen| seen.upgraded.then_some(()))).await;
    let waiting = other.get("/bytes/1");
    tokio::task::yield_now().await;
    assert_eq!((limit.open(), waiting.is_settled()), (1, false));
    assert_eq!(origin.peer().accepted(), 0);
    stream.handle.cancel();
    within("its turn", waiting.ended()).await;
    streaming.finish(peer).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_gone_leaves_its_place() {
    let origin = TestOrigin::start().await;
    let (limit, engine) = limited(1);
    for _ in 0..3 {
        let client = client(&engine, origin.port());
        within("a response", client.get("/bytes/1").ended()).await;
        client.shut_down().await;
    }
    drop(engine);
    // Tasks that end hold the pool until they have ended.
    let unused = async {
        while limit.is_used() {
            tokio::task::yield_now().await;
        }
    };
    within("all places", unused).await;
    assert_eq!(limit.open(), 0);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_ahead_of_time_are_used_by_requests() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    assert_eq!(within("ready", client.pool.preconnect(3)).await.unwrap(), 3);
    let found = client.pool.connections().await;
    assert!(found.iter().all(|status| status.activity == Activity::Idle));
    let calls = [0; 3].map(|_| client.get("/bytes/1"));
    for call in calls {
        call.ended().await;
    }
    assert_eq!(client.events.connects(), 3);
    let few = Client::new(origin.port(), connections(2));
    assert_eq!(within("ready", few.pool.preconnect(9)).await.unwrap(), 2);
    let (_limit, engine) = limited(2);
    let shared = self::client(&engine, origin.port());
    assert_eq!(within("ready", shared.pool.preconnect(9)).await.unwrap(), 2);
    few.pool.destroy();
    let error = few.pool.preconnect(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destroyed);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_ready_for_many_streams() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let mut peer = dodici_testkit::H2Peer::accept(conn, &[]).await;
        while let Some(request) = peer.next_request().await {
            peer.respond(request.stream, request.body).await;
        }
    });
    let client = Client::new(peer.port(), http2());
    assert_eq!(within("ready", client.pool.preconnect(5)).await.unwrap(), 1);
    let [status] = &client.pool.connections().await[..] else {
        panic!("one connection");
    };
    assert_eq!(
        (status.protocol, status.activity),
        (Some(Protocol::Http2), Activity::Idle)
    );
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_cannot_be_opened_ahead_of_time_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(port, OriginConfig::default());
    let error = within("refused", client.pool.preconnect(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
    client.events.wait_for(failed).await;
    // A later request makes an attempt of its own.
    assert_eq!(client.get("/").error().await.kind(), ErrorKind::Connect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_say_what_they_are_doing() {
    let goes = Watched::<bool>::new(false);
    let wait = goes.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let wait = wait.clone();
        async move {
            while let Some(head) = conn.next_head().await {
                if head.target == "/hold" {
                    wait.wait(|goes| goes.then_some(())).await;
                }
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(
        peer.port(),
        config(|config| config.pool.max_connections = NonZeroU32::new(2)),
    );
    assert_eq!(client.pool.connections().await, []);
    let held = client.send(get("/hold"));
    client.get("/").ended().await;
    let found = doing(&client, &[Activity::Active, Activity::Idle]).await;
    let (active, idle) = (&found[0], &found[1]);
    assert_eq!((active.open, active.requests), (1, 0));
    assert_eq!((idle.open, idle.requests), (0, 1));
    assert_eq!(idle.bytes_read, OK.len() as u64);
    assert!(idle.bytes_written > 0 && active.bytes_written > 0);
    assert!(idle.idle.unwrap() <= idle.age);
    assert_eq!(idle.remote.unwrap().port(), peer.port());
    let mut known = client.events.open_connections();
    known.sort_unstable();
    let mut named = vec![active.conn, idle.conn];
    named.sort_unstable();
    assert_eq!(named, known);
    goes.update(|goes| *goes = true);
    held.ended().await;
    doing(&client, &[Activity::Idle, Activity::Idle]).await;
    client.finish(peer).await;
}
