//! What the thread that writes does: one transaction for each call, all of it or nothing.

use std::path::Path;

use durable_core::transition::model::{
    Claim, ClaimRequest, LeaseRef, MAX_LETTERS, Outcome, Transition,
};
use durable_core::transition::{apply, claim, renew};

use crate::api::Library;
use crate::batch::{Batch, Damages};
use crate::connection::Connection;
use crate::error::{Damage, Error, Failure};
use crate::record_cache::{RecordCache, Stored};
use crate::shelf::limit_of;
use crate::sql::Sql;
use crate::statement::OwnedValue;
use crate::transaction::Transaction;

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// One outcome for each transition.
    pub outcomes: Vec<Outcome>,
    /// The leases that were given.
    pub claims: Vec<Claim>,
    /// What is due and cannot be read: it was put off.
    pub damaged: Vec<Damage>,
    /// An alarm came nearer than it was before.
    pub nearer: bool,
}

/// One namespace of a database, which exists and has our tables.
pub struct Store {
    connection: Connection,
    nk: i64,
    cache: RecordCache,
}

impl Store {
    /// Opens the database and waits, when others write, at most `busy_ms`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(library: Library, path: &Path, busy_ms: i32, nk: i64) -> Result<Self, Error> {
        Ok(Self {
            connection: Connection::open(library, path, busy_ms)?,
            nk,
            cache: RecordCache::default(),
        })
    }

    /// Runs `PRAGMA {setting}`; the first value that it answers.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pragma(&self, setting: &str) -> Result<OwnedValue, Error> {
        self.connection.run_once(&format!("PRAGMA {setting}"))
    }

    /// Whether a transaction could be neither committed nor rolled back.
    pub fn in_transaction(&self) -> bool {
        self.connection.in_transaction()
    }

    /// Applies the transitions in order, then serves the claim.
    ///
    /// # Errors
    /// Why nothing of it was done, or may have been done if COMMIT was under way.
    pub fn commit(
        &mut self,
        transitions: &[Transition],
        request: Option<&ClaimRequest>,
    ) -> Result<Committed, Failure> {
        let mut damaged = Damages::new();
        loop {
            let known = damaged.len();
            match self.try_commit(transitions, request, &mut damaged) {
                // What the claim had changed by then is rolled back with the rest, and the rest is done again.
                Err(Failure {
                    error: Error::Damaged(_),
                    ..
                }) if damaged.len() > known => {}
                Err(failure) => return Err(failure),
                Ok((done, nearer)) => {
                    if !damaged.is_empty() {
                        self.cache.clear();
                    }
                    let damaged = damaged.into_values().collect();
                    return Ok(Committed {
                        damaged,
                        nearer,
                        ..done
                    });
                }
            }
        }
    }

    fn try_commit(
        &mut self,
        transitions: &[Transition],
        request: Option<&ClaimRequest>,
        damaged: &mut Damages,
    ) -> Result<(Committed, bool), Failure> {
        self.transact(|batch| {
            let mut done = Committed::default();
            for transition in transitions {
                batch.load_for(transition)?;
            }
            for transition in transitions {
                let instance = batch.instance(&transition.instance)?;
                let outcome =
                    apply(transition, instance).map_err(|error| error.of(&transition.instance))?;
                instance.touched |= outcome.verdict == "applied";
                done.outcomes.push(outcome);
            }
            if let Some(request) = request {
                for name in batch.due(request, damaged)? {
                    let instance = batch.instance(&name)?;
                    let given = claim(request, instance).map_err(|error| error.of(&name));
                    if let Err(Error::Damaged(damage)) = &given {
                        damaged.insert(instance.ik, damage.clone());
                    }
                    done.claims.push(given?);
                    instance.touched = true;
                }
                batch.put_off(damaged, request.at);
            }
            Ok(done)
        })
    }

    /// Extends the leases that are still held: their records' versions, and whether an alarm came nearer.
    ///
    /// # Errors
    /// As for `commit`.
    pub fn renew(
        &mut self,
        leases: &[LeaseRef],
        until: i64,
    ) -> Result<(Vec<Option<i64>>, bool), Failure> {
        self.transact(|batch| {
            let mut versions = Vec::with_capacity(leases.len());
            for lease in leases {
                let instance = match batch.instance(&lease.instance) {
                    // Nobody can commit anything for it either: its run may as well end.
                    Err(Error::Damaged(_)) => {
                        versions.push(None);
                        continue;
                    }
                    found => found?,
                };
                let version = renew(&mut instance.record, lease.token, until);
                instance.touched |= version.is_some();
                versions.push(version);
            }
            Ok(versions)
        })
    }

    /// Deletes at most `budget` rows that have outlived their retention or are too many; how many went.
    ///
    /// # Errors
    /// As for `commit`.
    pub fn sweep(&mut self, now: i64, budget: usize) -> Result<usize, Failure> {
        self.cache.clear();
        let transaction = Transaction::begin(&self.connection, self.nk).map_err(undone)?;
        let gone = sweep(&transaction, now, budget).map_err(undone)?;
        transaction.commit().map_err(perhaps_done)?;
        Ok(gone)
    }

    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, Error>,
    ) -> Result<(T, bool), Failure> {
        let transaction = Transaction::begin(&self.connection, self.nk).map_err(undone)?;
        let in_batch = |cache| -> Result<(T, bool, Vec<Stored>), Error> {
            let mut batch = Batch::new(&transaction, cache)?;
            let done = work(&mut batch)?;
            let nearer = batch.store()?;
            Ok((done, nearer, batch.stored()))
        };
        let (done, nearer, stored) = in_batch(&mut self.cache).map_err(undone)?;
        transaction.commit().map_err(perhaps_done)?;
        for one in stored {
            self.cache.keep(one);
        }
        Ok((done, nearer))
    }
}

fn sweep(transaction: &Transaction<'_>, now: i64, budget: usize) -> Result<usize, Error> {
    let (connection, nk) = (transaction.connection, transaction.nk);
    let mut gone = 0;
    for sql in [Sql::SweepReceipts, Sql::SweepLetters] {
        let parameters = [nk.into(), now.into(), limit_of(budget - gone)];
        gone += connection.change(sql, &parameters)?;
    }
    let parameters = [nk.into(), limit_of(MAX_LETTERS)];
    let overfull = connection.query(Sql::ListOverfullInstances, &parameters, |row| {
        Ok((row.int(0), row.int(1)))
    })?;
    for (ik, excess) in overfull {
        let limit = usize::try_from(excess).map_or(0, |excess| excess.min(budget - gone));
        let parameters = [nk.into(), ik.into(), limit_of(limit)];
        gone += connection.change(Sql::DeleteOldestLetters, &parameters)?;
    }
    let parameters = [nk.into(), now.into(), limit_of(budget - gone)];
    let keys = connection.query(Sql::ListPurgeableInstances, &parameters, |row| {
        Ok(row.int(0))
    })?;
    for &ik in &keys {
        connection.change(Sql::DeleteLiveReceipts, &[ik.into()])?;
        connection.change(Sql::DeleteInstance, &[ik.into()])?;
    }
    Ok(gone + keys.len())
}

fn undone(error: Error) -> Failure {
    Failure {
        error,
        committing: false,
    }
}

fn perhaps_done(error: Error) -> Failure {
    Failure {
        error,
        committing: true,
    }
}
