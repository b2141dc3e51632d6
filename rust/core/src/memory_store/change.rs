//! What a transition does: the twin of `durable_primitives.kernel.apply`, word for word.

use std::sync::Arc;

use super::incoming::receipt;
use super::model::{
    How, ITEMS_DUE, Outcome, Receipt, Record, Release, TERMINATED, TOMBSTONE_MS, Transition,
};
use super::rows::Rows;
use crate::InvalidArgument;

/// A new record, or a tombstone brought to a new life: the generation that `erase` raised is kept.
pub(super) fn open(t: &Transition, record: &mut Record) {
    record.created_at = t.at;
    record.purge_at = None;
    if let Some(create) = &t.create {
        record.status = Arc::clone(&create.status);
        record.data = Arc::clone(&create.data);
        record.segment = create.segment;
        record.linger_ms = create.linger_ms;
    }
}

/// Leaves a tombstone.
pub(super) fn erase(rows: &mut Rows) {
    rows.erase();
    let record = &mut rows.record;
    record.status = TERMINATED.into();
    record.data = Arc::default();
    record.held = false;
    record.linger_ms = Some(TOMBSTONE_MS);
    record.dues.clear();
    record.owner = None;
    record.taken.clear();
    record.cancels.clear();
    record.count = 0;
    record.segment_count = 0;
    record.deliveries = 0;
    record.finished = 0;
    record.purge_at = None;
    record.version += 1;
    record.generation += 1;
}

/// The parts of one transition, applied to the rows of one instance.
pub(super) struct Change<'a> {
    pub(super) t: &'a Transition,
    pub(super) rows: &'a mut Rows,
    pub(super) outcome: Outcome,
}

impl<'a> Change<'a> {
    pub(super) fn new(t: &'a Transition, rows: &'a mut Rows, created: bool) -> Self {
        let outcome = Outcome {
            verdict: "applied",
            created,
            ..Outcome::default()
        };
        Self { t, rows, outcome }
    }

    pub(super) fn run(mut self) -> Result<Outcome, InvalidArgument> {
        self.check_places()?;
        self.change();
        let t = self.t;
        let record = &mut self.rows.record;
        record.updated_at = t.at;
        refresh_purge(record, t.at);
        let shows_dues = !t.dues.is_empty() || t.batching.is_some() || t.seal;
        Ok(Outcome {
            version: record.version,
            generation: record.generation,
            count: record.count,
            cancels: record.cancels.clone(),
            held: record.held,
            dues: shows_dues.then(|| record.dues.clone()),
            ..self.outcome
        })
    }

    /// Items that the owner speaks of must be there: it holds the lease.
    fn check_places(&self) -> Result<(), InvalidArgument> {
        let t = self.t;
        let places = (t.remove.iter().map(|change| change.place))
            .chain(t.reschedule.iter().map(|change| change.place))
            .chain(t.mark.iter().map(|&(place, _)| place))
            .chain(t.bury.iter().filter_map(|burial| burial.place));
        for place in places {
            if !self.rows.has_item(place) {
                return Err(InvalidArgument::new(
                    "item",
                    "one that the owner has in hand",
                    place,
                ));
            }
        }
        Ok(())
    }

    fn change(&mut self) {
        let t = self.t;
        self.put();
        for id in &t.remember {
            let segment = self.rows.record.segment;
            self.keep_receipt(Receipt {
                segment,
                ..receipt(id, 0, 0)
            });
        }
        self.settle_taken();
        self.rarely();
        self.append();
        if t.append.is_empty() || self.outcome.accepted.iter().any(|one| !one.duplicate) {
            if t.seal && self.rows.record.segment_count > 0 {
                self.seal();
            }
            self.change_dues();
        }
        if t.progress {
            self.rows.record.deliveries = 1;
        }
        if t.take > 0 && !self.rows.record.held {
            self.outcome.items = self.rows.take(t.at, t.take);
            self.rows
                .record
                .taken
                .extend(self.outcome.items.iter().map(|item| item.seq));
        }
        if t.release == Release::Yes
            || (t.release == Release::Idle && self.rows.record.taken.is_empty())
        {
            self.release();
        }
    }

    fn put(&mut self) {
        if let Some(put) = &self.t.put {
            let record = &mut self.rows.record;
            record.status = Arc::clone(&put.status);
            record.data = Arc::clone(&put.data);
            record.held = put.held;
            record.linger_ms = put.linger_ms;
            record.purge_at = None;
            record.version += 1;
        }
    }

    // Dues and leases.

    fn change_dues(&mut self) {
        let dues = &mut self.rows.record.dues;
        for due in &self.t.dues {
            match (due.how, dues.get_mut(&due.name)) {
                (How::Clear, _) => {
                    dues.remove(&due.name);
                }
                (How::SetIfUnset, Some(_)) => {}
                (How::Earlier, Some(at)) => *at = due.at.min(*at),
                (How::Set | How::SetIfUnset | How::Earlier, _) => {
                    dues.insert(Arc::clone(&due.name), due.at);
                }
            }
        }
    }

    fn release(&mut self) {
        let t = self.t;
        let record = &mut self.rows.record;
        // After an idle take nothing is ready: the next chance comes with the first item that waits.
        let was_idle = t.release == Release::Idle && t.take > 0 && !record.held;
        let after = if was_idle { t.at } else { -1 };
        record.owner = None;
        record.taken.clear();
        record.deliveries = 0;
        let due = if record.count > 0 {
            self.rows.item_due(after)
        } else {
            None
        };
        let dues = &mut self.rows.record.dues;
        match due {
            Some(due) => dues.insert(ITEMS_DUE.into(), due.max(t.at)),
            None => dues.remove(ITEMS_DUE),
        };
        self.outcome.released = true;
    }
}

/// Whether, and when, the record itself may go.
fn refresh_purge(record: &mut Record, now: i64) {
    let idle =
        record.owner.is_none() && !record.held && record.dues.is_empty() && record.count == 0;
    record.purge_at = match record.linger_ms {
        Some(linger_ms) if idle => record.purge_at.or(Some(now + linger_ms)),
        _ => None,
    };
}
