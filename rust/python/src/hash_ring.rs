//! The functions of `hash_ring` for Python.

use durable_core::hash_ring;
use pyo3::prelude::*;

use crate::value_error;

/// XXH3-64 of `data` with seed 0.
#[pyfunction]
pub(crate) fn xxh3_64(data: &[u8]) -> u64 {
    hash_ring::xxh3_64(data)
}

/// The bucket of a 64-bit key, 0 to `buckets - 1`.
#[pyfunction]
pub(crate) fn jump_hash(key: u64, buckets: i64) -> PyResult<i64> {
    hash_ring::jump_hash(key, buckets).map_err(value_error)
}

/// The bucket of a text key, 0 to `buckets - 1`.
#[pyfunction]
pub(crate) fn place(key: &str, buckets: i64) -> PyResult<i64> {
    hash_ring::place(key, buckets).map_err(value_error)
}
