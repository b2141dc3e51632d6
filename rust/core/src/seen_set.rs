//! Ids remembered for idempotency: live without an end, then for a window after their outcome.

use std::collections::HashSet;

use crate::alarm_heap::AlarmHeap;

/// Live ids are kept for ever; settled ids until their window ends or the cap needs their place.
#[derive(Debug, Default)]
pub struct SeenSet {
    live: HashSet<Box<str>>,
    /// The settled ids; the end of the window is the due time.
    settled: AlarmHeap,
    cap: Option<usize>,
}

impl SeenSet {
    /// An empty set that holds at most `cap` ids, or more if they are all live.
    pub fn new(cap: Option<usize>) -> Self {
        Self {
            cap,
            ..Self::default()
        }
    }

    /// Remembers `id` as live; says whether it is new.
    pub fn insert(&mut self, id: &str) -> bool {
        if self.contains(id) {
            return false;
        }
        self.live.insert(id.into());
        self.evict_over_cap();
        true
    }

    /// Whether `id` is remembered, live or settled.
    pub fn contains(&self, id: &str) -> bool {
        self.live.contains(id) || self.expires_at(id).is_some()
    }

    /// Starts the window of `id`, or moves its end; says whether the id is known.
    pub fn settle(&mut self, id: &str, expires_at_ms: i64) -> bool {
        let known = self.live.remove(id) || self.expires_at(id).is_some();
        if known {
            self.settled.set(id, expires_at_ms);
            self.evict_over_cap();
        }
        known
    }

    /// The end of the window of a settled id.
    pub fn expires_at(&self, id: &str) -> Option<i64> {
        self.settled.get(id)
    }

    /// Drops `id`, live or settled; says whether it was known.
    pub fn forget(&mut self, id: &str) -> bool {
        self.live.remove(id) || self.settled.cancel(id)
    }

    /// Drops at most `budget` ids whose window ended by `now_ms`, the oldest end first.
    pub fn expire(&mut self, now_ms: i64, budget: usize) -> usize {
        self.settled.pop_due(now_ms, budget).len()
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.live.len() + self.settled.len()
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn evict_over_cap(&mut self) {
        let excess = self.cap.map_or(0, |cap| self.len().saturating_sub(cap));
        self.settled.pop_due(i64::MAX, excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = SeenSet::new(None);
        assert!(seen.insert("a"));
        assert!(!seen.insert("a"));
        assert!(seen.settle("a", 10));
        assert!(!seen.insert("a"));
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_window_starts_when_the_id_settles() {
        let mut seen = SeenSet::new(None);
        seen.insert("a");
        assert_eq!(seen.expires_at("a"), None);
        assert_eq!(seen.expire(i64::MAX, 10), 0);
        assert!(seen.settle("a", 10));
        assert_eq!(seen.expires_at("a"), Some(10));
        assert_eq!(seen.expire(9, 10), 0);
        assert_eq!(seen.expire(10, 10), 1);
        assert!(!seen.contains("a"));
        assert!(!seen.settle("a", 20));
    }

    #[test]
    fn expiry_takes_the_oldest_within_its_budget() {
        let mut seen = SeenSet::new(None);
        for (id, end) in [("a", 3), ("b", 1), ("c", 2)] {
            seen.insert(id);
            seen.settle(id, end);
        }
        assert_eq!(seen.expire(9, 2), 2);
        assert!(seen.contains("a") && !seen.contains("b") && !seen.contains("c"));
    }

    #[test]
    fn over_the_cap_the_nearest_expiry_goes_and_live_ids_stay() {
        let mut seen = SeenSet::new(Some(2));
        for id in ["a", "b", "c"] {
            seen.insert(id);
        }
        assert_eq!(seen.len(), 3);
        seen.forget("c");
        seen.settle("a", 20);
        seen.settle("b", 10);
        seen.insert("d");
        assert!(seen.contains("a") && !seen.contains("b") && seen.contains("d"));
    }

    #[test]
    fn a_forgotten_id_is_new_again() {
        let mut seen = SeenSet::new(None);
        seen.insert("a");
        assert!(seen.forget("a"));
        assert!(!seen.forget("a"));
        assert!(seen.insert("a"));
        seen.settle("a", 5);
        assert!(seen.forget("a"));
        assert!(seen.is_empty());
    }
}
