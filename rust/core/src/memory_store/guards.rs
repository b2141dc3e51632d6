//! Why a transition must not apply.

use std::sync::Arc;

use super::model::{NewItem, Record, Transition};
use super::rows::Rows;

/// Why a transition must not apply.
pub(super) fn refusal(t: &Transition, rows: Option<&Rows>) -> Option<&'static str> {
    let record = rows.map(|rows| &rows.record);
    let guard = &t.guard;
    if let Some(token) = guard.token {
        if record.is_none_or(|record| record.owner.is_none() || record.token != token) {
            return Some("fenced");
        }
    }
    if let Some(generation) = guard.generation {
        if record.is_none_or(|record| record.generation != generation) {
            return Some("fenced");
        }
    }
    if guard
        .exists
        .is_some_and(|exists| exists != record.is_some_and(Record::is_live))
    {
        return Some("conflict");
    }
    if let Some(version) = guard.version {
        if record.is_none_or(|record| record.version != version) {
            return Some("conflict");
        }
    }
    if is_full(t, rows) {
        return Some("full");
    }
    let known = |id: &Arc<str>| rows.is_some_and(|rows| rows.receipts.contains_key(id));
    t.remember.iter().any(known).then_some("duplicate")
}

fn is_full(t: &Transition, rows: Option<&Rows>) -> bool {
    let Some(room) = t.guard.room else {
        return false;
    };
    let new = i64::try_from(t.append.len()).unwrap_or(i64::MAX);
    match rows {
        None => new > room,
        Some(_) if t.drop_oldest => false,
        Some(rows) => {
            let over = rows.record.count + new - room;
            let duplicates = t
                .append
                .iter()
                .filter(|new| is_duplicate(new, rows))
                .count();
            over > 0 && over > i64::try_from(duplicates).unwrap_or(i64::MAX)
        }
    }
}

pub(super) fn is_duplicate(new: &NewItem, rows: &Rows) -> bool {
    !new.fresh
        && new
            .id
            .as_ref()
            .is_some_and(|id| rows.receipts.contains_key(id))
}
