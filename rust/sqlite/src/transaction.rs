//! One transaction of a namespace.

use std::cell::{Cell, RefCell};

use crate::connection::Connection;
use crate::error::Error;
use crate::pending::Pending;
use crate::sql::Sql;

/// From BEGIN to COMMIT; without one, what was done is undone when it is dropped.
pub(crate) struct Transaction<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) nk: i64,
    pub(crate) pending: RefCell<Pending>,
    last_key: Cell<Option<i64>>,
}

impl<'c> Transaction<'c> {
    pub(crate) fn begin(connection: &'c Connection, nk: i64) -> Result<Self, Error> {
        connection.change(Sql::Begin, &[])?;
        Ok(Self {
            connection,
            nk,
            pending: RefCell::default(),
            last_key: Cell::new(None),
        })
    }

    pub(crate) fn commit(self) -> Result<(), Error> {
        self.connection.change(Sql::Commit, &[]).map(drop)
    }

    /// Lets queries see all items.
    pub(crate) fn write_items(&self) -> Result<(), Error> {
        self.pending.borrow_mut().write_items(self.connection)
    }

    /// Lets queries see all receipts.
    pub(crate) fn write_receipts(&self) -> Result<(), Error> {
        let mut pending = self.pending.borrow_mut();
        pending.write_receipts(self.connection, self.nk)
    }

    /// A number that changes when another connection has committed.
    pub(crate) fn data_version(&self) -> Result<Option<i64>, Error> {
        self.connection
            .find(Sql::DataVersion, &[], |row| Ok(row.int(0)))
    }

    /// The key of a new life: none is ever given out twice.
    pub(crate) fn new_key(&self) -> Result<i64, Error> {
        let last = match self.last_key.get() {
            Some(key) => key,
            None => self
                .connection
                .find(Sql::FindLastKey, &[], |row| Ok(row.int(0)))?
                .unwrap_or(0),
        };
        self.last_key.set(Some(last + 1));
        Ok(last + 1)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.connection.in_transaction() {
            // If this fails, the connection says that it is still in a transaction.
            let _ = self.connection.change(Sql::Rollback, &[]);
        }
    }
}
