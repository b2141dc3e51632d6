//! What a transaction has yet to write: rows, gathered so that they leave in few statements.
//!
//! A statement opens the trees of its table and finds its place in each; for the next row of the
//! same statement it is already there.  That is half of what a small row costs.

use std::sync::Arc;

use durable_core::transition::model::{NewItem, Place, Reschedule, Settlement};

use crate::connection::Connection;
use crate::error::Error;
use crate::sql::Sql;
use crate::statement::Value;

/// An item that is new.
struct NewRow {
    ik: i64,
    new: NewItem,
    at: i64,
    rank: i64,
    seq: i64,
    segment: i64,
}

/// A receipt that is new.
pub(crate) struct NewReceipt {
    pub(crate) ik: i64,
    pub(crate) id: Arc<str>,
    pub(crate) place: Place,
    pub(crate) position: i64,
    pub(crate) segment: i64,
}

/// Receipts that end in the same way at the same time.
struct Settled {
    ik: i64,
    settlement: Settlement,
    expires_at: i64,
    ids: Vec<Arc<str>>,
}

/// Items and receipts on their way into the store.
#[derive(Default)]
pub(crate) struct Pending {
    ready_items: Vec<NewRow>,
    other_items: Vec<NewRow>,
    moved_items: Vec<(i64, Reschedule)>,
    gone_items: Vec<(i64, Place)>,
    plain_receipts: Vec<NewReceipt>,
    other_receipts: Vec<NewReceipt>,
    moved_receipts: Vec<(i64, Arc<str>, i64)>,
    settled: Vec<Settled>,
}

// Gathering.

impl Pending {
    pub(crate) fn add_item(
        &mut self,
        ik: i64,
        new: &NewItem,
        at: i64,
        rank: i64,
        seq: i64,
        segment: i64,
    ) {
        let is_plain = new.due == 0 && rank == 0 && segment == 0;
        let rows = if is_plain && new.lane.is_none() && new.blocks {
            &mut self.ready_items
        } else {
            &mut self.other_items
        };
        rows.push(NewRow {
            ik,
            new: new.clone(),
            at,
            rank,
            seq,
            segment,
        });
    }

    /// Adds a receipt.  One of the same id that is only now being settled must be there before.
    pub(crate) fn add_receipt(&mut self, receipt: NewReceipt) {
        let (due, rank, seq) = receipt.place;
        if due == 0 && rank == 0 && receipt.segment == 0 && seq > 0 {
            self.plain_receipts.push(receipt);
        } else {
            self.other_receipts.push(receipt);
        }
    }

    pub(crate) fn move_item(&mut self, ik: i64, change: &Reschedule) {
        self.moved_items.push((ik, change.clone()));
    }

    pub(crate) fn move_receipt(&mut self, ik: i64, id: &Arc<str>, due: i64) {
        self.moved_receipts.push((ik, Arc::clone(id), due));
    }

    pub(crate) fn delete_item(&mut self, ik: i64, place: Place) {
        self.gone_items.push((ik, place));
    }

    pub(crate) fn settle_receipt(
        &mut self,
        ik: i64,
        id: &Arc<str>,
        settlement: Settlement,
        expires_at: i64,
    ) {
        let end = (ik, settlement, expires_at);
        match self.settled.last_mut() {
            Some(last) if (last.ik, last.settlement, last.expires_at) == end => {
                last.ids.push(Arc::clone(id));
            }
            _ => self.settled.push(Settled {
                ik,
                settlement,
                expires_at,
                ids: vec![Arc::clone(id)],
            }),
        }
    }

    /// Whether receipts that are stored, or about to be, are to be changed.
    pub(crate) fn changes_receipts(&self) -> bool {
        !(self.settled.is_empty() && self.moved_receipts.is_empty())
    }
}

// Writing.

impl Pending {
    /// Writes all items.
    pub(crate) fn write_items(&mut self, connection: &Connection) -> Result<(), Error> {
        self.write_moved_items(connection)?;
        self.delete_items(connection)?;
        connection.insert(Sql::InsertReadyItems, &self.ready_items, |row, values| {
            values.extend([
                row.ik.into(),
                row.seq.into(),
                row.new.id.as_deref().into(),
                Value::from(&*row.new.payload),
                row.at.into(),
            ]);
        })?;
        connection.insert(Sql::InsertItems, &self.other_items, |row, values| {
            values.extend([
                row.ik.into(),
                row.seq.into(),
                row.new.id.as_deref().into(),
                Value::from(&*row.new.payload),
                row.at.into(),
                row.new.lane.as_deref().into(),
                row.new.due.into(),
                row.rank.into(),
                row.segment.into(),
                i64::from(row.new.blocks).into(),
            ]);
        })?;
        self.ready_items.clear();
        self.other_items.clear();
        Ok(())
    }

    fn write_moved_items(&mut self, connection: &Connection) -> Result<(), Error> {
        for (ik, change) in self.moved_items.drain(..) {
            let (due, rank, seq) = change.item.place;
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
            if connection.change(Sql::MoveItem, &row)? != 1 {
                return Err(Error::NoItem(change.item.place));
            }
        }
        Ok(())
    }

    /// Deletes in runs without a gap: a queue is served in order, so that is few of them.
    fn delete_items(&mut self, connection: &Connection) -> Result<(), Error> {
        self.gone_items.sort_unstable();
        let follows = |&(ik, (due, rank, seq)): &(i64, Place), next: &(i64, Place)| {
            *next == (ik, (due, rank, seq + 1))
        };
        for run in self.gone_items.chunk_by(follows) {
            let (ik, (due, rank, first)) = run[0];
            let (_, (_, _, last)) = run[run.len() - 1];
            let row = [ik, due, rank, first, last].map(Value::from);
            if connection.change(Sql::DeleteItems, &row)? != run.len() {
                return Err(Error::NoItem(run[0].1));
            }
        }
        self.gone_items.clear();
        Ok(())
    }

    /// Writes all receipts: what came before what became of it.
    pub(crate) fn write_receipts(&mut self, connection: &Connection, nk: i64) -> Result<(), Error> {
        // The order of the tree: each finds its place beside the one before.
        self.plain_receipts.sort_by(|a, b| a.id.cmp(&b.id));
        connection.insert(Sql::InsertReceipts, &self.plain_receipts, |row, values| {
            values.extend([
                Value::from(&*row.id),
                row.ik.into(),
                row.place.2.into(),
                row.position.into(),
            ]);
        })?;
        connection.insert(
            Sql::InsertOtherReceipts,
            &self.other_receipts,
            |row, values| {
                let (due, rank, seq) = row.place;
                values.extend([
                    row.ik.into(),
                    Value::from(&*row.id),
                    seq.into(),
                    row.position.into(),
                    due.into(),
                    rank.into(),
                    row.segment.into(),
                ]);
            },
        )?;
        self.plain_receipts.clear();
        self.other_receipts.clear();
        for (ik, id, due) in self.moved_receipts.drain(..) {
            connection.change(Sql::MoveReceipt, &[due.into(), ik.into(), (&*id).into()])?;
        }
        for settled in self.settled.drain(..) {
            let ids: Vec<&str> = settled.ids.iter().map(|id| &**id).collect();
            let ids = serde_json::to_string(&ids).unwrap_or_default();
            let parameters = [
                settled.settlement.as_str().into(),
                settled.expires_at.into(),
                nk.into(),
                settled.ik.into(),
                (&*ids).into(),
            ];
            connection.change(Sql::SettleReceipts, &parameters)?;
        }
        Ok(())
    }
}
