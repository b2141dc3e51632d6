//! `durable-core` as the Python module `durable_primitives._core._native`: conversions only.
//!
//! What the classes and functions promise is documented once, in `_core/_reference`. The structures
//! have one owner: the interpreter's lock is held through every call. Only `sqlite` releases it, for the
//! time that a transaction takes.

mod alarm_heap;
mod backoff;
mod hash_ring;
mod kernel;
mod memory_store;
mod ready_queue;
mod seen_set;
mod sqlite;

use durable_core::InvalidArgument;
use pyo3::PyErr;
use pyo3::exceptions::PyValueError;
use pyo3::pymodule;

/// The Rust core of durable-primitives.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::alarm_heap::AlarmHeap;
    #[pymodule_export]
    use crate::backoff::delay_ms;
    #[pymodule_export]
    use crate::hash_ring::{jump_hash, place, xxh3_64};
    #[pymodule_export]
    use crate::memory_store::MemoryStore;
    #[pymodule_export]
    use crate::ready_queue::ReadyQueue;
    #[pymodule_export]
    use crate::seen_set::SeenSet;
    #[pymodule_export]
    use crate::sqlite::{SQLiteLibrary, SQLiteStore};
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn value_error(error: InvalidArgument) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A limit as Python gives it: below one means nothing.
fn at_most(limit: i64) -> usize {
    usize::try_from(limit.max(0)).unwrap_or(usize::MAX)
}
