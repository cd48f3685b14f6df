//! Changing the state of a connection, with the lists, deadlines and counters that follow it.

use super::OriginPool;
use super::action::Action;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;
use crate::model::id::ConnId;

impl OriginPool {
    /// Asks the owner to close `conn`, unless it was asked before.
    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        let from = entry.state;
        if from != ConnState::Closing {
            self.enter(conn, ConnState::Closing);
            self.note_leaving(from, Some(reason));
            self.actions.push_back(Action::Close { conn, reason });
        }
    }

    /// Removes a connection.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get(conn).map(|entry| entry.state) {
            self.leave(conn, state);
            self.conns.remove(conn);
            self.preconnect = self.preconnect.saturating_sub(1);
            self.note_leaving(state, None);
        }
    }

    /// Changes the state of a connection, and updates lists, deadlines and counters.
    pub(super) fn enter(&mut self, conn: ConnId, next: ConnState) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if entry.state == next {
            return;
        }
        let previous = std::mem::replace(&mut entry.state, next);
        let multiplexed = entry.multiplexed;
        self.leave(conn, previous);
        match next {
            ConnState::Connecting => self.connecting += 1,
            ConnState::Idle { until } => {
                self.idle.push_front(&mut self.conns, conn);
                if let Some(at) = until {
                    self.deadlines.set(conn, at);
                }
            }
            ConnState::Busy { open: true } if multiplexed => {
                self.streams.push_front(&mut self.conns, conn);
            }
            ConnState::Busy { open: true } => self.shared.push_front(&mut self.conns, conn),
            ConnState::Busy { open: false } | ConnState::Draining { .. } => {}
            ConnState::Closing => self.closing += 1,
        }
    }

    /// Reverts what `enter` did for this state.
    fn leave(&mut self, conn: ConnId, state: ConnState) {
        match state {
            ConnState::Connecting => {
                self.connecting -= 1;
                self.connect_kept &= self.connecting > 0;
            }
            ConnState::Idle { .. } => {
                self.idle.remove(&mut self.conns, conn);
                self.deadlines.remove(conn);
            }
            ConnState::Busy { open: true } => {
                let multiplexed = self.conns.get(conn).is_some_and(|entry| entry.multiplexed);
                let list = if multiplexed {
                    &mut self.streams
                } else {
                    &mut self.shared
                };
                list.remove(&mut self.conns, conn);
            }
            ConnState::Busy { open: false } | ConnState::Draining { .. } => {}
            ConnState::Closing => self.closing -= 1,
        }
    }
}
