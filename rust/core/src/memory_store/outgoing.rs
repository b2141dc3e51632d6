//! Items that leave, wait again, or become dead letters, and dead letters that come back.

use std::sync::Arc;

use super::change::Change;
use super::model::{
    Burial, DeadLetter, Item, NewItem, Place, Receipt, Removal, TOMBSTONE_MS, WINDOW_DUE,
};

impl Change<'_> {
    // What the owner says about the items in its hands.

    pub(super) fn settle_taken(&mut self) {
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
        }
    }

    pub(super) fn settle(
        &mut self,
        place: Place,
        settlement: &Arc<str>,
        expires_at: i64,
    ) -> Option<Item> {
        let item = self.rows.drop_item(place)?;
        self.rows.record.count -= 1;
        self.rows.record.cancels.retain(|&seq| seq != item.seq);
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

    pub(super) fn rarely(&mut self) {
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
            if clear.segment <= self.rows.record.segment {
                self.rows.record.segment_count = 0;
                self.rows.record.dues.remove(WINDOW_DUE);
            }
            self.expire(
                |receipt| free(receipt.segment, receipt.seq),
                &"cleared".into(),
                clear.expires_at,
            );
        }
        if t.retire.is_some() || t.clear.is_some() {
            let record = &mut self.rows.record;
            record.cancels.retain(|seq| record.taken.contains(seq));
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
        let over = |letter: &DeadLetter| letter.expires_at <= self.t.at;
        if self.rows.letters.get(id).is_none_or(over) {
            return;
        }
        let Some(letter) = self.rows.letters.remove(id) else {
            return;
        };
        let new = NewItem {
            id: Some(Arc::clone(id)),
            payload: letter.payload,
            lane: letter.lane,
            // Due from now on: how long it was dead does not make it late.
            due: self.t.at,
            rank: letter.rank,
            fresh: false,
            blocks: true,
        };
        self.add(&new, letter.at);
        self.outcome.cleared += 1;
    }

    fn cancel(&mut self, id: &Arc<str>) -> &'static str {
        let Some(receipt) = self.rows.receipt(id, self.t.at) else {
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
