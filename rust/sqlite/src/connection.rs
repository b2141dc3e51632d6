//! One connection, with its statements.
#![expect(unsafe_code, reason = "calls into SQLite")]

use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::api::{Api, Library, OK, OPEN_READWRITE, RawConnection};
use crate::error::Error;
use crate::sql::Sql;
use crate::statement::{OwnedValue, Row, Statement, Value, last_error};

/// The largest INSERT has 2^(SIZES - 1) rows: with more, a row costs no less (measured).
const SIZES: usize = 6;

/// A connection to a database that exists.  Each statement is prepared when it is first used.
pub(crate) struct Connection {
    api: &'static Api,
    raw: NonNull<RawConnection>,
    /// By name and, for an INSERT, by the number of rows: the power of two.
    statements: RefCell<Vec<Option<Statement>>>,
}

// SAFETY: the library is compiled to be used by threads (`Library::of` sees to it), so that a
// connection may be used by one thread after the other.  It is not `Sync`: never by two at a time.
unsafe impl Send for Connection {}

impl Connection {
    pub(crate) fn open(library: Library, path: &Path, busy_ms: c_int) -> Result<Self, Error> {
        let api = library.0;
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        let mut raw = ptr::null_mut();
        // SAFETY: the name ends with a zero; `raw` is written also when opening fails.
        let code =
            unsafe { (api.open_v2)(name.as_ptr(), &raw mut raw, OPEN_READWRITE, ptr::null()) };
        let Some(raw) = NonNull::new(raw) else {
            return Err(Error::Sqlite {
                code,
                message: "out of memory".into(),
            });
        };
        // From here on it is closed by `drop`, which is due after an error too.
        let connection = Self {
            api,
            raw,
            statements: RefCell::new((0..Sql::COUNT * SIZES).map(|_| None).collect()),
        };
        if code != OK {
            // SAFETY: a connection that failed to open still says why.
            return Err(unsafe { last_error(api, raw) });
        }
        // SAFETY: the connection is open.
        unsafe {
            (api.extended_result_codes)(raw.as_ptr(), 1);
            (api.busy_timeout)(raw.as_ptr(), busy_ms);
        }
        Ok(connection)
    }

    /// Runs a statement that changes rows; how many it changed.
    pub(crate) fn change(&self, sql: Sql, parameters: &[Value<'_>]) -> Result<usize, Error> {
        self.each(sql, 0, parameters, |_| Ok(()))?;
        // SAFETY: the connection is open.
        let changes = unsafe { (self.api.changes)(self.raw.as_ptr()) };
        Ok(usize::try_from(changes).unwrap_or(0))
    }

    /// All rows of a query.
    pub(crate) fn query<T>(
        &self,
        sql: Sql,
        parameters: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        self.each(sql, 0, parameters, |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The one row of a query that has at most one.
    pub(crate) fn find<T>(
        &self,
        sql: Sql,
        parameters: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        self.each(sql, 0, parameters, |row| {
            found = Some(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs an INSERT for many rows in few steps: in chunks that are powers of two, so that there
    /// are few texts, all of which stay prepared.
    pub(crate) fn insert<'a, T>(
        &self,
        sql: Sql,
        rows: &'a [T],
        write: impl Fn(&'a T, &mut Vec<Value<'a>>),
    ) -> Result<(), Error> {
        let mut left = rows;
        let mut values = Vec::new();
        for size in (0..SIZES).rev() {
            while left.len() >= 1 << size {
                let (chunk, rest) = left.split_at(1 << size);
                values.clear();
                for row in chunk {
                    write(row, &mut values);
                }
                self.each(sql, size, &values, |_| Ok(()))?;
                left = rest;
            }
        }
        Ok(())
    }

    fn each(
        &self,
        sql: Sql,
        size: usize,
        parameters: &[Value<'_>],
        each: impl FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut statements = self.statements.borrow_mut();
        let kept = &mut statements[sql as usize * SIZES + size];
        let statement = match kept {
            Some(statement) => statement,
            None if size == 0 => kept.insert(self.prepare(sql.text())?),
            None => kept.insert(self.prepare(&sql.repeated(1 << size))?),
        };
        statement.run(parameters, each)
    }

    /// Runs a text once; the first value of its last row.
    pub(crate) fn run_once(&self, text: &str) -> Result<OwnedValue, Error> {
        let mut value = OwnedValue::Null;
        self.prepare(text)?.run(&[], |row| {
            value = row.first()?;
            Ok(())
        })?;
        Ok(value)
    }

    fn prepare(&self, text: &str) -> Result<Statement, Error> {
        // SAFETY: the connection is open; `drop` closes it after the statements that it keeps, and
        // `run_once` lets go of the others before it returns.
        unsafe { Statement::prepare(self.api, self.raw, text) }
    }

    /// How many statements are kept.
    #[cfg(all(test, unix))]
    pub(crate) fn prepared(&self) -> usize {
        self.statements.borrow().iter().flatten().count()
    }

    /// Whether a transaction was begun and has not ended.
    pub(crate) fn in_transaction(&self) -> bool {
        // SAFETY: the connection is open.
        unsafe { (self.api.get_autocommit)(self.raw.as_ptr()) == 0 }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.statements.get_mut().clear();
        // SAFETY: opened and not closed before; all its statements are finalized.
        unsafe { (self.api.close_v2)(self.raw.as_ptr()) };
    }
}
