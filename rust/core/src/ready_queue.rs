//! The lanes of one queue instance: which item may start next.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::Arc;

use crate::seq_hasher::SeqMap;

/// Items grouped into lanes: a lane runs one item at a time, in order of `seq`; among the heads of
/// idle lanes the lowest `(rank, seq)` starts first. An item without a lane is a lane of its own.
#[derive(Debug, Default)]
pub struct ReadyQueue {
    /// Every item, by seq, until it is done or dropped.
    items: SeqMap<Item>,
    /// How many of the items are popped.
    busy: usize,
    /// Every lane that has an item. Items without a lane are not here: they take the short way.
    lanes: HashMap<Arc<str>, Lane>,
    /// What may start now, as `(rank, seq)`: the heads of idle lanes, and all items without a lane.
    ready: BTreeSet<(i64, i64)>,
}

#[derive(Debug)]
struct Item {
    rank: i64,
    lane: Option<Arc<str>>,
    busy: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// The rank of each waiting item, by seq.
    waiting: BTreeMap<i64, i64>,
    busy: bool,
}

impl Lane {
    /// What this lane has in `ready`.
    fn head(&self) -> Option<(i64, i64)> {
        let (&seq, &rank) = self.waiting.first_key_value()?;
        (!self.busy).then_some((rank, seq))
    }
}

impl ReadyQueue {
    /// Adds an item.
    ///
    /// # Errors
    /// [`DuplicateSeq`] if an item with this seq waits or is busy.
    pub fn push(&mut self, seq: i64, lane: Option<&str>, rank: i64) -> Result<(), DuplicateSeq> {
        let Entry::Vacant(place) = self.items.entry(seq) else {
            return Err(DuplicateSeq(seq));
        };
        let lane = lane.map(|name| shared_name(&mut self.lanes, name));
        let item = place.insert(Item {
            rank,
            lane,
            busy: false,
        });
        match item.lane.clone() {
            None => {
                self.ready.insert((rank, seq));
            }
            Some(name) => {
                self.change_lane(&name, |lane| lane.waiting.insert(seq, rank));
            }
        }
        Ok(())
    }

    /// Takes the best item that may start, and makes its lane busy.
    pub fn pop(&mut self) -> Option<i64> {
        let (_, seq) = self.ready.pop_first()?;
        let item = self.items.get_mut(&seq)?;
        item.busy = true;
        self.busy += 1;
        if let Some(name) = item.lane.clone() {
            self.change_lane(&name, |lane| {
                lane.waiting.remove(&seq);
                lane.busy = true;
            });
        }
        Some(seq)
    }

    /// The popped item has its outcome: forgets it and frees its lane.
    ///
    /// # Errors
    /// [`NotBusy`] if no item with this seq is busy.
    pub fn done(&mut self, seq: i64) -> Result<(), NotBusy> {
        let item = self.take(seq, true).ok_or(NotBusy(seq))?;
        self.busy -= 1;
        if let Some(name) = item.lane {
            self.change_lane(&name, |lane| lane.busy = false);
        }
        Ok(())
    }

    /// Drops the items of `lane` that wait, and returns their seqs in order.
    pub fn evict(&mut self, lane: &str) -> Vec<i64> {
        let items = self.change_lane(lane, |lane| mem::take(&mut lane.waiting));
        let seqs: Vec<i64> = items.unwrap_or_default().into_keys().collect();
        for seq in &seqs {
            self.items.remove(seq);
        }
        seqs
    }

    /// Drops one waiting item; says whether there was one.
    pub fn remove(&mut self, seq: i64) -> bool {
        let Some(item) = self.take(seq, false) else {
            return false;
        };
        match item.lane {
            None => {
                self.ready.remove(&(item.rank, seq));
            }
            Some(name) => {
                self.change_lane(&name, |lane| lane.waiting.remove(&seq));
            }
        }
        true
    }

    /// How many items wait.
    pub fn waiting(&self) -> usize {
        self.items.len() - self.busy
    }

    /// How many items are popped and not done.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Forgets an item if it is busy, or waits, as asked.
    fn take(&mut self, seq: i64, busy: bool) -> Option<Item> {
        match self.items.entry(seq) {
            Entry::Occupied(place) if place.get().busy == busy => Some(place.remove()),
            _ => None,
        }
    }

