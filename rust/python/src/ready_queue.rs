//! `ReadyQueue` for Python.

use durable_core::ready_queue::{self, DuplicateSeq, NotBusy};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

/// The lanes of one queue instance: which item may start next.
#[pyclass(module = "durable_primitives._core._native")]
#[derive(Default)]
pub(crate) struct ReadyQueue(ready_queue::ReadyQueue);

#[pymethods]
impl ReadyQueue {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[pyo3(signature = (seq, lane, rank))]
    fn push(&mut self, seq: i64, lane: Option<&str>, rank: i64) -> PyResult<()> {
        let pushed = self.0.push(seq, lane, rank);
        pushed.map_err(|error: DuplicateSeq| PyValueError::new_err(error.to_string()))
    }

    fn pop(&mut self) -> Option<i64> {
        self.0.pop()
    }

    fn done(&mut self, seq: i64) -> PyResult<()> {
        let freed = self.0.done(seq);
        freed.map_err(|error: NotBusy| PyKeyError::new_err(error.to_string()))
    }

    fn evict(&mut self, lane: &str) -> Vec<i64> {
        self.0.evict(lane)
    }

    fn remove(&mut self, seq: i64) -> bool {
        self.0.remove(seq)
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    #[getter]
    fn busy(&self) -> usize {
        self.0.busy()
    }

    fn __len__(&self) -> usize {
        self.0.waiting()
    }
}
