//! `MemoryStore` for Python: one crossing per batch.

use durable_core::memory_store;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::kernel::{Classes, read};
use crate::{at_most, value_error};

/// The whole transition vocabulary over maps.
#[pyclass(module = "durable_primitives._core._native")]
#[derive(Default)]
pub(crate) struct MemoryStore(memory_store::MemoryStore);

type Two<'py> = (Bound<'py, PyList>, Bound<'py, PyList>);

#[pymethods]
impl MemoryStore {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn commit<'py>(
        &mut self,
        py: Python<'py>,
        transitions: &Bound<'py, PyAny>,
        request: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Two<'py>> {
        let classes = Classes::get(py)?;
        let outcomes = PyList::empty(py);
        for one in transitions.try_iter()? {
            let outcome = self
                .0
                .apply(&read::transition(&one?)?)
                .map_err(value_error)?;
            outcomes.append(classes.outcome(py, &outcome)?)?;
        }
        let claims = PyList::empty(py);
        if let Some(request) = request {
            let request = read::request(request)?;
            for claim in self.0.claim(&request).map_err(value_error)? {
                claims.append(classes.claim(py, &claim)?)?;
            }
        }
        Ok((outcomes, claims))
    }

    fn load<'py>(
        &self,
        py: Python<'py>,
        instance: &str,
        receipts: &Bound<'py, PyAny>,
        letters: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut found = (Vec::new(), Vec::new());
        for id in receipts.try_iter()? {
            found.0.extend(self.0.receipt(instance, &read::text(&id?)?));
        }
        for id in letters.try_iter()? {
            found.1.extend(self.0.letter(instance, &read::text(&id?)?));
        }
        Classes::get(py)?.snapshot(py, self.0.record(instance), &found.0, &found.1)
    }

    fn items<'py>(
        &self,
        py: Python<'py>,
        instance: &str,
        segment: i64,
        after: i64,
        limit: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let classes = Classes::get(py)?;
        let items = self.0.items(instance, segment, after, at_most(limit));
        list(py, items.iter().map(|item| classes.item(py, item)))
    }

    fn letters<'py>(
        &self,
        py: Python<'py>,
        instance: &str,
        after: &str,
        limit: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let classes = Classes::get(py)?;
        let letters = self.0.letters(instance, after, at_most(limit));
        list(
            py,
            letters.into_iter().map(|letter| classes.letter(py, letter)),
        )
    }

    fn scan<'py>(
        &self,
        py: Python<'py>,
        prefix: &str,
        after: &str,
        limit: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let classes = Classes::get(py)?;
        let records = self.0.scan(prefix, after, at_most(limit));
        list(
            py,
            records.into_iter().map(|record| classes.record(py, record)),
        )
    }

    fn tally<'py>(&self, py: Python<'py>, instance: &str, now: i64) -> PyResult<Bound<'py, PyAny>> {
        Classes::get(py)?.tally(py, self.0.tally(instance, now))
    }

    fn sweep(&mut self, now: i64, budget: i64) -> usize {
        self.0.sweep(now, at_most(budget))
    }

    fn renew<'py>(
        &mut self,
        py: Python<'py>,
        leases: &Bound<'py, PyAny>,
        until: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let classes = Classes::get(py)?;
        let answers = PyList::empty(py);
        for lease in read::leases(leases)? {
            let version = self.0.renew(&lease.instance, lease.token, until);
            answers.append(classes.renewal(py, &lease.instance, version)?)?;
        }
        Ok(answers)
    }

    fn next_due(&self) -> Option<i64> {
        self.0.next_due()
    }
}

fn list<'py>(
    py: Python<'py>,
    parts: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyList>> {
    let parts = parts.collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, parts)
}
