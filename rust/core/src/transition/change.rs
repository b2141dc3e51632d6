//! The parts of one transition, in the order in which they stand in it.

use std::sync::Arc;

use super::model::{
    How, ITEMS_DUE, Outcome, Record, Release, TERMINATED, TOMBSTONE_MS, Transition,
};
use super::shelf::Shelf;

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
pub(super) fn erase<S: Shelf>(shelf: &mut S) -> Result<(), S::Error> {
    shelf.erase()?;
    let record = shelf.record_mut();
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
    Ok(())
}

/// The parts of one transition, applied to one instance.
pub(super) struct Change<'a, S> {
    pub(super) t: &'a Transition,
    pub(super) shelf: &'a mut S,
    pub(super) outcome: Outcome,
}

impl<'a, S: Shelf> Change<'a, S> {
    pub(super) fn new(t: &'a Transition, shelf: &'a mut S, created: bool) -> Self {
        let outcome = Outcome {
            verdict: "applied",
            created,
            ..Outcome::default()
        };
        Self { t, shelf, outcome }
    }

    pub(super) fn run(mut self) -> Result<Outcome, S::Error> {
        self.change()?;
        let t = self.t;
        let record = self.shelf.record_mut();
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

    fn change(&mut self) -> Result<(), S::Error> {
        let t = self.t;
        self.put();
        for id in &t.remember {
            self.shelf.remember(id)?;
        }
        self.settle_taken()?;
        self.rarely()?;
        self.append()?;
        if t.append.is_empty() || self.outcome.accepted.iter().any(|one| !one.duplicate) {
            if t.seal && self.shelf.record().segment_count > 0 {
                self.seal();
            }
            self.change_dues();
        }
        if t.progress {
            self.shelf.record_mut().deliveries = 1;
        }
        if t.take > 0 {
            self.take()?;
        }
        let is_idle = || self.shelf.record().taken.is_empty();
        if t.release == Release::Yes || (t.release == Release::Idle && is_idle()) {
            self.release()?;
        }
        Ok(())
    }

    fn put(&mut self) {
        if let Some(put) = &self.t.put {
            let record = self.shelf.record_mut();
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
        let dues = &mut self.shelf.record_mut().dues;
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

    fn take(&mut self) -> Result<(), S::Error> {
        if !self.shelf.record().held {
            self.outcome.items = self.shelf.take(self.t.at, self.t.take)?;
            let taken = self.outcome.items.iter().map(|item| item.seq);
            self.shelf.record_mut().taken.extend(taken);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), S::Error> {
        let t = self.t;
        let record = self.shelf.record_mut();
        // After an idle take nothing is ready: the next chance comes with the first item that waits.
        let was_idle = t.release == Release::Idle && t.take > 0 && !record.held;
        let after = if was_idle { t.at } else { -1 };
        record.owner = None;
        record.taken.clear();
        record.deliveries = 0;
        let due = if record.count > 0 {
            self.shelf.item_due(after)?
        } else {
            None
        };
        let dues = &mut self.shelf.record_mut().dues;
        match due {
            Some(due) => dues.insert(ITEMS_DUE.into(), due.max(t.at)),
            None => dues.remove(ITEMS_DUE),
        };
        self.outcome.released = true;
        Ok(())
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
