//! The whole transition vocabulary over maps: every instance of one namespace, in memory.

mod change;
mod guards;
mod incoming;
pub mod model;
mod outgoing;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::InvalidArgument;
use crate::alarm_heap::AlarmHeap;
use change::{Change, erase, open};
use guards::refusal;
use model::{Claim, ClaimRequest, DeadLetter, Item, Outcome, Receipt, Record, Tally, Transition};
use rows::Rows;

/// Instances, their rows and their alarms.  Each method is one atomic step.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: BTreeMap<Arc<str>, Rows>,
    alarms: AlarmHeap,
}

impl MemoryStore {
    /// Applies one transition.
    ///
    /// # Errors
    /// If it names an item that is not there; nothing is changed then.
    pub fn apply(&mut self, t: &Transition) -> Result<Outcome, InvalidArgument> {
        let known = self.rows.get(&t.instance);
        if let Some(verdict) = refusal(t, known) {
            return Ok(refused(verdict));
        }
        let opens = t.create.is_some() || t.put.is_some();
        let live = known.is_some_and(|rows| rows.record.is_live());
        if !live && !opens {
            return Ok(refused("conflict"));
        }
        let rows = self
            .rows
            .entry(Arc::clone(&t.instance))
            .or_insert_with(|| Rows::new(Record::new(Arc::clone(&t.instance))));
        let ends = live && t.erase;
        if ends {
            erase(rows);
        }
        let created = opens && (!live || ends);
        if created {
            open(t, &mut rows.record);
        }
        let outcome = Change::new(t, rows, created).run()?;
        rearm(&mut self.alarms, &rows.record);
        Ok(outcome)
    }

    /// Gives leases on the instances that are due, the earliest first.
    pub fn claim(&mut self, request: &ClaimRequest) -> Vec<Claim> {
        let due = self.alarms.pop_due(request.at, request.limit);
        let mut claims = Vec::with_capacity(due.len());
        for instance in due {
            let Some(rows) = self.rows.get_mut(&instance) else {
                continue;
            };
            let record = &mut rows.record;
            let suspects = std::mem::take(&mut record.taken);
            record.token += 1;
            record.owner = Some(Arc::clone(&request.owner));
            record.lease_until = request.at + request.lease_ms;
            record.deliveries += 1;
            record.purge_at = None;
            let wanted = if record.held { 0 } else { request.take };
            let items = rows.take(request.at, wanted);
            rows.record.taken = items.iter().map(|item| item.seq).collect();
            rearm(&mut self.alarms, &rows.record);
            claims.push(Claim {
                record: rows.record.clone(),
                items,
                suspects,
            });
        }
        claims
    }

    /// Extends a lease that its token still holds; the record's version, or None.
    pub fn renew(&mut self, instance: &str, token: i64, until: i64) -> Option<i64> {
        let record = &mut self.rows.get_mut(instance)?.record;
        if record.owner.is_none() || record.token != token {
            return None;
        }
        record.lease_until = until;
        rearm(&mut self.alarms, record);
        Some(record.version)
    }

    /// The record of one instance.
    pub fn record(&self, instance: &str) -> Option<&Record> {
        self.rows.get(instance).map(|rows| &rows.record)
    }

    /// One receipt of an instance.
    pub fn receipt(&self, instance: &str, id: &str) -> Option<&Receipt> {
        self.rows.get(instance)?.receipts.get(id)
    }

    /// One dead letter of an instance.
    pub fn letter(&self, instance: &str, id: &str) -> Option<&DeadLetter> {
        self.rows.get(instance)?.letters.get(id)
    }

    /// Items of one segment with a sequence above `after`, in order.
    pub fn items(&self, instance: &str, segment: i64, after: i64, limit: usize) -> Vec<Item> {
        let rows = self.rows.get(instance);
        rows.map_or_else(Vec::new, |rows| rows.segment_items(segment, after, limit))
    }

    /// Dead letters with an id above `after`, by id.
    pub fn letters(&self, instance: &str, after: &str, limit: usize) -> Vec<&DeadLetter> {
        let letters = self
            .rows
            .get(instance)
            .into_iter()
            .flat_map(|rows| rows.letters.values());
        letters
            .filter(|letter| &*letter.id > after)
            .take(limit)
            .collect()
    }

    /// Records whose instance id starts with `prefix` and stands after `after`.
    pub fn scan(&self, prefix: &str, after: &str, limit: usize) -> Vec<&Record> {
        let start: Arc<str> = after.max(prefix).into();
        self.rows
            .range(start..)
            .map(|(_, rows)| &rows.record)
            .take_while(|record| record.instance.starts_with(prefix))
            .filter(|record| &*record.instance > after)
            .take(limit)
            .collect()
    }

    /// Counts over the items of one instance.
    pub fn tally(&self, instance: &str, now: i64) -> Tally {
        self.rows
            .get(instance)
            .map_or_else(Tally::default, |rows| rows.tally(now))
    }

    /// Deletes at most `budget` rows that outlived their retention; returns how many went.
    pub fn sweep(&mut self, now: i64, budget: usize) -> usize {
        let mut gone = 0;
        let mut purged = Vec::new();
        for (instance, rows) in &mut self.rows {
            gone += rows.sweep(now, budget - gone);
            let over = rows.record.purge_at.is_some_and(|at| at <= now);
            if gone < budget && over && rows.letters.is_empty() {
                purged.push(Arc::clone(instance));
                gone += 1;
            }
        }
        for instance in purged {
            self.rows.remove(&instance);
            self.alarms.cancel(&instance);
        }
        gone
    }

    /// The earliest alarm of all instances.
    pub fn next_due(&self) -> Option<i64> {
        self.alarms.peek().map(|(due, _)| due)
    }
}

fn refused(verdict: &'static str) -> Outcome {
    Outcome {
        verdict,
        ..Outcome::default()
    }
}

fn rearm(alarms: &mut AlarmHeap, record: &Record) {
    match record.alarm() {
        None => {
            alarms.cancel(&record.instance);
        }
        Some(due) if alarms.get(&record.instance) != Some(due) => alarms.set(&record.instance, due),
        Some(_) => {}
    }
}
