//! `SeenSet` against a set of live ids and a list of settled ones.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use durable_core::seen_set::SeenSet;
use durable_fuzz::{Name, Number};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Insert(Name),
    Settle(Name, Number),
    Forget(Name),
    Expire(Number, u8),
}

#[derive(Default)]
struct Model {
    live: BTreeSet<&'static str>,
    /// Ids and the ends of their windows, in order of the last `settle`.
    settled: Vec<(&'static str, i64)>,
}

impl Model {
    fn drop_id(&mut self, id: &str) -> bool {
        let before = self.len();
        self.live.remove(id);
        self.settled.retain(|&(settled, _)| settled != id);
        self.len() < before
    }

    /// Drops the settled ids with the nearest ends up to `now_ms`, at most `budget`.
    fn expire(&mut self, now_ms: i64, budget: usize) -> usize {
        let mut over = self.settled.clone();
        over.retain(|&(_, end)| end <= now_ms);
        over.sort_by_key(|&(_, end)| end); // stable: equal ends keep their order
        over.truncate(budget);
        self.settled.retain(|entry| !over.contains(entry));
        over.len()
    }

    fn len(&self) -> usize {
        self.live.len() + self.settled.len()
    }
}

fuzz_target!(|input: (Option<u8>, Vec<Step>)| {
    let (cap, steps) = input;
    let cap = cap.map(|cap| usize::from(cap % 8));
    let mut seen = SeenSet::new(cap);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Insert(id) => {
                let known = seen.contains(id.text());
                assert_eq!(seen.insert(id.text()), !known);
                if !known {
                    model.live.insert(id.text());
                }
            }
            Step::Settle(id, end) => {
                let known = model.drop_id(id.text());
                assert_eq!(seen.settle(id.text(), end.value()), known);
                if known {
                    model.settled.push((id.text(), end.value()));
                }
            }
            Step::Forget(id) => assert_eq!(seen.forget(id.text()), model.drop_id(id.text())),
            Step::Expire(now_ms, budget) => {
                let gone = model.expire(now_ms.value(), budget.into());
                assert_eq!(seen.expire(now_ms.value(), budget.into()), gone);
            }
        }
        if let Some(cap) = cap {
            model.expire(i64::MAX, model.len().saturating_sub(cap));
        }
        assert_eq!(seen.len(), model.len());
        assert!(
            model
                .live
                .iter()
                .all(|id| seen.contains(id) && seen.expires_at(id).is_none())
        );
        for &(id, end) in &model.settled {
            assert!(seen.contains(id));
            assert_eq!(seen.expires_at(id), Some(end));
        }
    }
});
