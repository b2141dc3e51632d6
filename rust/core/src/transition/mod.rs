//! What a transition does, once: the twin of `durable_primitives.kernel.apply`, word for word.
//!
//! `apply` and `claim` are pure logic over a `Shelf`, the view that a store gives of one instance.

mod change;
mod guards;
mod incoming;
pub mod model;
mod outgoing;
mod shelf;

pub use shelf::Shelf;

use std::sync::Arc;

use change::{Change, erase, open};
use guards::refusal;
use model::{Claim, ClaimRequest, Outcome, Record, Transition};

/// Checks the guards, then does every part in order.  Nothing is changed unless the verdict is
/// `applied`.
///
/// # Errors
/// What the shelf cannot do.  The store must then put everything back as it was.
pub fn apply<S: Shelf>(t: &Transition, shelf: &mut S) -> Result<Outcome, S::Error> {
    if let Some(verdict) = refusal(t, shelf)? {
        return Ok(refused(verdict));
    }
    let opens = t.create.is_some() || t.put.is_some();
    let live = shelf.exists() && shelf.record().is_live();
    if !live && !opens {
        return Ok(refused("conflict"));
    }
    let ends = live && t.erase;
    if ends {
        erase(shelf)?;
    }
    if !shelf.exists() {
        shelf.add()?;
    }
    let created = opens && (!live || ends);
    if created {
        open(t, shelf.record_mut());
    }
    Change::new(t, shelf, created).run()
}

fn refused(verdict: &'static str) -> Outcome {
    Outcome {
        verdict,
        ..Outcome::default()
    }
}

/// Gives the lease of a due instance to `request.owner`, with a new fencing token and its first
/// items. The token is the time, or one more than the last: so it rises also where a purge forgot
/// the last one.
///
/// # Errors
/// What the shelf cannot do.
pub fn claim<S: Shelf>(request: &ClaimRequest, shelf: &mut S) -> Result<Claim, S::Error> {
    let record = shelf.record_mut();
    let suspects = std::mem::take(&mut record.taken);
    record.token = request.at.max(record.token + 1);
    record.owner = Some(Arc::clone(&request.owner));
    record.lease_until = request.at + request.lease_ms;
    record.deliveries += 1;
    record.purge_at = None;
    let items = if request.take > 0 && record.count > 0 && !record.held {
        shelf.take(request.at, request.take)?
    } else {
        Vec::new()
    };
    let record = shelf.record_mut();
    record.taken = items.iter().map(|item| item.seq).collect();
    Ok(Claim {
        record: record.clone(),
        items,
        suspects,
    })
}

/// Extends a lease that its token still holds; the record's version, or None.
pub fn renew(record: &mut Record, token: i64, until: i64) -> Option<i64> {
    if record.owner.is_none() || record.token != token {
        return None;
    }
    record.lease_until = until;
    Some(record.version)
}
