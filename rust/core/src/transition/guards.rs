//! Why a transition must not apply.

use std::collections::HashSet;

use super::model::{Held, NewItem, Receipt, Record, Transition};
use super::shelf::Shelf;

/// Why a transition must not apply.
pub(super) fn refusal<S: Shelf>(
    t: &Transition,
    shelf: &mut S,
) -> Result<Option<&'static str>, S::Error> {
    let verdict = guard_refusal(t, shelf.exists().then(|| shelf.record()));
    if verdict.is_some() {
        return Ok(verdict);
    }
    if is_full(t, shelf)? {
        return Ok(Some("full"));
    }
    if shelf.exists() {
        for id in &t.remember {
            if valid(shelf.receipt(id)?, t.at).is_some() {
                return Ok(Some("duplicate"));
            }
        }
    }
    if !is_in_hand(t, shelf.record()) {
        return Ok(Some("conflict"));
    }
    named(t).try_for_each(|item| shelf.check(item))?;
    Ok(None)
}

/// The items that the owner speaks of, but for those that it only gives back.
fn named(t: &Transition) -> impl Iterator<Item = &Held> {
    (t.remove.iter().map(|removal| &removal.item))
        .chain(t.reschedule.iter().map(|change| &change.item))
        .chain(t.mark.iter().map(|change| &change.item))
        .chain(t.bury.iter().filter_map(|burial| burial.item.as_ref()))
}

/// Whether every item that the owner speaks of is in its hands, and spoken of once: half of it
/// would be wrong.
fn is_in_hand(t: &Transition, record: &Record) -> bool {
    let mut seqs: Vec<i64> = named(t).map(Held::seq).collect();
    seqs.extend(&t.give_back);
    if seqs.is_empty() {
        return true;
    }
    seqs.sort_unstable();
    let mut taken = record.taken.clone();
    taken.sort_unstable();
    let is_taken = |seq: &i64| taken.binary_search(seq).is_ok();
    let is_twice = seqs.windows(2).any(|pair| pair[0] == pair[1]);
    !t.erase && !is_twice && seqs.iter().all(is_taken)
}

fn guard_refusal(t: &Transition, record: Option<&Record>) -> Option<&'static str> {
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
    None
}

/// Whether what is new among the appended items has no room.
fn is_full<S: Shelf>(t: &Transition, shelf: &mut S) -> Result<bool, S::Error> {
    let Some(room) = t.guard.room else {
        return Ok(false);
    };
    if t.drop_oldest || t.append.is_empty() {
        return Ok(false);
    }
    let mut ids = HashSet::new();
    let mut new = 0;
    for item in &t.append {
        let is_first = item.id.as_ref().is_none_or(|id| ids.insert(id));
        if is_first && known(item, shelf, t.at)?.is_none() {
            new += 1;
        }
    }
    Ok(new > 0 && shelf.record().count + new > room)
}

/// The receipt that makes an append a duplicate.
pub(super) fn known<S: Shelf>(
    new: &NewItem,
    shelf: &mut S,
    at: i64,
) -> Result<Option<Receipt>, S::Error> {
    match &new.id {
        Some(id) if !new.fresh && shelf.exists() => Ok(valid(shelf.receipt(id)?, at)),
        _ => Ok(None),
    }
}

/// A receipt whose window is over counts for nothing, swept or not.
pub(super) fn valid(receipt: Option<Receipt>, at: i64) -> Option<Receipt> {
    receipt.filter(|receipt| receipt.expires_at.is_none_or(|end| end > at))
}
