//! `MemoryStore`: arbitrary transitions, claims and renewals, and what must hold after each of them.
#![no_main]

use std::collections::HashMap;

use arbitrary::Arbitrary;
use durable_core::memory_store::MemoryStore;
use durable_core::transition::model::{
    Batching, Burial, ClaimRequest, Clear, Create, Due, Guard, How, Item, NEVER, NewItem, Put,
    Record, Release, Removal, Reschedule, Retire, Settlement, Transition,
};
use durable_fuzz::Name;
use libfuzzer_sys::fuzz_target;

const INSTANCES: [&str; 2] = ["queue:q:0", "queue:q:1"];
const ALL: usize = 1 << 20;

#[derive(Arbitrary, Debug)]
enum Step {
    Apply(Instance, Vec<Word>),
    Claim { limit: u8, take: u8, lease_ms: u8 },
    Renew(Instance, Nearby, u8),
    Sweep(u8),
    Wait(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Instance(bool);

impl Instance {
    fn name(self) -> &'static str {
        INSTANCES[usize::from(self.0)]
    }
}

/// What the store has, or something beside it.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Nearby {
    Same,
    Beside(i8),
}

impl Nearby {
    fn of(self, value: i64) -> i64 {
        match self {
            Self::Same => value,
            Self::Beside(by) => value + i64::from(by),
        }
    }
}

/// One of the items that are there, by its place in their order.
type Pick = u8;

/// One word of a transition.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Word {
    Exists(bool),
    Version(Nearby),
    Generation(Nearby),
    Token(Nearby),
    Segment(Nearby),
    Room(u8),
    DropOldest,
    Erase,
    Create(u8, Option<u8>),
    Put(bool, Option<u8>),
    Remember(Name),
    Append(Option<Name>, Option<Name>, When, i8, bool),
    Remove(Pick),
    Reschedule(Pick, When, bool),
    GiveBack(Pick),
    Mark(Pick),
    Bury(Name, Option<Pick>),
    Redrive(Name),
    Discard(Name),
    Retire(u8),
    Clear(u8),
    Cancel(Name),
    Batching(Option<u8>, Option<u8>),
    Seal,
    Due(Name, u8, When),
    Progress,
    Take(u8),
    Release(bool),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum When {
    Ready,
    In(u8),
    Never,
}

impl When {
    fn due(self, now: i64) -> i64 {
        match self {
            Self::Ready => 0,
            Self::In(ms) => now + i64::from(ms),
            Self::Never => NEVER,
        }
    }
}

fn items(store: &MemoryStore, instance: &str) -> Vec<Item> {
    let last = store.record(instance).map_or(-1, |record| record.segment);
    (0..=last)
        .flat_map(|segment| store.items(instance, segment, 0, ALL))
        .collect()
}

fn transition(store: &MemoryStore, instance: &str, now: i64, words: &[Word]) -> Transition {
    let blank = Record::new(instance.into());
    let record = store.record(instance).unwrap_or(&blank);
    let there = items(store, instance);
    let pick = |index: u8| there.get(usize::from(index) % there.len().max(1));
    let mut t = Transition {
        instance: instance.into(),
        at: now,
        guard: Guard::default(),
        ..Transition::default()
    };
    let text = |name: Name| name.text().into();
    for &word in words {
        let end = now + 50;
        match word {
            Word::Exists(exists) => t.guard.exists = Some(exists),
            Word::Version(at) => t.guard.version = Some(at.of(record.version)),
            Word::Generation(at) => t.guard.generation = Some(at.of(record.generation)),
            Word::Token(at) => t.guard.token = Some(at.of(record.token)),
            Word::Segment(at) => t.guard.segment = Some(at.of(record.segment)),
            Word::Room(room) => t.guard.room = Some(i64::from(room % 8)),
            Word::DropOldest => t.drop_oldest = true,
            Word::Erase => t.erase = true,
            Word::Create(segment, linger_ms) => {
                t.create = Some(Create {
                    status: "open".into(),
                    data: Default::default(),
                    segment: i64::from(segment % 2),
                    linger_ms: linger_ms.map(i64::from),
                });
            }
            Word::Put(held, linger_ms) => {
                t.put = Some(Put {
                    status: "open".into(),
                    data: Default::default(),
                    held,
                    linger_ms: linger_ms.map(i64::from),
                });
            }
            Word::Remember(id) => t.remember.push(text(id)),
            Word::Append(id, lane, when, rank, blocks) => t.append.push(NewItem {
                id: id.map(text),
                payload: Default::default(),
                lane: lane.map(text),
                due: when.due(now),
                rank: rank.into(),
                fresh: false,
                blocks,
            }),
            Word::Remove(index) => t.remove.extend(pick(index).map(|item| Removal {
                item: item.held(),
                settlement: Settlement::Done,
                expires_at: end,
            })),
            Word::Reschedule(index, when, blocks) => {
                t.reschedule
                    .extend(pick(index).map(|item| changed(item, when.due(now), blocks)));
            }
            Word::GiveBack(index) => t.give_back.extend(pick(index).map(|item| item.seq)),
            Word::Mark(index) => {
                t.mark
                    .extend(pick(index).map(|item| changed(item, item.due, item.blocks)));
            }
            Word::Bury(id, index) => {
                let item = index.and_then(pick);
                t.bury.push(Burial {
                    id: text(id),
                    item: item.map(Item::held),
                    lane: item.and_then(|item| item.lane.clone()),
                    at: item.map(|item| item.at),
                    payload: Default::default(),
                    attempts: 1,
                    error: "".into(),
                    count: 1,
                    expires_at: end,
                });
            }
            Word::Redrive(id) => t.redrive.push(text(id)),
            Word::Discard(id) => t.discard.push(text(id)),
            Word::Retire(segment) => {
                t.retire = Some(Retire {
                    segment: i64::from(segment % 4),
                    settlement: Settlement::Done,
                    expires_at: end,
                });
            }
            Word::Clear(segment) => {
                t.clear = Some(Clear {
                    segment: i64::from(segment % 4),
                    expires_at: end,
                });
            }
            Word::Cancel(id) => t.cancel.push(text(id)),
            Word::Batching(max_items, window_ms) => {
                t.batching = Some(Batching {
                    max_items: max_items.map(|max| i64::from(max % 4) + 1),
                    window_ms: window_ms.map(i64::from),
                });
            }
            Word::Seal => t.seal = true,
            Word::Due(name, how, when) => t.dues.push(Due {
                name: text(name),
                how: [How::Set, How::SetIfUnset, How::Earlier, How::Clear][usize::from(how % 4)],
                at: when.due(now),
            }),
            Word::Progress => t.progress = true,
            Word::Take(limit) => t.take = usize::from(limit % 8),
            Word::Release(idle) => t.release = if idle { Release::Idle } else { Release::Yes },
        }
    }
    if t.erase && t.create.is_none() {
        // Nobody sends events to what is erased and not created anew.
        t.append.clear();
    }
    t
}

