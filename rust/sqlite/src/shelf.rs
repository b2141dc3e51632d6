//! The rows of one instance as `apply` sees them (`durable_core::transition::Shelf` says what each
//! method means).
//!
//! Rows are written at once, so a query sees the truth.  What the Python writer gathers, to take the
//! interpreter lock back less often, would save nothing here: a row costs the same alone.

use std::sync::Arc;

use durable_core::transition::Shelf;
use durable_core::transition::model::{
    DeadLetter, Held, Item, NEVER, NewItem, Place, Receipt, Record, Reschedule, Settlement,
};

use crate::error::Error;
use crate::rows::{
    held_of, is_plain, is_ready, item_of, json_array, letter_of, letter_values, receipt_of,
};
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
        Ok(())
    }

    // Receipts.

    fn receipt(&mut self, id: &Arc<str>) -> Result<Option<Receipt>, Error> {
        let key = [self.ik.into(), (&**id).into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindReceipt, &key, receipt_of)
    }

    fn remember(&mut self, id: &Arc<str>) -> Result<(), Error> {
        self.put_receipt(id, (0, 0, 0), 0)
    }

    // Items.

    fn accept(&mut self, new: &NewItem, at: i64, rank: i64) -> Result<(), Error> {
        let (ik, seq) = (self.ik, self.record.sequence);
        let (segment, position) = (self.record.segment, self.record.count);
        self.add_item(new, at, rank)?;
        match &new.id {
            None => Ok(()),
            Some(id) if is_plain(new, rank, segment) => {
                let row = [(&**id).into(), ik.into(), seq.into(), position.into()];
                self.change(Sql::InsertReceipts, &row).map(drop)
            }
            Some(id) => self.put_receipt(id, (new.due, rank, seq), position),
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
        let (ik, (due, rank, seq)) = (self.ik, item.place);
        let run = [ik.into(), due.into(), rank.into(), seq.into(), seq.into()];
        self.change_item(Sql::DeleteItems, &run, item)?;
        if let Some(id) = &item.id {
            let nk = self.transaction.nk;
            let end = [
                settlement.as_str().into(),
                expires_at.into(),
                nk.into(),
                ik.into(),
                (&**id).into(),
            ];
            self.change(Sql::SettleReceipt, &end)?;
        }
        Ok(())
    }

    fn reschedule(&mut self, change: &Reschedule) -> Result<(), Error> {
        let (ik, (due, rank, seq)) = (self.ik, change.item.place);
        let row = [
            change.due.into(),
            change.attempt.into(),
            change.delivery.into(),
            change.error.as_deref().into(),
            i64::from(change.blocks).into(),
            ik.into(),
            due.into(),
            rank.into(),
            seq.into(),
        ];
        self.change_item(Sql::MoveItem, &row, &change.item)?;
        match &change.item.id {
            Some(id) if change.due != due => {
                let row = [change.due.into(), ik.into(), (&**id).into()];
                self.change(Sql::MoveReceipt, &row).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn find(&mut self, place: Place) -> Result<Option<Held>, Error> {
        let (due, rank, seq) = place;
        let key = [self.ik.into(), due.into(), rank.into(), seq.into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindItem, &key, held_of)
    }

    fn oldest(&mut self) -> Result<Option<Held>, Error> {
        let away = json_array(&self.record.taken);
        let parameters = [self.ik.into(), (&*away).into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindOldestItem, &parameters, held_of)
    }

    fn lane_rank(&mut self, lane: &Arc<str>) -> Result<Option<i64>, Error> {
        let key = [self.ik.into(), (&**lane).into()];
        let connection = self.transaction.connection;
        let found = connection.find(Sql::FindLaneRank, &key, |row| Ok(row.optional_int(0)))?;
        Ok(found.flatten())
    }

    fn take(&mut self, now: i64, limit: usize) -> Result<Vec<Item>, Error> {
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
        let segments = (segment, NEVER);
        self.empty(
            segments,
            &self.record.taken,
            Settlement::Cleared,
            expires_at,
        )
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
    fn add_item(&self, new: &NewItem, at: i64, rank: i64) -> Result<(), Error> {
        let (seq, segment) = (self.record.sequence, self.record.segment);
        let id = new.id.as_deref().into();
        let payload = (&*new.payload).into();
        if is_ready(new, rank, segment) {
            let row = [self.ik.into(), seq.into(), id, payload, at.into()];
            return self.change(Sql::InsertReadyItems, &row).map(drop);
        }
        let row = [
            self.ik.into(),
            seq.into(),
            id,
            payload,
            at.into(),
            new.lane.as_deref().into(),
            new.due.into(),
            rank.into(),
            segment.into(),
            i64::from(new.blocks).into(),
        ];
        self.change(Sql::InsertItems, &row).map(drop)
    }

    fn put_receipt(&self, id: &str, place: Place, position: i64) -> Result<(), Error> {
        let (due, rank, seq) = place;
        let row = [
            self.ik.into(),
            id.into(),
            seq.into(),
            position.into(),
            due.into(),
            rank.into(),
            self.record.segment.into(),
        ];
        self.change(Sql::InsertOtherReceipts, &row).map(drop)
    }

    /// Changes an item that must be there.
    fn change_item(&self, sql: Sql, parameters: &[Value<'_>], item: &Held) -> Result<(), Error> {
        match self.change(sql, parameters)? {
            1 => Ok(()),
            _ => Err(Error::NoItem(item.place)),
        }
    }

    /// Deletes the items of some segments but those that are taken, settles their receipts; how many
    /// items went.
    fn empty(
        &self,
        segments: (i64, i64),
        taken: &[i64],
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<usize, Error> {
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
        Ok(count)
    }
}

pub(crate) fn limit_of(limit: usize) -> Value<'static> {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}
