//! The rows of one instance as `apply` sees them.

use std::sync::Arc;

use super::rows::Rows;
use crate::InvalidArgument;
use crate::transition::Shelf;
use crate::transition::model::{
    DeadLetter, Held, Item, NewItem, Place, Receipt, Record, Reschedule, Settlement,
};

impl Shelf for Rows {
    type Error = InvalidArgument;

    fn exists(&self) -> bool {
        self.is_kept
    }

    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    fn add(&mut self) -> Result<(), InvalidArgument> {
        self.is_kept = true;
        Ok(())
    }

    fn erase(&mut self) -> Result<(), InvalidArgument> {
        self.clear_all();
        Ok(())
    }

    fn receipt(&mut self, id: &Arc<str>) -> Result<Option<Receipt>, InvalidArgument> {
        Ok(self.receipts.get(id).cloned())
    }

    fn remember(&mut self, id: &Arc<str>) -> Result<(), InvalidArgument> {
        self.keep_receipt(id, (0, 0, 0), 0);
        Ok(())
    }

    fn accept(&mut self, new: &NewItem, at: i64, rank: i64) -> Result<(), InvalidArgument> {
        let record = &self.record;
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
        if let Some(id) = &new.id {
            self.keep_receipt(id, item.place(), self.record.count);
        }
        self.add_item(item);
        Ok(())
    }

    fn check(&self, item: &Held) -> Result<(), InvalidArgument> {
        match self.item(item.place) {
            Some(_) => Ok(()),
            None => Err(not_in_hand(item)),
        }
    }

    fn settle(
        &mut self,
        item: &Held,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<(), InvalidArgument> {
        self.drop_item(item.place)
            .ok_or_else(|| not_in_hand(item))?;
        if let Some(receipt) = item.id.as_ref().and_then(|id| self.receipts.get_mut(id)) {
            receipt.settlement = Some(settlement);
            receipt.expires_at = Some(expires_at);
        }
        Ok(())
    }

    fn reschedule(&mut self, change: &Reschedule) -> Result<(), InvalidArgument> {
        let item = self
            .drop_item(change.item.place)
            .ok_or_else(|| not_in_hand(&change.item))?;
        if let Some(receipt) = item.id.as_ref().and_then(|id| self.receipts.get_mut(id)) {
            receipt.due = change.due;
        }
        self.add_item(Item {
            due: change.due,
            attempt: change.attempt,
            delivery: change.delivery,
            error: change.error.clone(),
            blocks: change.blocks,
            ..item
        });
        Ok(())
    }

    fn find(&mut self, place: Place) -> Result<Option<Held>, InvalidArgument> {
        Ok(self.item(place).map(Item::held))
    }

    fn oldest(&mut self) -> Result<Option<Held>, InvalidArgument> {
        Ok(self.oldest_item().map(Item::held))
    }

    fn lane_rank(&mut self, lane: &Arc<str>) -> Result<Option<i64>, InvalidArgument> {
        Ok(self.rank_of_lane(lane))
    }

    fn take(&mut self, now: i64, limit: usize) -> Result<Vec<Item>, InvalidArgument> {
        Ok(self.next_items(now, limit))
    }

    fn item_due(&mut self, after: i64) -> Result<Option<i64>, InvalidArgument> {
        Ok(self.due_after(after))
    }

    fn retire(
        &mut self,
        segment: i64,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<usize, InvalidArgument> {
        let gone = self.drop_items(|item| item.segment <= segment);
        self.expire(|receipt| receipt.segment <= segment, settlement, expires_at);
        Ok(gone)
    }

    fn clear(&mut self, segment: i64, expires_at: i64) -> Result<usize, InvalidArgument> {
        let taken = self.record.taken.clone();
        let is_free = |of: i64, seq: i64| of >= segment && !taken.contains(&seq);
        let gone = self.drop_items(|item| is_free(item.segment, item.seq));
        self.expire(
            |receipt| is_free(receipt.segment, receipt.seq),
            Settlement::Cleared,
            expires_at,
        );
        Ok(gone)
    }

    fn letter(&mut self, id: &Arc<str>) -> Result<Option<DeadLetter>, InvalidArgument> {
        Ok(self.letters.get(id).cloned())
    }

    fn keep_letter(&mut self, letter: DeadLetter) -> Result<(), InvalidArgument> {
        self.letters.insert(Arc::clone(&letter.id), letter);
        Ok(())
    }

    fn drop_letter(&mut self, id: &Arc<str>) -> Result<bool, InvalidArgument> {
        Ok(self.letters.remove(id).is_some())
    }
}

impl Rows {
    /// Keeps the receipt of a live event of the open segment.
    fn keep_receipt(&mut self, id: &Arc<str>, place: Place, position: i64) {
        let (due, rank, seq) = place;
        let receipt = Receipt {
            id: Arc::clone(id),
            seq,
            position,
            due,
            rank,
            segment: self.record.segment,
            settlement: None,
            expires_at: None,
        };
        self.receipts.insert(Arc::clone(id), receipt);
    }

    fn expire(
        &mut self,
        leaves: impl Fn(&Receipt) -> bool,
        settlement: Settlement,
        expires_at: i64,
    ) {
        for receipt in self.receipts.values_mut() {
            if receipt.expires_at.is_none() && leaves(receipt) {
                receipt.settlement = Some(settlement);
                receipt.expires_at = Some(expires_at);
            }
        }
    }
}

fn not_in_hand(item: &Held) -> InvalidArgument {
    InvalidArgument::new("item", "one that the owner has in hand", item.place)
}
