//! Records the events of a pool.

use dodici_pool::{ConnId, Event};

use super::next_stamp;
use crate::watched::Watched;

/// Collects a pool's events in order. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Watched<Vec<(u64, Event)>>);

impl dodici::EventSink for Recorder {
    fn event(&self, event: Event) {
        self.record(event);
    }
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one event.
    pub fn record(&self, event: Event) {
        // The stamp is drawn under the lock, so that stamps and positions agree.
        self.0.update(|events| events.push((next_stamp(), event)));
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0
            .read(|events| events.iter().map(|(_, event)| event.clone()).collect())
    }

    /// How many events so far satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0
            .read(|events| events.iter().filter(|(_, event)| wanted(event)).count())
    }

    /// Connections opened so far.
    pub fn connects(&self) -> usize {
        self.count(|event| matches!(event, Event::Connected { .. }))
    }

    /// Connections closed so far.
    pub fn disconnects(&self) -> usize {
        self.count(|event| matches!(event, Event::Disconnected { .. }))
    }

    /// Resolves with the first event, past or future, that satisfies `wanted`.
    pub async fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        self.wait_nth(1, wanted).await
    }

    /// Resolves with the n-th such event, counted from 1.
    pub async fn wait_nth(&self, n: usize, wanted: impl Fn(&Event) -> bool) -> Event {
        self.0
            .wait(|events| {
                let mut found = events.iter().filter(|(_, event)| wanted(event));
                found.nth(n.checked_sub(1)?).map(|(_, event)| event.clone())
            })
            .await
    }

    /// Stamp of the first event that satisfies `wanted`, comparable with [`Seen::stamp`](super::Seen::stamp).
    pub fn stamp_of(&self, wanted: impl Fn(&Event) -> bool) -> Option<u64> {
        self.0.read(|events| {
            events
                .iter()
                .find(|(_, event)| wanted(event))
                .map(|(stamp, _)| *stamp)
        })
    }

    /// Resolves with `Event::Closed`, and checks that every connection that was opened has closed
    /// and that nothing follows.
    pub async fn closed(&self) {
        self.wait_for(|event| matches!(event, Event::Closed)).await;
        let events = self.events();
        assert!(
            matches!(events.last(), Some(Event::Closed)),
            "events after Closed: {events:?}"
        );
        assert!(
            self.open_connections().is_empty(),
            "connections left: {events:?}"
        );
    }

    /// Open connections.
    ///
    /// # Panics
    /// If one was opened twice, or closed twice or without having been opened.
    pub fn open_connections(&self) -> Vec<ConnId> {
        let (mut open, mut known) = (Vec::new(), Vec::new());
        for event in self.events() {
            match event {
                Event::Connected { conn, .. } => {
                    assert!(!known.contains(&conn), "{conn} connected twice");
                    open.push(conn);
                    known.push(conn);
                }
                Event::Disconnected { conn, .. } => {
                    let at = open.iter().position(|have| *have == conn);
                    open.remove(at.unwrap_or_else(|| panic!("{conn} disconnected unconnected")));
                }
                Event::ConnectFailed { conn, .. } | Event::ConnectGivenUp { conn } => {
                    assert!(!known.contains(&conn), "{conn} failed after it connected");
                }
                _ => {}
            }
        }
        open
    }
}
