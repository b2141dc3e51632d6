//! Items that come in, and the segments that they form.

use super::change::Change;
use super::guards::known;
use super::model::{Accepted, FLUSH_DUE, ITEMS_DUE, NEVER, NewItem, Settlement, WINDOW_DUE};
use super::shelf::Shelf;

impl<S: Shelf> Change<'_, S> {
    pub(super) fn append(&mut self) -> Result<(), S::Error> {
        let t = self.t;
        let room = if t.drop_oldest { t.guard.room } else { None };
        for new in &t.append {
            if let Some(known) = known(new, self.shelf, t.at)? {
                let duplicate = Accepted {
                    seq: known.seq,
                    position: known.position,
                    segment: known.segment,
                    segment_count: self.shelf.record().segment_count,
                    duplicate: true,
                };
                self.outcome.accepted.push(duplicate);
                continue;
            }
            if room.is_some_and(|room| self.shelf.record().count >= room) {
                self.drop_oldest()?;
            }
            self.append_one(new)?;
        }
        Ok(())
    }

    fn append_one(&mut self, new: &NewItem) -> Result<(), S::Error> {
        let t = self.t;
        self.add(new, t.at)?;
        let record = self.shelf.record_mut();
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
        Ok(())
    }

    pub(super) fn add(&mut self, new: &NewItem, at: i64) -> Result<(), S::Error> {
        let before = match &new.lane {
            // A priority never breaks the order of a lane.
            Some(lane) if new.rank != 0 => self.shelf.lane_rank(lane)?,
            _ => None,
        };
        let rank = before.map_or(new.rank, |before| before.max(new.rank));
        let record = self.shelf.record_mut();
        record.sequence += 1;
        record.count += 1;
        self.shelf.accept(new, at, rank)?;
        self.arm(new.due);
        Ok(())
    }

    fn drop_oldest(&mut self) -> Result<(), S::Error> {
        if let Some(oldest) = self.shelf.oldest()? {
            let expires_at = self.t.at + self.shelf.record().remembered_ms();
            self.settle(&oldest, Settlement::Cleared, expires_at)?;
            self.let_go(&oldest);
            self.outcome.cleared += 1;
        }
        Ok(())
    }

    pub(super) fn arm(&mut self, due: i64) {
        if due < NEVER {
            let at = due.max(self.t.at);
            let dues = &mut self.shelf.record_mut().dues;
            match dues.get_mut(ITEMS_DUE) {
                Some(nearest) => *nearest = at.min(*nearest),
                None => {
                    dues.insert(ITEMS_DUE.into(), at);
                }
            }
        }
    }

    pub(super) fn seal(&mut self) {
        let at = self.t.at;
        let record = self.shelf.record_mut();
        record.segment += 1;
        record.segment_count = 0;
        record.dues.remove(WINDOW_DUE);
        // A due that is set is left alone: it may be the retry of an older segment, which goes first.
        record.dues.entry(FLUSH_DUE.into()).or_insert(at);
    }
}
