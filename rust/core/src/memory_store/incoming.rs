//! Items that come in, and the segments that they form.

use std::sync::Arc;

use super::change::Change;
use super::guards::known;
use super::model::{
    Accepted, FLUSH_DUE, ITEMS_DUE, Item, NEVER, NewItem, Receipt, TOMBSTONE_MS, WINDOW_DUE,
};

impl Change<'_> {
    // Items coming in.

    pub(super) fn append(&mut self) {
        let t = self.t;
        let room = if t.drop_oldest { t.guard.room } else { None };
        for new in &t.append {
            if let Some(known) = known(new, self.rows, t.at) {
                let duplicate = Accepted {
                    seq: known.seq,
                    position: known.position,
                    segment: known.segment,
                    segment_count: self.rows.record.segment_count,
                    duplicate: true,
                };
                self.outcome.accepted.push(duplicate);
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

    pub(super) fn add(&mut self, new: &NewItem, at: i64) {
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

    pub(super) fn keep_receipt(&mut self, receipt: Receipt) {
        self.rows.receipts.insert(Arc::clone(&receipt.id), receipt);
    }

    fn drop_oldest(&mut self) {
        let linger = self
            .rows
            .record
            .linger_ms
            .filter(|&ms| ms != 0)
            .unwrap_or(TOMBSTONE_MS);
        if let Some(oldest) = self.rows.oldest() {
            self.settle(oldest, &"cleared".into(), self.t.at + linger);
            self.outcome.cleared += 1;
        }
    }

    pub(super) fn arm(&mut self, due: i64) {
        if due < NEVER {
            let at = due.max(self.t.at);
            let dues = &mut self.rows.record.dues;
            let nearest = dues.entry(ITEMS_DUE.into()).or_insert(at);
            *nearest = at.min(*nearest);
        }
    }

    pub(super) fn seal(&mut self) {
        let at = self.t.at;
        let record = &mut self.rows.record;
        record.segment += 1;
        record.segment_count = 0;
        record.dues.remove(WINDOW_DUE);
        // A due that is set is left alone: it may be the retry of an older segment, which goes first.
        record.dues.entry(FLUSH_DUE.into()).or_insert(at);
    }
}

/// The receipt of a live event.
pub(super) fn receipt(id: &Arc<str>, seq: i64, position: i64) -> Receipt {
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
