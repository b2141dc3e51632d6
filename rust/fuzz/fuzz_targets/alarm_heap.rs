//! `AlarmHeap` against a list in order of the last `set`.
#![no_main]

use arbitrary::Arbitrary;
use durable_core::alarm_heap::AlarmHeap;
use durable_fuzz::{Name, Number};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Set(Name, Number),
    Cancel(Name),
    PopDue(Number, u8),
}

fuzz_target!(|steps: Vec<Step>| {
    let mut heap = AlarmHeap::default();
    let mut model: Vec<(&str, i64)> = Vec::new();
    for step in steps {
        match step {
            Step::Set(key, due_ms) => {
                heap.set(key.text(), due_ms.value());
                model.retain(|alarm| alarm.0 != key.text());
                model.push((key.text(), due_ms.value()));
            }
            Step::Cancel(key) => {
                let there = model.iter().any(|alarm| alarm.0 == key.text());
                assert_eq!(heap.cancel(key.text()), there);
                model.retain(|alarm| alarm.0 != key.text());
            }
            Step::PopDue(now_ms, limit) => {
                let mut due = model.clone();
                due.retain(|alarm| alarm.1 <= now_ms.value());
                due.sort_by_key(|alarm| alarm.1); // stable: equal times keep their order
                due.truncate(limit.into());
                let popped = heap.pop_due(now_ms.value(), limit.into());
                assert!(
                    popped
                        .iter()
                        .map(|key| &**key)
                        .eq(due.iter().map(|alarm| alarm.0))
                );
                model.retain(|alarm| !due.contains(alarm));
            }
        }
        let earliest = model.iter().min_by_key(|alarm| alarm.1);
        assert_eq!(heap.peek(), earliest.map(|&(key, due_ms)| (due_ms, key)));
        assert_eq!(heap.len(), model.len());
        for &(key, due_ms) in &model {
            assert_eq!(heap.get(key), Some(due_ms));
        }
    }
});
