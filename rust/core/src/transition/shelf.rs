//! What a store must be able to do for `apply`.

use std::sync::Arc;

use super::model::{
    DeadLetter, Held, Item, NewItem, Place, Receipt, Record, Reschedule, Settlement,
};

/// One instance inside one transaction, with its items, receipts and dead letters.
#[expect(
    clippy::missing_errors_doc,
    reason = "every method fails for the same reason: a row could not be read or written"
)]
pub trait Shelf {
    /// Why a row could not be read or written.
    type Error;

    /// Whether there is a record; if not, `record` shows one that nothing has been written to.
    fn exists(&self) -> bool;
    /// The record as it is now.
    fn record(&self) -> &Record;
    /// The record, to be changed in place.
    fn record_mut(&mut self) -> &mut Record;
    /// Keeps the record, which was not there.
    fn add(&mut self) -> Result<(), Self::Error>;
    /// Deletes the items, receipts and dead letters.
    fn erase(&mut self) -> Result<(), Self::Error>;

    /// The receipt of an id, its window over or not.
    fn receipt(&mut self, id: &Arc<str>) -> Result<Option<Receipt>, Self::Error>;
    /// Keeps a live receipt, of the open segment, for an id that has no item.
    fn remember(&mut self, id: &Arc<str>) -> Result<(), Self::Error>;

    /// Adds a new event to the open segment, under the record's newest sequence and its count: the
    /// item and, if it has an id, its live receipt.
    fn accept(&mut self, new: &NewItem, at: i64, rank: i64) -> Result<(), Self::Error>;
    /// Refuses an item that is not there, if that can be known before anything is changed.
    fn check(&self, item: &Held) -> Result<(), Self::Error>;
    /// Deletes an item and settles its receipt.
    fn settle(
        &mut self,
        item: &Held,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<(), Self::Error>;
    /// Changes an item; its receipt follows the due time.
    fn reschedule(&mut self, change: &Reschedule) -> Result<(), Self::Error>;
    /// The item at a place.
    fn find(&mut self, place: Place) -> Result<Option<Held>, Self::Error>;
    /// The item with the lowest sequence that is not in `record.taken`.
    fn oldest(&mut self) -> Result<Option<Held>, Self::Error>;
    /// The highest rank among the live items of a lane.
    fn lane_rank(&mut self, lane: &Arc<str>) -> Result<Option<i64>, Self::Error>;
    /// The next items to run, at most `limit`, none of them in `record.taken`: those that waited and
    /// are due, then those that are ready.  A keyed item never overtakes its lane.
    fn take(&mut self, now: i64, limit: usize) -> Result<Vec<Item>, Self::Error>;
    /// The earliest due time later than `after` (and before `NEVER`) among the items.
    fn item_due(&mut self, after: i64) -> Result<Option<i64>, Self::Error>;

    /// Deletes the items of the segments up to `segment`, settles their live receipts; how many
    /// items went.
    fn retire(
        &mut self,
        segment: i64,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<usize, Self::Error>;
    /// Deletes the items from `segment` on that are not in `record.taken`, settles their live
    /// receipts as cleared; how many items went.
    fn clear(&mut self, segment: i64, expires_at: i64) -> Result<usize, Self::Error>;

    /// One dead letter.
    fn letter(&mut self, id: &Arc<str>) -> Result<Option<DeadLetter>, Self::Error>;
    /// Keeps a dead letter.
    fn keep_letter(&mut self, letter: DeadLetter) -> Result<(), Self::Error>;
    /// Deletes a dead letter; whether there was one.
    fn drop_letter(&mut self, id: &Arc<str>) -> Result<bool, Self::Error>;
}
