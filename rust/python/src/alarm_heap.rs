//! `AlarmHeap` for Python.

use durable_core::alarm_heap;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::at_most;

/// Due times by key: the earliest first, moved and cancelled in O(log n).
#[pyclass(module = "durable_primitives._core._native")]
#[derive(Default)]
pub(crate) struct AlarmHeap(alarm_heap::AlarmHeap);

#[pymethods]
impl AlarmHeap {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn set(&mut self, key: &str, due_ms: i64) {
        self.0.set(key, due_ms);
    }

    fn cancel(&mut self, key: &str) -> bool {
        self.0.cancel(key)
    }

    fn get(&self, key: &str) -> Option<i64> {
        self.0.get(key)
    }

    fn peek(&self) -> Option<(i64, &str)> {
        self.0.peek()
    }

    fn pop_due<'py>(
        &mut self,
        py: Python<'py>,
        now_ms: i64,
        limit: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let keys = self.0.pop_due(now_ms, at_most(limit));
        PyList::new(py, keys.iter().map(|key| PyString::new(py, key)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}
