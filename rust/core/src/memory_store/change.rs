//! What a transition does: the twin of `durable_primitives.kernel.apply`, word for word.

use std::sync::Arc;

use super::model::{
    Accepted, FLUSH_DUE, How, ITEMS_DUE, Item, NEVER, NewItem, Outcome, Place, Receipt, Record,
    Release, TERMINATED, TOMBSTONE_MS, Transition, WINDOW_DUE,
};
use super::model::{Burial, DeadLetter, Removal};
use super::rows::Rows;
use crate::InvalidArgument;

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

fn is_duplicate(new: &NewItem, rows: &Rows) -> bool {
    !new.fresh
        && new
            .id
            .as_ref()
            .is_some_and(|id| rows.receipts.contains_key(id))
}

/// A new record, or a tombstone brought to a new life: the generation that `erase` raised is kept.
pub(super) fn open(t: &Transition, record: &mut Record) {
    record.created_at = t.at;
    record.purge_at = None;
    if let Some(create) = &t.create {
        record.status = Arc::clone(&create.status);
        record.data = Arc::clone(&create.data);
        record.segment = create.segment;
        record.linger_ms = create.linger_ms;
    }
}

/// The parts of one transition, applied to the rows of one instance.
pub(super) struct Change<'a> {
    t: &'a Transition,
    rows: &'a mut Rows,
    outcome: Outcome,
}

impl<'a> Change<'a> {
    pub(super) fn new(t: &'a Transition, rows: &'a mut Rows, created: bool) -> Self {
        let outcome = Outcome {
            verdict: "applied",
            created,
            ..Outcome::default()
        };
        Self { t, rows, outcome }
    }

    pub(super) fn run(mut self) -> Result<Outcome, InvalidArgument> {
        self.check_places()?;
        self.change();
        let t = self.t;
        let record = &mut self.rows.record;
        record.updated_at = t.at;
        refresh_purge(record, t.at);
        let shows_dues = !t.dues.is_empty() || t.batching.is_some() || t.seal;
        Ok(Outcome {
            version: record.version,
            generation: record.generation,
            count: record.count,
            cancels: record.cancels.clone(),
            held: record.held,
            dues: shows_dues.then(|| record.dues.clone()),
            ..self.outcome
        })
    }

    /// Items that the owner speaks of must be there: it holds the lease.
    fn check_places(&self) -> Result<(), InvalidArgument> {
        let t = self.t;
        let places = (t.remove.iter().map(|change| change.place))
            .chain(t.reschedule.iter().map(|change| change.place))
            .chain(t.mark.iter().map(|&(place, _)| place))
            .chain(t.bury.iter().filter_map(|burial| burial.place));
        for place in places {
            if !t.erase && !self.rows.has_item(place) {
                return Err(InvalidArgument::new(
                    "item",
                    "one that the owner has in hand",
                    place,
                ));
            }
        }
        Ok(())
    }

    fn change(&mut self) {
        let t = self.t;
        if t.erase {
            self.erase();
        }
        self.put();
        for id in &t.remember {
            let segment = self.rows.record.segment;
            self.keep_receipt(Receipt {
                segment,
                ..receipt(id, 0, 0)
            });
        }
        self.settle_taken();
        self.rarely();
        self.append();
        if t.seal && self.rows.record.segment_count > 0 {
            self.seal();
        }
        if t.append.is_empty()
            || self
                .outcome
                .accepted
                .iter()
                .any(|accepted| !accepted.duplicate)
        {
            self.change_dues();
        }
        if t.progress {
            self.rows.record.deliveries = 1;
        }
        if t.take > 0 && !self.rows.record.held {
            self.outcome.items = self.rows.take(t.at, t.take);
            self.rows
                .record
                .taken
                .extend(self.outcome.items.iter().map(|item| item.seq));
        }
        if t.release == Release::Yes
            || (t.release == Release::Idle && self.rows.record.taken.is_empty())
        {
            self.release();
        }
    }