fn changed(item: &Item, due: i64, blocks: bool) -> Reschedule {
    Reschedule {
        item: item.held(),
        due,
        attempt: item.attempt + 1,
        delivery: item.delivery,
        error: None,
        blocks,
    }
}

/// All that can be seen of every instance.
fn picture(store: &MemoryStore) -> String {
    let mut seen = format!("{:?}", store.next_due());
    for instance in INSTANCES {
        let receipts = Name::ALL.map(|id| store.receipt(instance, id));
        seen += &format!(
            "{:?} {:?} {:?} {:?}",
            store.record(instance),
            items(store, instance),
            receipts,
            store.letters(instance, "", ALL),
        );
    }
    seen
}

/// What holds whatever was asked for.
fn check(store: &MemoryStore, tokens: &mut HashMap<&str, i64>) {
    let records = || {
        INSTANCES
            .iter()
            .filter_map(|&instance| store.record(instance))
    };
    let nearest = records().filter_map(Record::alarm).min();
    assert_eq!(store.next_due(), nearest, "next_due is the earliest alarm");
    for record in records() {
        let there = items(store, &record.instance);
        assert_eq!(usize::try_from(record.count), Ok(there.len()), "{record:?}");
        let idle = record.owner.is_none() && !record.held;
        let ended = idle && record.dues.is_empty() && record.count == 0;
        assert!(record.purge_at.is_none() || ended, "{record:?}");
    }
    for &instance in &INSTANCES {
        let token = store.record(instance).map(|record| record.token);
        let last = tokens.entry(instance).or_default();
        assert!(token.is_none_or(|token| token >= *last), "a token fell");
        *last = token.unwrap_or(0);
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut store = MemoryStore::default();
    let mut tokens = HashMap::new();
    let mut now = 1_000;
    for step in steps {
        match step {
            Step::Apply(instance, words) => {
                let t = transition(&store, instance.name(), now, &words);
                let before = picture(&store);
                let outcome = store.apply(&t);
                if outcome.as_ref().map_or("", |outcome| outcome.verdict) != "applied" {
                    assert_eq!(before, picture(&store), "refused: {t:?} {outcome:?}");
                }
            }
            Step::Claim {
                limit,
                take,
                lease_ms,
            } => {
                let request = ClaimRequest {
                    owner: "worker".into(),
                    at: now,
                    lease_ms: i64::from(lease_ms) + 1,
                    limit: usize::from(limit % 3),
                    take: usize::from(take % 8),
                };
                let before: HashMap<_, _> = INSTANCES
                    .iter()
                    .filter_map(|&instance| Some((instance, store.record(instance)?.clone())))
                    .collect();
                for claim in store.claim(&request).expect("a claim never fails") {
                    let was = &before[&*claim.record.instance];
                    assert!(was.alarm().is_some_and(|alarm| alarm <= now), "{was:?}");
                    assert!(claim.record.token > was.token && claim.record.token >= now);
                    assert!(claim.items.iter().all(|item| item.due <= now));
                }
            }
            Step::Renew(instance, token, lease_ms) => {
                let record = store.record(instance.name()).cloned();
                let token = token.of(record.as_ref().map_or(0, |record| record.token));
                let holds = record.is_some_and(|one| one.owner.is_some() && one.token == token);
                let until = now + i64::from(lease_ms);
                let renewed = store.renew(instance.name(), token, until);
                assert_eq!(renewed.is_some(), holds);
            }
            Step::Sweep(budget) => {
                let gone = store.sweep(now, budget.into());
                assert!(gone <= budget.into());
            }
            Step::Wait(ms) => now += i64::from(ms),
        }
        check(&store, &mut tokens);
    }
});
