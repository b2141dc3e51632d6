//! The instances that one transaction works on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use durable_core::transition::model::{ClaimRequest, DAMAGED_RECHECK_MS, Transition};

use crate::error::{Damage, Error};
use crate::record_cache::{RecordCache, Stored};
use crate::rows::{due_of, record_of};
use crate::shelf::limit_of;
use crate::sql::Sql;
use crate::transaction::Transaction;
use crate::working::Working;

/// Instances that cannot be claimed, by key.
pub(crate) type Damages = BTreeMap<i64, Damage>;

/// Instances in the order in which they were first named.
pub(crate) struct Batch<'t> {
    transaction: &'t Transaction<'t>,
    cache: &'t mut RecordCache,
    instances: Vec<Working<'t>>,
    index: HashMap<Arc<str>, usize>,
    /// Keys of instances, and their next alarm.
    put_off: Vec<(i64, i64)>,
}

impl<'t> Batch<'t> {
    pub(crate) fn new(
        transaction: &'t Transaction<'t>,
        cache: &'t mut RecordCache,
    ) -> Result<Self, Error> {
        cache.check(transaction.data_version()?);
        Ok(Self {
            transaction,
            cache,
            instances: Vec::new(),
            index: HashMap::new(),
            put_off: Vec::new(),
        })
    }

    /// Reads what a transition will ask for.
    pub(crate) fn load_for(&mut self, t: &Transition) -> Result<(), Error> {
        let known_to_callers = t.append.iter().filter(|new| !new.fresh);
        let appended = known_to_callers.filter_map(|new| new.id.as_ref());
        let instance = self.instance(&t.instance)?;
        appended
            .chain(&t.remember)
            .chain(&t.cancel)
            .try_for_each(|id| instance.ask(id))
            .map_err(|error| error.of(&t.instance))
    }

    /// An instance, there or not.
    pub(crate) fn instance(&mut self, instance: &Arc<str>) -> Result<&mut Working<'t>, Error> {
        let place = if let Some(&place) = self.index.get(instance) {
            place
        } else {
            let working = self.load(instance)?;
            self.put(working)
        };
        Ok(&mut self.instances[place])
    }

    fn load(&mut self, instance: &Arc<str>) -> Result<Working<'t>, Error> {
        let mut stored = self.cache.take(instance);
        if stored.is_none() {
            let key = [self.transaction.nk.into(), (&**instance).into()];
            let connection = self.transaction.connection;
            stored = connection.find(Sql::FindInstance, &key, record_of)?;
        }
        Ok(match stored {
            Some(stored) => Working::stored(self.transaction, stored),
            None => Working::absent(self.transaction, instance),
        })
    }

    fn put(&mut self, working: Working<'t>) -> usize {
        let place = self.instances.len();
        self.index
            .insert(Arc::clone(&working.record.instance), place);
        self.instances.push(working);
        place
    }

    /// What a worker may claim, the earliest first, the changes of this transaction included.  What is
    /// damaged is left out; what is found to be is added to it.
    pub(crate) fn due(
        &mut self,
        request: &ClaimRequest,
        damaged: &mut Damages,
    ) -> Result<Vec<Arc<str>>, Error> {
        // Of the stored ones, those in `instances` may no longer be what they were: as many more are read.
        let more = self.instances.len() + damaged.len();
        let limit = request.limit.saturating_add(more);
        let parameters = [
            self.transaction.nk.into(),
            request.at.into(),
            limit_of(limit),
        ];
        let connection = self.transaction.connection;
        for found in connection.query(Sql::LoadDueInstances, &parameters, due_of)? {
            match found {
                Ok(stored) if self.index.contains_key(&stored.record.instance) => {}
                Ok(stored) => {
                    self.put(Working::stored(self.transaction, stored));
                }
                Err((ik, damage)) => {
                    damaged.insert(ik, damage);
                }
            }
        }
        let mut due: Vec<(i64, i64, &Arc<str>)> = self
            .instances
            .iter()
            .filter(|one| !damaged.contains_key(&one.ik))
            .filter_map(|one| Some((one.record.alarm()?, one.ik, &one.record.instance)))
            .filter(|&(alarm, _, _)| alarm <= request.at)
            .collect();
        due.sort_unstable();
        due.truncate(request.limit);
        Ok(due
            .into_iter()
            .map(|(_, _, instance)| Arc::clone(instance))
            .collect())
    }

    /// Lets `store` put off what is damaged, so that not every claim looks at it.
    pub(crate) fn put_off(&mut self, damaged: &Damages, now: i64) {
        let until = now + DAMAGED_RECHECK_MS;
        self.put_off = damaged.keys().map(|&ik| (ik, until)).collect();
    }

    /// Writes everything; whether an alarm came nearer.
    pub(crate) fn store(&mut self) -> Result<bool, Error> {
        self.transaction.write_items()?;
        self.transaction.write_receipts()?;
        let mut nearer = false;
        for working in &mut self.instances {
            nearer |= working.store()?;
        }
        for &(ik, until) in &self.put_off {
            let connection = self.transaction.connection;
            connection.change(Sql::PutOffInstance, &[until.into(), ik.into()])?;
        }
        Ok(nearer)
    }

    /// The records as `store` left them, for the cache.
    pub(crate) fn stored(self) -> Vec<Stored> {
        self.instances
            .into_iter()
            .filter(|working| working.exists)
            .map(Working::into_stored)
            .collect()
    }
}