    fn erase(&mut self) {
        self.rows.erase();
        let record = &mut self.rows.record;
        record.status = TERMINATED.into();
        record.data = Arc::default();
        record.held = false;
        record.linger_ms = Some(TOMBSTONE_MS);
        record.dues.clear();
        record.owner = None;
        record.taken.clear();
        record.cancels.clear();
        record.count = 0;
        record.segment_count = 0;
        record.deliveries = 0;
        record.finished = 0;
        record.version += 1;
        record.generation += 1;
    }

    fn put(&mut self) {
        if let Some(put) = &self.t.put {
            let record = &mut self.rows.record;
            record.status = Arc::clone(&put.status);
            record.data = Arc::clone(&put.data);
            record.held = put.held;
            record.linger_ms = put.linger_ms;
            record.version += 1;
        }
    }

    // What the owner says about the items in its hands.

    fn settle_taken(&mut self) {
        let t = self.t;
        let mut left = t.give_back.clone();
        for Removal {
            place,
            settlement,
            expires_at,
        } in &t.remove
        {
            self.settle(*place, settlement, *expires_at);
            left.push(place.2);
        }
        for burial in &t.bury {
            let item = burial.place.and_then(|place| {
                left.push(place.2);
                self.settle(place, &"dead".into(), burial.expires_at)
            });
            let letter = letter(burial, item.as_ref(), t.at);
            self.rows.letters.insert(Arc::clone(&letter.id), letter);
        }
        for change in &t.reschedule {
            self.relocate(change.place, |item| Item {
                due: change.due,
                attempt: change.attempt,
                delivery: change.delivery,
                error: change.error.clone(),
                blocks: change.blocks,
                ..item
            });
            self.arm(change.due);
            left.push(change.place.2);
        }
        for &(place, delivery) in &t.mark {
            self.relocate(place, |item| Item { delivery, ..item });
        }
        if !left.is_empty() {
            let record = &mut self.rows.record;
            record.taken.retain(|seq| !left.contains(seq));
            record.cancels.retain(|seq| !left.contains(seq));
        }
    }

    fn settle(&mut self, place: Place, settlement: &Arc<str>, expires_at: i64) -> Option<Item> {
        let item = self.rows.drop_item(place)?;
        self.rows.record.count -= 1;
        if &**settlement == "done" {
            self.rows.record.finished += 1;
        }
        if let Some(receipt) = item
            .id
            .as_ref()
            .and_then(|id| self.rows.receipts.get_mut(id))
        {
            receipt.settlement = Some(Arc::clone(settlement));
            receipt.expires_at = Some(expires_at);
        }
        Some(item)
    }

    fn relocate(&mut self, place: Place, changed: impl FnOnce(Item) -> Item) {
        let Some(item) = self.rows.drop_item(place) else {
            return;
        };
        let moved = changed(item);
        if let Some(receipt) = moved
            .id
            .as_ref()
            .and_then(|id| self.rows.receipts.get_mut(id))
        {
            receipt.due = moved.due;
        }
        self.rows.add_item(moved);
    }

    // Rare words.

    fn rarely(&mut self) {
        let t = self.t;
        for id in &t.redrive {
            self.redrive(id);
        }
        for id in &t.discard {
            self.outcome.cleared += usize::from(self.rows.letters.remove(id).is_some());
        }
        if let Some(retire) = &t.retire {
            let gone = self.rows.drop_items(|item| item.segment <= retire.segment);
            self.lower_count(gone);
            let leaves = |receipt: &Receipt| receipt.segment <= retire.segment;
            self.expire(leaves, &retire.settlement, retire.expires_at);
        }
        if let Some(clear) = t.clear {
            let taken = self.rows.record.taken.clone();
            let free = |segment: i64, seq: i64| segment >= clear.segment && !taken.contains(&seq);
            let gone = self.rows.drop_items(|item| free(item.segment, item.seq));
            self.lower_count(gone);
            self.outcome.cleared += gone;
            self.rows.record.segment_count = 0;
            self.expire(
                |receipt| free(receipt.segment, receipt.seq),
                &"cleared".into(),
                clear.expires_at,
            );
        }
        for id in &t.cancel {
            let answer = self.cancel(id);
            self.outcome.cancelled.push(answer);
        }
    }

