//! The function of `backoff` for Python.

use durable_core::InvalidArgument;
use durable_core::backoff::{Backoff, Growth, Jitter};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::value_error;

/// Jitter as Python gives it: a name, or a share of the delay.
#[derive(FromPyObject)]
pub(crate) enum NameOrShare {
    Name(PyBackedStr),
    Share(f64),
}

impl NameOrShare {
    fn jitter(self) -> Result<Jitter, InvalidArgument> {
        match self {
            Self::Name(name) => Jitter::named(&name),
            Self::Share(share) => Jitter::fraction(share),
        }
    }
}

/// How many milliseconds to wait after a failed attempt.
#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "a policy as plain values, as Python stores it"
)]
pub(crate) fn delay_ms(
    kind: &str,
    base_ms: i64,
    factor: f64,
    increment_ms: i64,
    max_ms: i64,
    jitter: NameOrShare,
    attempt: i64,
    draw: f64,
) -> PyResult<i64> {
    let growth = Growth::named(kind, factor, increment_ms).map_err(value_error)?;
    let jitter = jitter.jitter().map_err(value_error)?;
    let policy = Backoff::new(growth, base_ms, max_ms, jitter).map_err(value_error)?;
    policy.delay_ms(attempt, draw).map_err(value_error)
}
