//! `SeenSet` for Python.

use durable_core::{InvalidArgument, seen_set};
use pyo3::prelude::*;

use crate::{at_most, value_error};

/// Ids remembered for idempotency: live without an end, then for a window after their outcome.
#[pyclass(module = "durable_primitives._core._native")]
pub(crate) struct SeenSet(seen_set::SeenSet);

#[pymethods]
impl SeenSet {
    #[new]
    #[pyo3(signature = (cap))]
    fn new(cap: Option<i64>) -> PyResult<Self> {
        let cap = cap.map(|cap| {
            usize::try_from(cap).map_err(|_| InvalidArgument::new("cap", "None, or 0 or more", cap))
        });
        let cap = cap.transpose().map_err(value_error)?;
        Ok(Self(seen_set::SeenSet::new(cap)))
    }

    fn insert(&mut self, id: &str) -> bool {
        self.0.insert(id)
    }

    fn contains(&self, id: &str) -> bool {
        self.0.contains(id)
    }

    fn settle(&mut self, id: &str, expires_at_ms: i64) -> bool {
        self.0.settle(id, expires_at_ms)
    }

    fn expires_at(&self, id: &str) -> Option<i64> {
        self.0.expires_at(id)
    }

    fn forget(&mut self, id: &str) -> bool {
        self.0.forget(id)
    }

    fn expire(&mut self, now_ms: i64, budget: i64) -> usize {
        self.0.expire(now_ms, at_most(budget))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}
