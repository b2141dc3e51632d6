//! What a transaction knows of one instance.

use std::collections::HashMap;
use std::sync::Arc;

use durable_core::transition::model::{Receipt, Record};

use crate::error::Error;
use crate::record_cache::Stored;
use crate::rows::{Lists, receipt_of, record_values};
use crate::sql::Sql;
use crate::statement::Value;
use crate::transaction::Transaction;

/// One instance inside a transaction.  Its record is written at the end.
pub(crate) struct Working<'t> {
    pub(super) transaction: &'t Transaction<'t>,
    pub(super) ik: i64,
    pub(super) record: Record,
    pub(super) exists: bool,
    /// The receipts that the batch asks for, as they are now.
    pub(super) known: HashMap<Arc<str>, Option<Receipt>>,
    /// The record was changed.
    pub(super) touched: bool,
    /// The key under which the record is stored.
    stored_as: Option<i64>,
    /// The alarm before this transaction.
    alarm: Option<i64>,
    /// The time to go before this transaction.
    purge_at: Option<i64>,
}

impl<'t> Working<'t> {
    /// An instance with a stored record.
    pub(crate) fn stored(transaction: &'t Transaction<'t>, stored: Stored) -> Self {
        let Stored { ik, record, alarm } = stored;
        Self {
            transaction,
            ik,
            exists: true,
            known: HashMap::new(),
            touched: false,
            stored_as: Some(ik),
            alarm,
            purge_at: record.purge_at,
            record,
        }
    }

    /// An instance that is not there.
    pub(crate) fn absent(transaction: &'t Transaction<'t>, instance: &Arc<str>) -> Self {
        Self {
            transaction,
            ik: 0,
            exists: false,
            known: HashMap::new(),
            touched: false,
            stored_as: None,
            alarm: None,
            purge_at: None,
            record: Record::new(Arc::clone(instance)),
        }
    }

    pub(crate) fn into_stored(self) -> Stored {
        Stored {
            ik: self.ik,
            alarm: self.record.alarm(),
            record: self.record,
        }
    }

    /// Runs a statement that changes rows; how many rows it changed.
    pub(super) fn change(&self, sql: Sql, parameters: &[Value<'_>]) -> Result<usize, Error> {
        self.transaction.connection.change(sql, parameters)
    }

    /// Reads a receipt that will be asked for.  To be called before anything is changed.
    pub(crate) fn ask(&mut self, id: &Arc<str>) -> Result<(), Error> {
        if !self.known.contains_key(id) {
            let receipt = if self.exists {
                self.load_receipt(id)?
            } else {
                None
            };
            self.known.insert(Arc::clone(id), receipt);
        }
        Ok(())
    }

    pub(super) fn load_receipt(&self, id: &str) -> Result<Option<Receipt>, Error> {
        let key = [self.ik.into(), id.into()];
        let connection = self.transaction.connection;
        connection.find(Sql::FindReceipt, &key, receipt_of)
    }

    /// Writes the record if it was changed; whether its alarm came nearer.
    pub(crate) fn store(&mut self) -> Result<bool, Error> {
        if !self.touched {
            return Ok(false);
        }
        let alarm = self.record.alarm();
        let (ik, purge_at) = (self.ik, self.record.purge_at);
        let lists = Lists::of(&self.record);
        let values = record_values(&self.record, &lists);
        if self.stored_as != Some(ik) {
            if let Some(old) = self.stored_as {
                self.change(Sql::DeleteInstance, &[old.into()])?;
            }
            let head: [Value<'_>; 5] = [
                ik.into(),
                self.transaction.nk.into(),
                (&*self.record.instance).into(),
                alarm.into(),
                purge_at.into(),
            ];
            self.change(Sql::InsertInstance, &[&head[..], &values].concat())?;
        } else if (alarm, purge_at) == (self.alarm, self.purge_at) {
            self.change(Sql::UpdateInstance, &[&values[..], &[ik.into()]].concat())?;
        } else {
            let head = [alarm.into(), purge_at.into()];
            let parameters = [&head[..], &values, &[ik.into()]].concat();
            self.change(Sql::RescheduleInstance, &parameters)?;
        }
        Ok(alarm.is_some_and(|alarm| self.alarm.is_none_or(|before| alarm < before)))
    }
}
