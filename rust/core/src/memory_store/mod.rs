//! The whole transition vocabulary over maps: every instance of one namespace, in memory.

mod rows;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::InvalidArgument;
use crate::alarm_heap::AlarmHeap;
use crate::transition::model::{
    Claim, ClaimRequest, DeadLetter, Item, Outcome, Receipt, Record, Tally, Transition,
};
use crate::transition::{self, Shelf};
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
        if let Some(rows) = self.rows.get_mut(&t.instance) {
            let outcome = transition::apply(t, rows)?;
            rearm(&mut self.alarms, &rows.record);
            return Ok(outcome);
        }
        let mut rows = Rows::new(Arc::clone(&t.instance));
        let outcome = transition::apply(t, &mut rows)?;
        if rows.exists() {
            rearm(&mut self.alarms, &rows.record);
            self.rows.insert(Arc::clone(&t.instance), rows);
        }
        Ok(outcome)
    }

    /// Gives leases on the instances that are due, the earliest first.
    ///
    /// # Errors
    /// None today: it is the shelf that may have some.
    pub fn claim(&mut self, request: &ClaimRequest) -> Result<Vec<Claim>, InvalidArgument> {
        let due = self.alarms.pop_due(request.at, request.limit);
        let mut claims = Vec::with_capacity(due.len());
        for instance in due {
            if let Some(rows) = self.rows.get_mut(&instance) {
                claims.push(transition::claim(request, rows)?);
                rearm(&mut self.alarms, &rows.record);
            }
        }
        Ok(claims)
    }

    /// Extends a lease that its token still holds; the record's version, or None.
    pub fn renew(&mut self, instance: &str, token: i64, until: i64) -> Option<i64> {
        let record = &mut self.rows.get_mut(instance)?.record;
        let version = transition::renew(record, token, until)?;
        rearm(&mut self.alarms, record);
        Some(version)
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

    /// Deletes at most `budget` rows that outlived their retention or are too many; returns how many went.
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

fn rearm(alarms: &mut AlarmHeap, record: &Record) {
    match record.alarm() {
        None => {
            alarms.cancel(&record.instance);
        }
        Some(due) if alarms.get(&record.instance) != Some(due) => alarms.set(&record.instance, due),
        Some(_) => {}
    }
}
