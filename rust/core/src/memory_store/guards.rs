//! Why a transition must not apply.

use std::collections::HashSet;
use std::sync::Arc;

use super::model::{NewItem, Receipt, Record, Transition};
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
    if let Some(segment) = guard.segment {
        if record.is_none_or(|record| record.segment != segment) {
            return Some("conflict");
        }
    }
    if is_full(t, rows) {
        return Some("full");
    }
    let known = |id: &Arc<str>| rows.is_some_and(|rows| rows.receipt(id, t.at).is_some());
    t.remember.iter().any(known).then_some("duplicate")
}

/// Whether what is new among the appended items has no room.
fn is_full(t: &Transition, rows: Option<&Rows>) -> bool {
    let Some(room) = t.guard.room else {
        return false;
    };
    if t.drop_oldest || t.append.is_empty() {
        return false;
    }
    let mut ids = HashSet::new();
    let new = t
        .append
        .iter()
        .filter(|new| new.id.as_ref().is_none_or(|id| ids.insert(id)))
        .filter(|new| rows.is_none_or(|rows| known(new, rows, t.at).is_none()))
        .count();
    let held = rows.map_or(0, |rows| rows.record.count);
    new > 0 && held + i64::try_from(new).unwrap_or(i64::MAX) > room
}

/// The receipt that makes an append a duplicate.
pub(super) fn known<'a>(new: &NewItem, rows: &'a Rows, at: i64) -> Option<&'a Receipt> {
    let id = new.id.as_ref().filter(|_| !new.fresh)?;
    rows.receipt(id, at)
}
