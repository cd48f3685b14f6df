//! Collects the spans and events that the crates under test emit through the `tracing` crate.
//!
//! Meant for a test on one thread: [`Traces::collect`] listens to that thread only.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// Names and values of fields, as text.
pub type Fields = BTreeMap<String, String>;

/// A span, with everything that was recorded on it.
#[derive(Clone, Debug)]
pub struct TracedSpan {
    /// Its name.
    pub name: &'static str,
    /// Its parent.
    pub parent: Option<usize>,
    /// Its fields.
    pub fields: Fields,
    metadata: &'static Metadata<'static>,
}

/// An event.
#[derive(Clone, Debug)]
pub struct TracedEvent {
    /// Its target.
    pub target: String,
    /// The span around it.
    pub span: Option<usize>,
    /// Its message.
    pub message: String,
    /// Its other fields.
    pub fields: Fields,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<TracedSpan>,
    events: Vec<TracedEvent>,
    entered: Vec<usize>,
}

/// What was collected. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Traces(Arc<Mutex<Seen>>);

impl Traces {
    /// Collects what this thread emits under dodici's targets, until the guard is dropped.
    pub fn collect() -> (Self, DefaultGuard) {
        let traces = Self::default();
        let guard = tracing::subscriber::set_default(traces.clone());
        (traces, guard)
    }

    /// All spans, in order of creation.
    pub fn spans(&self) -> Vec<TracedSpan> {
        self.0.lock().spans.clone()
    }

    /// All events, in order.
    pub fn events(&self) -> Vec<TracedEvent> {
        self.0.lock().events.clone()
    }

    /// The events with this message.
    pub fn told(&self, message: &str) -> Vec<TracedEvent> {
        let mut events = self.events();
        events.retain(|event| event.message == message);
        events
    }
}

/// The id of the n-th span, from 0.
fn id(index: usize) -> Id {
    Id::from_u64(index as u64 + 1)
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("ids are places in a vector") - 1
}

struct Writer<'a>(&'a mut Fields);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Traces {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dodici")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        attributes.record(&mut Writer(&mut fields));
        let mut seen = self.0.lock();
        let parent = match attributes.parent() {
            Some(parent) => Some(index(parent)),
            None if attributes.is_contextual() => seen.entered.last().copied(),
            None => None,
        };
        seen.spans.push(TracedSpan {
            name: attributes.metadata().name(),
            parent,
            fields,
            metadata: attributes.metadata(),
        });
        id(seen.spans.len() - 1)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Writer(&mut self.0.lock().spans[index(span)].fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Writer(&mut fields));
        let mut seen = self.0.lock();
        let span = match event.parent() {
            Some(parent) => Some(index(parent)),
            None if event.is_contextual() => seen.entered.last().copied(),
            None => None,
        };
        seen.events.push(TracedEvent {
            target: event.metadata().target().to_owned(),
            span,
            message: fields.remove("message").unwrap_or_default(),
            fields,
        });
    }

    fn enter(&self, span: &Id) {
        self.0.lock().entered.push(index(span));
    }

    fn exit(&self, span: &Id) {
        let entered = &mut self.0.lock().entered;
        let at = entered.iter().rposition(|have| *have == index(span));
        entered.remove(at.expect("a span is left after it was entered"));
    }

    fn current_span(&self) -> Current {
        let seen = self.0.lock();
        match seen.entered.last() {
            Some(current) => Current::new(id(*current), seen.spans[*current].metadata),
            None => Current::none(),
        }
    }
}
