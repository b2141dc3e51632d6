//! `ReadyQueue` against a list that is searched for whatever may start.
#![no_main]

use arbitrary::Arbitrary;
use durable_core::ready_queue::{DuplicateSeq, NotBusy, ReadyQueue};
use durable_fuzz::{Name, Number};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Push(Number, Option<Name>, Number),
    Pop,
    Done(Number),
    Evict(Name),
    Remove(Number),
}

struct Item {
    seq: i64,
    lane: Option<&'static str>,
    rank: i64,
    busy: bool,
}

/// The best item that waits, is in no busy lane and is the first of its lane.
fn next(model: &[Item]) -> Option<i64> {
    let stops = |other: &Item, item: &Item| {
        item.lane.is_some() && other.lane == item.lane && (other.busy || other.seq < item.seq)
    };
    let may_start = |item: &&Item| !item.busy && !model.iter().any(|other| stops(other, item));
    let best = model.iter().filter(may_start);
    best.min_by_key(|item| (item.rank, item.seq))
        .map(|item| item.seq)
}

fn position(model: &[Item], seq: i64, busy: bool) -> Option<usize> {
    model
        .iter()
        .position(|item| item.seq == seq && item.busy == busy)
}

fuzz_target!(|steps: Vec<Step>| {
    let mut queue = ReadyQueue::default();
    let mut model: Vec<Item> = Vec::new();
    for step in steps {
        match step {
            Step::Push(seq, lane, rank) => {
                let (seq, lane, rank) = (seq.value(), lane.map(Name::text), rank.value());
                let pushed = queue.push(seq, lane, rank);
                if model.iter().any(|item| item.seq == seq) {
                    assert_eq!(pushed, Err(DuplicateSeq(seq)));
                } else {
                    assert_eq!(pushed, Ok(()));
                    model.push(Item {
                        seq,
                        lane,
                        rank,
                        busy: false,
                    });
                }
            }
            Step::Pop => {
                let expected = next(&model);
                assert_eq!(queue.pop(), expected);
                for item in &mut model {
                    item.busy |= Some(item.seq) == expected;
                }
            }
            Step::Done(seq) => {
                let place = position(&model, seq.value(), true);
                let expected = place.map(|place| drop(model.remove(place)));
                assert_eq!(
                    queue.done(seq.value()),
                    expected.ok_or(NotBusy(seq.value()))
                );
            }
            Step::Evict(lane) => {
                let waits = |item: &Item| !item.busy && item.lane == Some(lane.text());
                let mut gone: Vec<i64> = model
                    .iter()
                    .filter(|item| waits(item))
                    .map(|item| item.seq)
                    .collect();
                gone.sort_unstable();
                assert_eq!(queue.evict(lane.text()), gone);
                model.retain(|item| !waits(item));
            }
            Step::Remove(seq) => {
                let place = position(&model, seq.value(), false);
                assert_eq!(queue.remove(seq.value()), place.is_some());
                place.map(|place| model.remove(place));
            }
        }
        let busy = model.iter().filter(|item| item.busy).count();
        assert_eq!((queue.waiting(), queue.busy()), (model.len() - busy, busy));
    }
    // Every item that is left comes out, once.
    while let Some(seq) = next(&model) {
        assert_eq!(queue.pop(), Some(seq));
        assert_eq!(queue.done(seq), Ok(()));
        model.retain(|item| item.seq != seq);
    }
    assert_eq!(queue.pop(), None);
});
