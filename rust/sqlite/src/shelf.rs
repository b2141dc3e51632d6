//! The rows of one instance as `apply` sees them (`durable_core::transition::Shelf` says what each
//! method means).
//!
//! What is written waits in `Pending`, until the end or a query that must see it.

use std::sync::Arc;

use durable_core::transition::Shelf;
use durable_core::transition::model::{
    DeadLetter, Held, Item, NEVER, NewItem, Place, Receipt, Record, Reschedule, Settlement,
};

use crate::error::Error;
use crate::pending::NewReceipt;
use crate::rows::{held_of, item_of, json_array, letter_of, letter_values};
use crate::sql::Sql;
use crate::statement::Value;
use crate::working::Working;

impl Shelf for Working<'_> {
    type Error = Error;

    fn exists(&self) -> bool {
        self.exists
    }

    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    fn add(&mut self) -> Result<(), Error> {
        self.ik = self.transaction.new_key()?;
        self.exists = true;
        Ok(())
    }

    fn erase(&mut self) -> Result<(), Error> {
        self.transaction.write_items()?;
        self.transaction.write_receipts()?;
        for sql in [
            Sql::DeleteReceiptsOfItems,
            Sql::DeleteLiveReceipts,
            Sql::DeleteAllItems,
            Sql::DeleteAllLetters,
        ] {
            self.change(sql, &[self.ik.into()])?;
        }
        // It goes on under another key, where nothing is stored.
        self.ik = self.transaction.new_key()?;
        #[expect(clippy::iter_over_hash_type, reason = "each is changed by itself")]
        for known in self.known.values_mut() {
            *known = None;
        }
        Ok(())
    }

    // Receipts.

    fn receipt(&mut self, id: &Arc<str>) -> Result<Option<Receipt>, Error> {
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        self.transaction.write_receipts()?;
        let receipt = self.load_receipt(id)?;
        self.known.insert(Arc::clone(id), receipt.clone());
        Ok(receipt)
    }

    fn remember(&mut self, id: &Arc<str>) -> Result<(), Error> {
        self.keep_receipt(id, (0, 0, 0), 0)
    }

    // Items.

    fn accept(&mut self, new: &NewItem, at: i64, rank: i64) -> Result<(), Error> {
        let (seq, segment) = (self.record.sequence, self.record.segment);
        let mut pending = self.transaction.pending.borrow_mut();
        pending.add_item(self.ik, new, at, rank, seq, segment);
        drop(pending);
        match &new.id {
            None => Ok(()),
            Some(id) => self.keep_receipt(id, (new.due, rank, seq), self.record.count),
        }
    }

    fn check(&self, _item: &Held) -> Result<(), Error> {
        // Nothing is half-done here: the statement that does not find its item ends the transaction.
        Ok(())
    }

    fn settle(
        &mut self,
        item: &Held,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<(), Error> {
        let mut pending = self.transaction.pending.borrow_mut();
        pending.delete_item(self.ik, item.place);
        if let Some(id) = &item.id {
            pending.settle_receipt(self.ik, id, settlement, expires_at);
            if let Some(Some(known)) = self.known.get_mut(id) {
                known.settlement = Some(settlement);
                known.expires_at = Some(expires_at);
            }
        }
        Ok(())
    }

    fn reschedule(&mut self, change: &Reschedule) -> Result<(), Error> {
        let mut pending = self.transaction.pending.borrow_mut();
        pending.move_item(self.ik, change);
        let is_moved = change.due != change.item.place.0;
        if let Some(id) = change.item.id.as_ref().filter(|_| is_moved) {
            pending.move_receipt(self.ik, id, change.due);
            if let Some(Some(known)) = self.known.get_mut(id) {
                known.due = change.due;
            }
        }
        Ok(())
    }

    fn find(&mut self, place: Place) -> Result<Option<Held>, Error> {
        self.transaction.write_items()?;
        let (due, rank, seq) = place;
        let key = [self.ik.into(), due.into(), rank.into(), seq.into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindItem, &key, held_of)
    }

    fn oldest(&mut self) -> Result<Option<Held>, Error> {
        self.transaction.write_items()?;
        let away = json_array(&self.record.taken);
        let parameters = [self.ik.into(), (&*away).into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindOldestItem, &parameters, held_of)
    }

    fn lane_rank(&mut self, lane: &Arc<str>) -> Result<Option<i64>, Error> {
        self.transaction.write_items()?;
        let key = [self.ik.into(), (&**lane).into()];
        let connection = self.transaction.connection;
        let found = connection.find(Sql::FindLaneRank, &key, |row| Ok(row.optional_int(0)))?;
        Ok(found.flatten())
    }

    fn take(&mut self, now: i64, limit: usize) -> Result<Vec<Item>, Error> {
        self.transaction.write_items()?;
        let connection = self.transaction.connection;
        let away = json_array(&self.record.taken);
        let (ik, away): (Value<'_>, Value<'_>) = (self.ik.into(), (&*away).into());
        let parameters = [ik, now.into(), away, limit_of(limit)];
        let mut items = connection.query(Sql::TakeWaitingItems, &parameters, item_of)?;
        if items.len() < limit {
            let parameters = [ik, away, limit_of(limit - items.len())];
            items.append(&mut connection.query(Sql::TakeReadyItems, &parameters, item_of)?);
        }
        Ok(items)
    }

    fn item_due(&mut self, after: i64) -> Result<Option<i64>, Error> {
        self.transaction.write_items()?;
        let parameters = [self.ik.into(), after.into(), "[]".into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindItemDue, &parameters, |row| Ok(row.int(0)))
    }

    // Segments.

    fn retire(
        &mut self,
        segment: i64,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<usize, Error> {
        self.empty((0, segment), &[], settlement, expires_at)
    }

    fn clear(&mut self, segment: i64, expires_at: i64) -> Result<usize, Error> {
        let taken = self.record.taken.clone();
        self.empty((segment, NEVER), &taken, Settlement::Cleared, expires_at)
    }

    // Dead letters.

    fn letter(&mut self, id: &Arc<str>) -> Result<Option<DeadLetter>, Error> {
        let key = [self.ik.into(), (&**id).into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindLetter, &key, letter_of)
    }

    fn keep_letter(&mut self, letter: DeadLetter) -> Result<(), Error> {
        let row = letter_values(self.transaction.nk, self.ik, &letter);
        self.change(Sql::PutLetter, &row).map(drop)
    }

    fn drop_letter(&mut self, id: &Arc<str>) -> Result<bool, Error> {
        let gone = self.change(Sql::DeleteLetter, &[self.ik.into(), (&**id).into()])?;
        Ok(gone > 0)
    }
}

impl Working<'_> {
    /// Keeps the receipt of a live event of the open segment.
    fn keep_receipt(&mut self, id: &Arc<str>, place: Place, position: i64) -> Result<(), Error> {
        let (due, rank, seq) = place;
        let segment = self.record.segment;
        if self.transaction.pending.borrow().changes_receipts() {
            // One of the same id may be about to end.
            self.transaction.write_receipts()?;
        }
        if let Some(known) = self.known.get_mut(id) {
            *known = Some(Receipt {
                id: Arc::clone(id),
                seq,
                position,
                due,
                rank,
                segment,
                settlement: None,
                expires_at: None,
            });
        }
        self.transaction
            .pending
            .borrow_mut()
            .add_receipt(NewReceipt {
                ik: self.ik,
                id: Arc::clone(id),
                place,
                position,
                segment,
            });
        Ok(())
    }

    /// Settles those of the known receipts that are live and for which `leaves` holds.
    fn settle_known(
        &mut self,
        leaves: impl Fn(&Receipt) -> bool,
        settlement: Settlement,
        expires_at: i64,
    ) {
        let known = self.known.values_mut().flatten();
        for receipt in known.filter(|known| known.expires_at.is_none() && leaves(known)) {
            receipt.settlement = Some(settlement);
            receipt.expires_at = Some(expires_at);
        }
    }

    /// Deletes the items of some segments but those that are taken, settles their receipts; how many
    /// items went.
    fn empty(
        &mut self,
        segments: (i64, i64),
        taken: &[i64],
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<usize, Error> {
        self.transaction.write_items()?;
        self.transaction.write_receipts()?;
        let (first, last) = segments;
        let away = json_array(taken);
        let away: Value<'_> = (&*away).into();
        let ik: Value<'_> = self.ik.into();
        let end = [
            settlement.as_str().into(),
            expires_at.into(),
            self.transaction.nk.into(),
            ik,
        ];
        let segments = [ik, first.into(), last.into(), away];
        let holds_loose_ones = first <= 0 && 0 <= last;
        self.change(
            Sql::SettleBatchedReceipts,
            &[&end[..], &segments[1..]].concat(),
        )?;
        if holds_loose_ones {
            self.change(Sql::SettleLooseReceipts, &[&end[..], &[away]].concat())?;
        }
        let mut count = self.change(Sql::DeleteBatchedItems, &segments)?;
        if holds_loose_ones {
            count += self.change(Sql::DeleteLooseItems, &[ik, away])?;
        }
        let leaves = |receipt: &Receipt| {
            (first..=last).contains(&receipt.segment) && !taken.contains(&receipt.seq)
        };
        self.settle_known(leaves, settlement, expires_at);
        Ok(count)
    }
}

pub(crate) fn limit_of(limit: usize) -> Value<'static> {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}
