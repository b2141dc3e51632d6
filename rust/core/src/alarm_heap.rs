//! Due times by key: the earliest first, moved and cancelled in O(log n).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A place in the order of due times: the due time, then the number of the `set` that made it.
type Place = (i64, u64);

/// At most one alarm per key, ordered by due time; equal due times keep the order of the last `set`.
#[derive(Debug, Default)]
pub struct AlarmHeap {
    places: HashMap<Arc<str>, Place>,
    order: BTreeMap<Place, Arc<str>>,
    sets: u64,
}

impl AlarmHeap {
    /// Adds the alarm of `key`, or moves it.
    pub fn set(&mut self, key: &str, due_ms: i64) {
        self.sets += 1;
        let place = (due_ms, self.sets);
        if let Some(current) = self.places.get_mut(key) {
            if let Some(key) = self.order.remove(current) {
                self.order.insert(place, key);
            }
            *current = place;
        } else {
            let key: Arc<str> = key.into();
            self.places.insert(Arc::clone(&key), place);
            self.order.insert(place, key);
        }
    }

    /// Removes the alarm of `key`; says whether there was one.
    pub fn cancel(&mut self, key: &str) -> bool {
        let place = self.places.remove(key);
        place.is_some_and(|place| self.order.remove(&place).is_some())
    }

    /// The due time of `key`.
    pub fn get(&self, key: &str) -> Option<i64> {
        self.places.get(key).map(|&(due_ms, _)| due_ms)
    }

    /// The earliest alarm.
    pub fn peek(&self) -> Option<(i64, &str)> {
        let (&(due_ms, _), key) = self.order.first_key_value()?;
        Some((due_ms, key))
    }

    /// Removes at most `limit` alarms that are due at `now_ms`, the earliest first.
    pub fn pop_due(&mut self, now_ms: i64, limit: usize) -> Vec<Arc<str>> {
        let mut popped = Vec::new();
        while popped.len() < limit {
            let Some(earliest) = self.order.first_entry() else {
                break;
            };
            if earliest.key().0 > now_ms {
                break;
            }
            let key = earliest.remove();
            self.places.remove(&key);
            popped.push(key);
        }
        popped
    }

    /// How many keys have an alarm.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no key has an alarm.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(alarms: &mut AlarmHeap, now_ms: i64, limit: usize) -> Vec<String> {
        let due = alarms.pop_due(now_ms, limit);
        due.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn alarms_pop_in_order_of_their_due_time() {
        let mut alarms = AlarmHeap::default();
        alarms.set("late", 30);
        alarms.set("early", 10);
        alarms.set("never", 40);
        assert_eq!(alarms.peek(), Some((10, "early")));
        assert_eq!(popped(&mut alarms, 30, 10), ["early", "late"]);
        assert_eq!(alarms.get("never"), Some(40));
        assert_eq!(alarms.len(), 1);
    }

    #[test]
    fn equal_due_times_pop_in_order_of_the_last_set() {
        let mut alarms = AlarmHeap::default();
        alarms.set("a", 10);
        alarms.set("b", 10);
        alarms.set("a", 10);
        assert_eq!(popped(&mut alarms, 10, 10), ["b", "a"]);
    }

    #[test]
    fn a_moved_alarm_is_due_once_at_its_new_time() {
        let mut alarms = AlarmHeap::default();
        alarms.set("a", 10);
        alarms.set("a", 20);
        assert!(popped(&mut alarms, 19, 10).is_empty());
        assert_eq!(popped(&mut alarms, 20, 10), ["a"]);
        assert!(alarms.is_empty());
    }

    #[test]
    fn a_cancelled_alarm_is_gone() {
        let mut alarms = AlarmHeap::default();
        alarms.set("a", 10);
        assert!(alarms.cancel("a"));
        assert!(!alarms.cancel("a"));
        assert_eq!(alarms.get("a"), None);
        assert_eq!(alarms.peek(), None);
    }

    #[test]
    fn pop_due_takes_no_more_than_the_limit() {
        let mut alarms = AlarmHeap::default();
        for (due_ms, key) in [(1, "a"), (2, "b"), (3, "c")] {
            alarms.set(key, due_ms);
        }
        assert!(popped(&mut alarms, 9, 0).is_empty());
        assert_eq!(popped(&mut alarms, 9, 2), ["a", "b"]);
        assert_eq!(popped(&mut alarms, 9, 2), ["c"]);
    }
}
