//! Items that leave, wait again, or become dead letters, and dead letters that come back.

use std::sync::Arc;

use super::change::Change;
use super::guards::valid;
use super::model::{Burial, DeadLetter, Held, NEVER, NewItem, Settlement, WINDOW_DUE};
use super::shelf::Shelf;

impl<S: Shelf> Change<'_, S> {
    // What the owner says about the items in its hands.

    pub(super) fn settle_taken(&mut self) -> Result<(), S::Error> {
        let t = self.t;
        let mut left = t.give_back.clone();
        for removal in &t.remove {
            self.settle(&removal.item, removal.settlement, removal.expires_at)?;
            left.push(removal.item.seq());
        }
        for burial in &t.bury {
            if let Some(item) = &burial.item {
                self.settle(item, Settlement::Dead, burial.expires_at)?;
                left.push(item.seq());
            }
            self.shelf.keep_letter(letter(burial, t.at))?;
        }
        for change in &t.reschedule {
            self.shelf.reschedule(change)?;
            left.push(change.item.seq());
        }
        for change in &t.mark {
            self.shelf.reschedule(change)?;
        }
        if !left.is_empty() {
            let record = self.shelf.record_mut();
            record.taken.retain(|seq| !left.contains(seq));
        }
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        item: &Held,
        settlement: Settlement,
        expires_at: i64,
    ) -> Result<(), S::Error> {
        self.shelf.settle(item, settlement, expires_at)?;
        let record = self.shelf.record_mut();
        record.count -= 1;
        record.cancels.retain(|&seq| seq != item.seq());
        if settlement == Settlement::Done {
            record.finished += 1;
        }
        Ok(())
    }

    // Rare words.

    pub(super) fn rarely(&mut self) -> Result<(), S::Error> {
        let t = self.t;
        for id in &t.redrive {
            self.redrive(id)?;
        }
        for id in &t.discard {
            self.outcome.cleared += usize::from(self.shelf.drop_letter(id)?);
        }
        if let Some(retire) = t.retire {
            let gone = self
                .shelf
                .retire(retire.segment, retire.settlement, retire.expires_at)?;
            self.lower_count(gone);
        }
        if let Some(clear) = t.clear {
            let gone = self.shelf.clear(clear.segment, clear.expires_at)?;
            self.lower_count(gone);
            self.outcome.cleared += gone;
            let record = self.shelf.record_mut();
            if clear.segment <= record.segment {
                record.segment_count = 0;
                record.dues.remove(WINDOW_DUE);
            }
        }
        if t.retire.is_some() || t.clear.is_some() {
            let record = self.shelf.record_mut();
            record.cancels.retain(|seq| record.taken.contains(seq));
        }
        for id in &t.cancel {
            let answer = self.cancel(id)?;
            self.outcome.cancelled.push(answer);
        }
        Ok(())
    }

    fn lower_count(&mut self, gone: usize) {
        self.shelf.record_mut().count -= i64::try_from(gone).unwrap_or(i64::MAX);
    }

    fn redrive(&mut self, id: &Arc<str>) -> Result<(), S::Error> {
        let Some(letter) = self.shelf.letter(id)? else {
            return Ok(());
        };
        if letter.expires_at <= self.t.at {
            return Ok(());
        }
        self.shelf.drop_letter(id)?;
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
        self.add(&new, letter.at)?;
        self.outcome.cleared += 1;
        Ok(())
    }

    fn cancel(&mut self, id: &Arc<str>) -> Result<&'static str, S::Error> {
        let Some(receipt) = valid(self.shelf.receipt(id)?, self.t.at) else {
            return Ok("not_found");
        };
        match receipt.settlement {
            Some(Settlement::Cancelled) => return Ok("cancelled"),
            Some(_) => return Ok("done"),
            None => {}
        }
        let record = self.shelf.record_mut();
        if record.taken.contains(&receipt.seq) {
            if !record.cancels.contains(&receipt.seq) {
                record.cancels.push(receipt.seq);
            }
            return Ok("running");
        }
        let expires_at = self.t.at + record.remembered_ms();
        let place = (receipt.due, receipt.rank, receipt.seq);
        let Some(item) = self.shelf.find(place)? else {
            return Ok("not_found");
        };
        self.settle(&item, Settlement::Cancelled, expires_at)?;
        self.let_go(&item);
        Ok("cancelled")
    }

    /// An item that waited was taken out: those that it held back need wait no longer.
    pub(super) fn let_go(&mut self, item: &Held) {
        if (1..NEVER).contains(&item.place.0) {
            self.arm(self.t.at);
        }
    }
}

fn letter(burial: &Burial, at: i64) -> DeadLetter {
    DeadLetter {
        id: Arc::clone(&burial.id),
        payload: Arc::clone(&burial.payload),
        lane: burial.lane.clone(),
        rank: burial.item.as_ref().map_or(0, |item| item.place.1),
        at: burial.at.unwrap_or(at),
        failed_at: at,
        attempts: burial.attempts,
        error: Arc::clone(&burial.error),
        count: burial.count,
        expires_at: burial.expires_at,
    }
}