    /// The only place where a lane changes: `ready` follows its head, and an empty lane goes.
    fn change_lane<T>(&mut self, name: &str, change: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let lane = self.lanes.get_mut(name)?;
        let old_head = lane.head();
        let answer = change(lane);
        let new_head = lane.head();
        if new_head != old_head {
            old_head.map(|head| self.ready.remove(&head));
            self.ready.extend(new_head);
        }
        if !lane.busy && lane.waiting.is_empty() {
            self.lanes.remove(name);
        }
        Some(answer)
    }
}

/// The name of a lane as its items share it; the lane exists from here on.
fn shared_name(lanes: &mut HashMap<Arc<str>, Lane>, name: &str) -> Arc<str> {
    if let Some((known, _)) = lanes.get_key_value(name) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    lanes.insert(Arc::clone(&name), Lane::default());
    name
}

/// An item with this seq already waits or is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicateSeq(pub i64);

impl fmt::Display for DuplicateSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq {} is already waiting or busy", self.0)
    }
}

impl Error for DuplicateSeq {}

/// No item with this seq is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBusy(pub i64);

impl fmt::Display for NotBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seq {} is not busy: only a popped item can be done",
            self.0
        )
    }
}

impl Error for NotBusy {}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(items: &[(i64, Option<&str>, i64)]) -> ReadyQueue {
        let mut queue = ReadyQueue::default();
        for &(seq, lane, rank) in items {
            queue.push(seq, lane, rank).unwrap();
        }
        queue
    }

    fn pop_all(queue: &mut ReadyQueue) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn items_without_a_lane_start_by_rank_then_seq() {
        let mut queue = queue(&[(1, None, 5), (3, None, 0), (2, None, 0)]);
        assert_eq!(pop_all(&mut queue), [2, 3, 1]);
        assert_eq!((queue.waiting(), queue.busy()), (0, 3));
    }

    #[test]
    fn a_lane_runs_one_item_at_a_time_in_order_of_seq() {
        let mut queue = queue(&[(2, Some("a"), 0), (1, Some("a"), 9), (3, Some("b"), 5)]);
        assert_eq!(pop_all(&mut queue), [3, 1]);
        queue.done(1).unwrap();
        assert_eq!(pop_all(&mut queue), [2]);
    }

    #[test]
    fn a_lower_seq_takes_the_head_of_an_idle_lane() {
        let mut queue = queue(&[(5, Some("a"), 0), (4, Some("a"), 7), (6, None, 3)]);
        assert_eq!(pop_all(&mut queue), [6, 4]);
    }

    #[test]
    fn evict_spares_the_busy_item() {
        let mut queue = queue(&[(1, Some("a"), 0), (3, Some("a"), 0), (2, Some("a"), 0)]);
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.evict("a"), [2, 3]);
        assert_eq!((queue.waiting(), queue.busy()), (0, 1));
        queue.done(1).unwrap();
        assert!(queue.evict("a").is_empty());
    }

    #[test]
    fn removing_the_head_of_a_lane_makes_its_successor_runnable() {
        let mut queue = queue(&[(1, Some("a"), 0), (2, Some("a"), 0)]);
        assert!(queue.remove(1));
        assert!(!queue.remove(1));
        assert_eq!(queue.pop(), Some(2));
        assert!(!queue.remove(2));
    }

    #[test]
    fn a_seq_is_known_until_it_is_done() {
        let mut queue = queue(&[(1, None, 0)]);
        assert_eq!(queue.push(1, Some("a"), 0), Err(DuplicateSeq(1)));
        assert_eq!(queue.done(1), Err(NotBusy(1)));
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.push(1, None, 0), Err(DuplicateSeq(1)));
        queue.done(1).unwrap();
        assert_eq!(queue.push(1, None, 0), Ok(()));
    }

    #[test]
    fn an_empty_queue_keeps_no_lane() {
        let mut queue = queue(&[(1, Some("a"), 0), (2, Some("b"), 0), (3, Some("c"), 0)]);
        assert!(queue.remove(3));
        assert_eq!(queue.evict("b"), [2]);
        assert_eq!(queue.pop(), Some(1));
        queue.done(1).unwrap();
        assert!(queue.lanes.is_empty() && queue.ready.is_empty());
    }
}
