//! The golden vectors in `tests/vectors`, which the Python tests read as well.
#![expect(
    clippy::unwrap_used,
    reason = "a vector that does not parse fails its test"
)]

use std::path::Path;

use durable_core::alarm_heap::AlarmHeap;
use durable_core::backoff::{Backoff, Growth, Jitter};
use durable_core::hash_ring;
use durable_core::ready_queue::ReadyQueue;
use durable_core::seen_set::SeenSet;

/// Gives the cells of every row to `check`, with the file and line for its messages.
fn for_each_row(name: &str, mut check: impl FnMut(&[&str], &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    for (index, line) in text.lines().enumerate() {
        if !line.starts_with('#') {
            let cells: Vec<&str> = line.split('\t').collect();
            check(&cells, &format!("{name}:{}: {line}", index + 1));
        }
    }
}

fn int(cell: &str) -> i64 {
    cell.parse().unwrap()
}

fn size(cell: &str) -> usize {
    cell.parse().unwrap()
}

fn float(cell: &str) -> f64 {
    cell.parse().unwrap()
}

fn optional(cell: &str) -> Option<&str> {
    (cell != "-").then_some(cell)
}

fn text<T: ToString>(answer: Option<T>) -> String {
    answer.map_or_else(|| "-".to_owned(), |answer| answer.to_string())
}

fn list<T: ToString>(answer: &[T]) -> String {
    let items: Vec<String> = answer.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(" "))
}

#[test]
fn hash_ring_places_every_key_where_it_always_was() {
    for_each_row("hash_ring.tsv", |row, place| match row {
        ["xxh3_64", length, hash] => {
            let data: Vec<u8> = (0..=250).cycle().take(size(length)).collect();
            let actual = format!("{:016x}", hash_ring::xxh3_64(&data));
            assert_eq!(&actual, hash, "{place}");
        }
        ["jump_hash", key, buckets, bucket] => {
            let actual = hash_ring::jump_hash(key.parse().unwrap(), int(buckets));
            assert_eq!(actual, Ok(int(bucket)), "{place}");
        }
        ["place", key, buckets, bucket] => {
            let actual = hash_ring::place(key, int(buckets));
            assert_eq!(actual, Ok(int(bucket)), "{place}");
        }
        _ => panic!("{place}"),
    });
}

#[test]
fn backoff_delays_are_what_they_always_were() {
    for_each_row("backoff.tsv", |row, place| {
        let &[
            kind,
            base,
            factor,
            increment,
            max,
            jitter,
            attempt,
            draw,
            delay,
        ] = row
        else {
            panic!("{place}");
        };
        let growth = Growth::named(kind, float(factor), int(increment)).unwrap();
        let jitter = match jitter.parse() {
            Ok(share) => Jitter::fraction(share),
            Err(_) => Jitter::named(jitter),
        };
        let policy = Backoff::new(growth, int(base), int(max), jitter.unwrap()).unwrap();
        let actual = policy.delay_ms(int(attempt), float(draw));
        assert_eq!(actual, Ok(int(delay)), "{place}");
    });
}

#[test]
fn alarm_heap_follows_its_script() {
    let mut alarms = AlarmHeap::default();
    for_each_row("alarm_heap.tsv", |row, place| {
        if row == ["new"] {
            alarms = AlarmHeap::default();
            return;
        }
        let (answer, call) = row.split_last().unwrap();
        let actual = match call {
            ["set", key, due_ms] => {
                alarms.set(key, int(due_ms));
                "-".to_owned()
            }
            ["cancel", key] => alarms.cancel(key).to_string(),
            ["get", key] => text(alarms.get(key)),
            ["peek"] => text(
                alarms
                    .peek()
                    .map(|(due_ms, key)| format!("({due_ms} {key})")),
            ),
            ["pop_due", now_ms, limit] => list(&alarms.pop_due(int(now_ms), size(limit))),
            ["len"] => alarms.len().to_string(),
            _ => panic!("{place}"),
        };
        assert_eq!(&actual, answer, "{place}");
    });
}

#[test]
fn ready_queue_follows_its_script() {
    let mut queue = ReadyQueue::default();
    for_each_row("ready_queue.tsv", |row, place| {
        if row == ["new"] {
            queue = ReadyQueue::default();
            return;
        }
        let (answer, call) = row.split_last().unwrap();
        let actual = match call {
            ["push", seq, lane, rank] => match queue.push(int(seq), optional(lane), int(rank)) {
                Ok(()) => "-".to_owned(),
                Err(_) => "ValueError".to_owned(),
            },
            ["pop"] => text(queue.pop()),
            ["done", seq] => match queue.done(int(seq)) {
                Ok(()) => "-".to_owned(),
                Err(_) => "KeyError".to_owned(),
            },
            ["evict", lane] => list(&queue.evict(lane)),
            ["remove", seq] => queue.remove(int(seq)).to_string(),
            ["waiting"] => queue.waiting().to_string(),
            ["busy"] => queue.busy().to_string(),
            _ => panic!("{place}"),
        };
        assert_eq!(&actual, answer, "{place}");
    });
}

#[test]
fn seen_set_follows_its_script() {
    let mut seen = SeenSet::default();
    for_each_row("seen_set.tsv", |row, place| {
        if let ["new", cap] = row {
            seen = SeenSet::new(optional(cap).map(size));
            return;
        }
        let (answer, call) = row.split_last().unwrap();
        let actual = match call {
            ["insert", id] => seen.insert(id).to_string(),
            ["contains", id] => seen.contains(id).to_string(),
            ["settle", id, expires_at_ms] => seen.settle(id, int(expires_at_ms)).to_string(),
            ["expires_at", id] => text(seen.expires_at(id)),
            ["forget", id] => seen.forget(id).to_string(),
            ["expire", now_ms, budget] => seen.expire(int(now_ms), size(budget)).to_string(),
            ["len"] => seen.len().to_string(),
            _ => panic!("{place}"),
        };
        assert_eq!(&actual, answer, "{place}");
    });
}
