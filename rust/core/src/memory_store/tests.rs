//! The store's own habits; what each word means is held by the parity and conformance suites.

use super::*;
use crate::transition::model::{Create, Held, NewItem, Release, Reschedule};

const NOW: i64 = 1_000;

fn transition(instance: &str) -> Transition {
    Transition {
        instance: instance.into(),
        at: NOW,
        ..Transition::default()
    }
}

fn append(instance: &str, ids: &[&str]) -> Transition {
    let item = |id: &&str| NewItem {
        id: Some((*id).into()),
        payload: (*b"x").into(),
        lane: None,
        due: 0,
        rank: 0,
        fresh: false,
        blocks: true,
    };
    Transition {
        create: Some(Create {
            status: "active".into(),
            data: Arc::default(),
            segment: 0,
            linger_ms: Some(10),
        }),
        append: ids.iter().map(item).collect(),
        ..transition(instance)
    }
}

fn request(take: usize) -> ClaimRequest {
    ClaimRequest {
        owner: "worker".into(),
        at: NOW,
        lease_ms: 100,
        limit: 10,
        take,
    }
}

#[test]
fn an_append_to_nothing_makes_the_instance_and_arms_it() {
    let mut store = MemoryStore::default();
    let outcome = store
        .apply(&append("queue:q:0", &["a", "b", "a"]))
        .unwrap_or_default();
    assert_eq!(
        (outcome.verdict, outcome.created, outcome.count),
        ("applied", true, 2)
    );
    assert_eq!(
        outcome
            .accepted
            .iter()
            .map(|a| a.duplicate)
            .collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(store.next_due(), Some(NOW));
}

#[test]
fn a_claim_is_a_lease_whose_end_is_the_next_alarm() {
    let mut store = MemoryStore::default();
    let _ = store.apply(&append("queue:q:0", &["a", "b"]));
    let claims = store.claim(&request(1)).unwrap_or_default();
    assert_eq!(claims[0].items.len(), 1);
    assert_eq!(store.next_due(), Some(NOW + 100));
    assert!(store.claim(&request(1)).unwrap_or_default().is_empty());
    assert_eq!(
        store.renew("queue:q:0", claims[0].record.token, NOW + 500),
        Some(0)
    );
    assert_eq!(
        store.renew("queue:q:0", claims[0].record.token + 1, NOW + 500),
        None
    );
}

#[test]
fn a_transition_without_a_record_to_change_is_a_conflict() {
    let mut store = MemoryStore::default();
    let outcome = store.apply(&transition("queue:q:0")).unwrap_or_default();
    assert_eq!(outcome.verdict, "conflict");
    assert!(store.record("queue:q:0").is_none());
}

#[test]
fn an_item_that_nobody_has_is_refused_before_anything_changes() {
    let mut store = MemoryStore::default();
    let _ = store.apply(&append("queue:q:0", &["a"]));
    let stale = Transition {
        mark: vec![Reschedule {
            item: Held {
                place: (0, 0, 99),
                id: None,
            },
            due: 0,
            attempt: 0,
            delivery: 2,
            error: None,
            blocks: true,
        }],
        release: Release::Yes,
        ..transition("queue:q:0")
    };
    let outcome = store.apply(&stale).unwrap_or_default();
    assert_eq!(outcome.verdict, "conflict");
    assert_eq!(store.next_due(), Some(NOW));
}

#[test]
fn scan_goes_on_after_the_last_one() {
    let mut store = MemoryStore::default();
    for name in ["queue:a:0", "queue:a:1", "queue:b:0"] {
        let _ = store.apply(&append(name, &["x"]));
    }
    let names = |found: Vec<&Record>| {
        found
            .iter()
            .map(|r| r.instance.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.scan("queue:a:", "", 10)),
        ["queue:a:0", "queue:a:1"]
    );
    assert_eq!(names(store.scan("queue:", "queue:a:0", 1)), ["queue:a:1"]);
}