    fn lower_count(&mut self, gone: usize) {
        self.rows.record.count -= i64::try_from(gone).unwrap_or(i64::MAX);
    }

    fn expire(
        &mut self,
        leaves: impl Fn(&Receipt) -> bool,
        settlement: &Arc<str>,
        expires_at: i64,
    ) {
        for receipt in self.rows.receipts.values_mut() {
            if receipt.expires_at.is_none() && leaves(receipt) {
                receipt.settlement = Some(Arc::clone(settlement));
                receipt.expires_at = Some(expires_at);
            }
        }
    }

    fn redrive(&mut self, id: &Arc<str>) {
        let Some(letter) = self.rows.letters.remove(id) else {
            return;
        };
        let new = NewItem {
            id: Some(Arc::clone(id)),
            payload: letter.payload,
            lane: letter.lane,
            due: 0,
            rank: letter.rank,
            fresh: false,
            blocks: true,
        };
        self.add(&new, letter.at);
        self.outcome.cleared += 1;
    }

    fn cancel(&mut self, id: &Arc<str>) -> &'static str {
        let Some(receipt) = self.rows.receipts.get(id) else {
            return "not_found";
        };
        match receipt.settlement.as_deref() {
            Some("cancelled") => return "cancelled",
            Some(_) => return "done",
            None => {}
        }
        let place = (receipt.due, receipt.rank, receipt.seq);
        let record = &mut self.rows.record;
        if record.taken.contains(&place.2) {
            if !record.cancels.contains(&place.2) {
                record.cancels.push(place.2);
            }
            return "running";
        }
        let expires_at = self.t.at
            + record
                .linger_ms
                .filter(|&ms| ms != 0)
                .unwrap_or(TOMBSTONE_MS);
        match self.settle(place, &"cancelled".into(), expires_at) {
            Some(_) => "cancelled",
            None => "not_found",
        }
    }

    // Items coming in.

    fn append(&mut self) {
        let t = self.t;
        let room = if t.drop_oldest { t.guard.room } else { None };
        for new in &t.append {
            if is_duplicate(new, self.rows) {
                let segment_count = self.rows.record.segment_count;
                if let Some(known) = new.id.as_ref().and_then(|id| self.rows.receipts.get(id)) {
                    self.outcome.accepted.push(Accepted {
                        seq: known.seq,
                        position: known.position,
                        segment: known.segment,
                        segment_count,
                        duplicate: true,
                    });
                }
                continue;
            }
            if room.is_some_and(|room| self.rows.record.count >= room) {
                self.drop_oldest();
            }
            self.append_one(new);
        }
    }

    fn append_one(&mut self, new: &NewItem) {
        let t = self.t;
        self.add(new, t.at);
        let record = &mut self.rows.record;
        record.segment_count += 1;
        record.segment_last_at = t.at;
        if record.segment_count == 1 {
            record.segment_first_at = t.at;
            if let Some(window_ms) = t.batching.and_then(|batching| batching.window_ms) {
                record.dues.insert(WINDOW_DUE.into(), t.at + window_ms);
            }
        }
        self.outcome.accepted.push(Accepted {
            seq: record.sequence,
            position: record.count,
            segment: record.segment,
            segment_count: record.segment_count,
            duplicate: false,
        });
        let limit = t.batching.and_then(|batching| batching.max_items);
        if limit.is_some_and(|limit| record.segment_count >= limit) {
            self.seal();
        }
    }

    fn add(&mut self, new: &NewItem, at: i64) {
        let before = match &new.lane {
            // A priority never breaks the order of a lane.
            Some(lane) if new.rank != 0 => self.rows.lane_rank(lane),
            _ => None,
        };
        let rank = before.map_or(new.rank, |before| before.max(new.rank));
        let record = &mut self.rows.record;
        record.sequence += 1;
        record.count += 1;
        let item = Item {
            seq: record.sequence,
            id: new.id.clone(),
            payload: Arc::clone(&new.payload),
            at,
            lane: new.lane.clone(),
            due: new.due,
            rank,
            segment: record.segment,
            attempt: 0,
            delivery: 0,
            error: None,
            blocks: new.blocks,
        };
        let position = record.count;
        if let Some(id) = &new.id {
            self.keep_receipt(Receipt {
                due: item.due,
                rank,
                segment: item.segment,
                ..receipt(id, item.seq, position)
            });
        }
        self.rows.add_item(item);
        self.arm(new.due);
    }

    fn keep_receipt(&mut self, receipt: Receipt) {
        self.rows.receipts.insert(Arc::clone(&receipt.id), receipt);
    }

    fn drop_oldest(&mut self) {
        let linger = self
            .rows
            .record
            .linger_ms
            .filter(|&ms| ms != 0)
            .unwrap_or(TOMBSTONE_MS);
        for item in self.rows.take(NEVER - 1, 1) {
            self.settle(item.place(), &"cleared".into(), self.t.at + linger);
            self.outcome.cleared += 1;
        }
    }

    fn arm(&mut self, due: i64) {
        if due < NEVER {
            let at = due.max(self.t.at);
            let dues = &mut self.rows.record.dues;
            let nearest = dues.entry(ITEMS_DUE.into()).or_insert(at);
            *nearest = at.min(*nearest);
        }
    }

    fn seal(&mut self) {
        let at = self.t.at;
        let record = &mut self.rows.record;
        record.segment += 1;
        record.segment_count = 0;
        record.dues.remove(WINDOW_DUE);
        let flush = record.dues.entry(FLUSH_DUE.into()).or_insert(at);
        *flush = at.min(*flush);
    }

    // Dues and leases.

    fn change_dues(&mut self) {
        let dues = &mut self.rows.record.dues;
        for due in &self.t.dues {
            match (due.how, dues.get_mut(&due.name)) {
                (How::Clear, _) => {
                    dues.remove(&due.name);
                }
                (How::SetIfUnset, Some(_)) => {}
                (How::Earlier, Some(at)) => *at = due.at.min(*at),
                (How::Set | How::SetIfUnset | How::Earlier, _) => {
                    dues.insert(Arc::clone(&due.name), due.at);
                }
            }
        }
    }

    fn release(&mut self) {
        let t = self.t;
        let record = &mut self.rows.record;
        // After an idle take nothing is ready: the next chance comes with the first item that waits.
        let was_idle = t.release == Release::Idle && t.take > 0 && !record.held;
        let after = if was_idle { t.at } else { -1 };
        record.owner = None;
        record.taken.clear();
        record.cancels.clear();
        record.deliveries = 0;
        let due = if record.count > 0 {
            self.rows.item_due(after)
        } else {
            None
        };
        let dues = &mut self.rows.record.dues;
        match due {
            Some(due) => dues.insert(ITEMS_DUE.into(), due.max(t.at)),
            None => dues.remove(ITEMS_DUE),
        };
        self.outcome.released = true;
    }
}

/// Whether, and when, the record itself may go.
fn refresh_purge(record: &mut Record, now: i64) {
    let idle =
        record.owner.is_none() && !record.held && record.dues.is_empty() && record.count == 0;
    record.purge_at = match record.linger_ms {
        Some(linger_ms) if idle => record.purge_at.or(Some(now + linger_ms)),
        _ => None,
    };
}

fn receipt(id: &Arc<str>, seq: i64, position: i64) -> Receipt {
    Receipt {
        id: Arc::clone(id),
        seq,
        position,
        due: 0,
        rank: 0,
        segment: 0,
        settlement: None,
        expires_at: None,
    }
}

fn letter(burial: &Burial, item: Option<&Item>, at: i64) -> DeadLetter {
    DeadLetter {
        id: Arc::clone(&burial.id),
        payload: Arc::clone(&burial.payload),
        lane: item.and_then(|item| item.lane.clone()),
        rank: item.map_or(0, |item| item.rank),
        at: item.map_or(at, |item| item.at),
        failed_at: at,
        attempts: burial.attempts,
        error: Arc::clone(&burial.error),
        count: burial.count,
        expires_at: burial.expires_at,
    }
}
