//! The records that this connection has just written, so that the next transaction need not read
//! them again.

use std::collections::HashMap;
use std::sync::Arc;

use durable_core::transition::model::Record;

const MOST_RECORDS: usize = 2000;
const LARGEST_DATA_BYTES: usize = 8192;

/// A record as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) ik: i64,
    pub(crate) record: Record,
    /// Its own, or a later one while it was damaged.
    pub(crate) alarm: Option<i64>,
}

/// Records as of the last commit.
///
/// They are used only if SQLite says that no other connection has committed since.  A transaction
/// takes out what it changes and gives it back after its commit: after any error it is simply gone.
#[derive(Debug, Default)]
pub(crate) struct RecordCache {
    records: HashMap<Arc<str>, Stored>,
    version: Option<i64>,
}

impl RecordCache {
    /// Forgets everything if somebody else has written: `version` is `PRAGMA data_version` as read
    /// inside the transaction.
    pub(crate) fn check(&mut self, version: Option<i64>) {
        if version != self.version {
            self.records.clear();
            self.version = version;
        }
    }

    /// Takes out the record as it is stored, if it is known.
    pub(crate) fn take(&mut self, instance: &str) -> Option<Stored> {
        self.records.remove(instance)
    }

    /// Remembers what a transaction has seen and committed.
    pub(crate) fn keep(&mut self, stored: Stored) {
        if stored.record.data.len() > LARGEST_DATA_BYTES {
            return;
        }
        if self.records.len() >= MOST_RECORDS {
            // What comes next is as likely to be old as new: no order of leaving would be better.
            self.records.clear();
        }
        self.records
            .insert(Arc::clone(&stored.record.instance), stored);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
    }
}
