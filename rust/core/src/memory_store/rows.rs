//! The rows of one instance.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::transition::model::{
    DeadLetter, Item, MAX_LETTERS, NEVER, Place, Receipt, Record, Tally,
};

/// One record with its items, receipts and dead letters.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) is_kept: bool,
    pub(super) record: Record,
    items: BTreeMap<Place, Item>,
    lanes: HashMap<Arc<str>, BTreeSet<(i64, Place)>>,
    pub(super) receipts: BTreeMap<Arc<str>, Receipt>,
    pub(super) letters: BTreeMap<Arc<str>, DeadLetter>,
}

impl Rows {
    /// An instance that is not there.
    pub(super) fn new(instance: Arc<str>) -> Self {
        Self {
            is_kept: false,
            record: Record::new(instance),
            items: BTreeMap::new(),
            lanes: HashMap::new(),
            receipts: BTreeMap::new(),
            letters: BTreeMap::new(),
        }
    }

    pub(super) fn clear_all(&mut self) {
        self.items.clear();
        self.lanes.clear();
        self.receipts.clear();
        self.letters.clear();
    }

    /// The item that came first, of those that nobody has in hand.
    pub(super) fn oldest_item(&self) -> Option<&Item> {
        let free = self
            .items
            .values()
            .filter(|item| !self.record.taken.contains(&item.seq));
        free.min_by_key(|item| item.seq)
    }

    pub(super) fn add_item(&mut self, item: Item) {
        let place = item.place();
        if let Some(lane) = &item.lane {
            let members = self.lanes.entry(Arc::clone(lane)).or_default();
            members.insert((item.seq, place));
        }
        self.items.insert(place, item);
    }

    pub(super) fn drop_item(&mut self, place: Place) -> Option<Item> {
        let item = self.items.remove(&place)?;
        if let Some(lane) = &item.lane {
            if let Some(members) = self.lanes.get_mut(lane) {
                members.remove(&(item.seq, place));
                if members.is_empty() {
                    self.lanes.remove(lane);
                }
            }
        }
        Some(item)
    }

    pub(super) fn item(&self, place: Place) -> Option<&Item> {
        self.items.get(&place)
    }

    /// The highest rank among the live items of a lane.
    pub(super) fn rank_of_lane(&self, lane: &str) -> Option<i64> {
        let members = self.lanes.get(lane)?;
        members.iter().map(|&(_, (_, rank, _))| rank).max()
    }

    /// The earliest due time later than `after` among the items.
    pub(super) fn due_after(&self, after: i64) -> Option<i64> {
        let (&(due, _, _), _) = self.items.range((after + 1, i64::MIN, i64::MIN)..).next()?;
        (due < NEVER).then_some(due)
    }

    /// The next items to run: those that waited and are due, then those that are ready; a keyed
    /// item never overtakes its lane.
    pub(super) fn next_items(&self, now: i64, limit: usize) -> Vec<Item> {
        let taken: HashSet<i64> = self.record.taken.iter().copied().collect();
        let first_waiting = (1, i64::MIN, i64::MIN);
        let waited = self
            .items
            .range(first_waiting..(now.max(0) + 1, i64::MIN, i64::MIN));
        let ready = self.items.range(..first_waiting);
        waited
            .chain(ready)
            .map(|(_, item)| item)
            .filter(|item| !taken.contains(&item.seq) && !self.is_held_back(item, &taken))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Whether an earlier item of the same lane must run first.
    fn is_held_back(&self, item: &Item, taken: &HashSet<i64>) -> bool {
        let waited = item.due > 0;
        let Some(members) = item.lane.as_ref().and_then(|lane| self.lanes.get(lane)) else {
            return false;
        };
        if waited && !item.blocks {
            return false;
        }
        members
            .iter()
            .take_while(|&&(seq, _)| seq < item.seq)
            .filter(|(seq, _)| !taken.contains(seq))
            .any(|(_, place)| waited || (place.0 > 0 && self.items[place].blocks))
    }

    /// Deletes the items that `leaves` names; returns how many.
    pub(super) fn drop_items(&mut self, leaves: impl Fn(&Item) -> bool) -> usize {
        let places: Vec<Place> = self
            .items
            .values()
            .filter(|item| leaves(item))
            .map(Item::place)
            .collect();
        for &place in &places {
            self.drop_item(place);
        }
        places.len()
    }

    /// Items of one segment with a sequence above `after`, in order.
    pub(super) fn segment_items(&self, segment: i64, after: i64, limit: usize) -> Vec<Item> {
        let mut found: Vec<&Item> = self
            .items
            .values()
            .filter(|item| item.segment == segment && item.seq > after)
            .collect();
        found.sort_by_key(|item| item.seq);
        found.into_iter().take(limit).cloned().collect()
    }

    /// Counts over the items that nobody has in hand.
    pub(super) fn tally(&self, now: i64) -> Tally {
        let taken: HashSet<i64> = self.record.taken.iter().copied().collect();
        let mut tally = Tally {
            dead: self.letters.len(),
            oldest_at: self.items.values().map(|item| item.at).min(),
            ..Tally::default()
        };
        for item in self
            .items
            .values()
            .filter(|item| !taken.contains(&item.seq))
        {
            if item.due <= now {
                tally.ready += 1;
            } else if item.attempt > 0 {
                tally.retrying += 1;
            } else {
                tally.delayed += 1;
            }
        }
        tally
    }

    /// Deletes at most `budget` receipts and dead letters that are over their time or too many.
    pub(super) fn sweep(&mut self, now: i64, budget: usize) -> usize {
        let receipts: Vec<Arc<str>> = self
            .receipts
            .values()
            .filter(|receipt| receipt.expires_at.is_some_and(|at| at <= now))
            .take(budget)
            .map(|receipt| Arc::clone(&receipt.id))
            .collect();
        let letters: Vec<Arc<str>> = self
            .letters
            .values()
            .filter(|letter| letter.expires_at <= now)
            .take(budget - receipts.len())
            .map(|letter| Arc::clone(&letter.id))
            .collect();
        for id in &receipts {
            self.receipts.remove(id);
        }
        for id in &letters {
            self.letters.remove(id);
        }
        let gone = receipts.len() + letters.len();
        gone + self.drop_excess_letters(budget - gone)
    }

    /// Deletes the oldest of too many dead letters, at most `budget`; returns how many.
    fn drop_excess_letters(&mut self, budget: usize) -> usize {
        let excess = self.letters.len().saturating_sub(MAX_LETTERS).min(budget);
        if excess == 0 {
            return 0;
        }
        let mut by_age: Vec<(i64, Arc<str>)> = self
            .letters
            .values()
            .map(|letter| (letter.failed_at, Arc::clone(&letter.id)))
            .collect();
        by_age.sort_unstable();
        for (_, id) in &by_age[..excess] {
            self.letters.remove(id);
        }
        excess
    }
}
