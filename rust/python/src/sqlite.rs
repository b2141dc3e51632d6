//! `durable-sqlite` for Python: the interpreter's lock is given back for the whole of a transaction.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use durable_sqlite::{Damage, Error, Failure, Library, OwnedValue, Store};
use pyo3::exceptions::PyImportError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::at_most;
use crate::kernel::{Classes, read};

/// The copy of SQLite that a loaded module is linked with.
#[pyclass(module = "durable_primitives._core._native", frozen)]
pub(crate) struct SQLiteLibrary(Library);

#[pymethods]
impl SQLiteLibrary {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "the shape of an argument")]
    fn new(module: Option<PathBuf>) -> PyResult<Self> {
        Library::of(module.as_deref())
            .map(Self)
            .map_err(PyImportError::new_err)
    }

    #[getter]
    fn version(&self) -> String {
        self.0.version()
    }

    #[getter]
    fn source_id(&self) -> String {
        self.0.source_id()
    }

    fn set_soft_heap_limit(&self, limit: i64) -> i64 {
        self.0.set_soft_heap_limit(limit)
    }
}

/// One namespace of a database; the twin of `PythonStore`.
#[pyclass(module = "durable_primitives._core._native", frozen)]
pub(crate) struct SQLiteStore(Mutex<State>);

#[derive(Default)]
struct State {
    /// None once it is closed.
    store: Option<Store>,
    /// The last failure came when COMMIT was under way.
    committing: bool,
}

type Committed<'py> = (
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    bool,
);

#[pymethods]
impl SQLiteStore {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "the shape of an argument")]
    fn new(
        py: Python<'_>,
        library: &SQLiteLibrary,
        path: PathBuf,
        busy_ms: i32,
        nk: i64,
    ) -> PyResult<Self> {
        let library = library.0;
        match py.detach(|| Store::open(library, &path, busy_ms, nk)) {
            Ok(store) => Ok(Self(Mutex::new(State {
                store: Some(store),
                committing: false,
            }))),
            Err(error) => Err(raised(py, &error)),
        }
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.state().store = None);
    }

    fn pragma<'py>(&self, py: Python<'py>, setting: &str) -> PyResult<Bound<'py, PyAny>> {
        let value = self.run(py, |store| {
            store.pragma(setting).map_err(|error| Failure {
                error,
                committing: false,
            })
        })?;
        match value {
            OwnedValue::Null => Ok(py.None().into_bound(py)),
            OwnedValue::Int(number) => Ok(number.into_pyobject(py)?.into_any()),
            OwnedValue::Text(text) => Ok(text.into_pyobject(py)?.into_any()),
        }
    }

    #[getter]
    fn in_transaction(&self) -> bool {
        let state = self.state();
        state.store.as_ref().is_some_and(Store::in_transaction)
    }

    #[getter]
    fn committing(&self) -> bool {
        self.state().committing
    }

    fn commit<'py>(
        &self,
        py: Python<'py>,
        transitions: &Bound<'py, PyAny>,
        request: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Committed<'py>> {
        let classes = Classes::get(py)?;
        let transitions = read::transitions(transitions)?;
        let request = request.map(read::request).transpose()?;
        let done = self.run(py, |store| store.commit(&transitions, request.as_ref()))?;
        let outcomes = PyList::empty(py);
        for outcome in &done.outcomes {
            outcomes.append(classes.outcome(py, outcome)?)?;
        }
        let claims = PyList::empty(py);
        for claim in &done.claims {
            claims.append(classes.claim(py, claim)?)?;
        }
        let damaged = PyList::empty(py);
        for damage in &done.damaged {
            damaged.append(damaged_instance(py, damage)?)?;
        }
        Ok((outcomes, claims, damaged, done.nearer))
    }

    fn renew<'py>(
        &self,
        py: Python<'py>,
        leases: &Bound<'py, PyAny>,
        until: i64,
    ) -> PyResult<(Bound<'py, PyList>, bool)> {
        let classes = Classes::get(py)?;
        let leases = read::leases(leases)?;
        let (versions, nearer) = self.run(py, |store| store.renew(&leases, until))?;
        let answers = PyList::empty(py);
        for (lease, version) in leases.iter().zip(versions) {
            answers.append(classes.renewal(py, &lease.instance, version)?)?;
        }
        Ok((answers, nearer))
    }

    fn sweep(&self, py: Python<'_>, now: i64, budget: i64) -> PyResult<usize> {
        self.run(py, |store| store.sweep(now, at_most(budget)))
    }
}

impl SQLiteStore {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half-done: its transaction was rolled back when the stack unwound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the store without the interpreter's lock.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Store) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut state = self.state();
            let done = state.store.as_mut().map(work);
            state.committing = matches!(&done, Some(Err(failure)) if failure.committing);
            done
        });
        match done {
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => Err(raised(py, &failure.error)),
            None => {
                let closed = Error::Unreadable("the connection is closed".into());
                Err(raised(py, &closed))
            }
        }
    }
}

/// What Python's own writer raises for the same cause.
fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|failed| failed)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let message = error.to_string();
    let value = match error {
        Error::Sqlite { code, .. } => {
            let class = py.import("sqlite3")?.getattr("DatabaseError")?;
            let value = class.call1((message,))?;
            value.setattr(intern!(py, "sqlite_errorcode"), code)?;
            value
        }
        Error::Damaged(damage) => damaged_instance(py, damage)?,
        Error::NoItem(_) | Error::Unreadable(_) => {
            let fields = PyDict::new(py);
            fields.set_item("backend", "sqlite")?;
            fields.set_item("outcome", "not_applied")?;
            let class = py
                .import("durable_primitives.errors")?
                .getattr("StorageCorruptedError")?;
            class.call((message,), Some(&fields))?
        }
    };
    Ok(PyErr::from_value(value))
}

fn damaged_instance<'py>(py: Python<'py>, damage: &Damage) -> PyResult<Bound<'py, PyAny>> {
    py.import("durable_primitives.backends.sqlite.failures")?
        .getattr("damaged_instance")?
        .call1((&damage.instance, &damage.reason))
}
