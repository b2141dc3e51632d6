//! The pure data structures under durable-primitives.
//!
//! Nothing here reads a clock, draws a random number or does I/O: the time (milliseconds since the
//! Unix epoch) and random draws are arguments, so equal calls give equal answers on every machine.
//! Each module has a twin of the same name in `python/durable_primitives/_core/_reference`, whose
//! docstrings are the documentation (`transition` is the twin of `durable_primitives.kernel.apply`); parity
//! tests hold the two together.
#![forbid(unsafe_code)]

pub mod alarm_heap;
pub mod backoff;
pub mod hash_ring;
mod invalid_argument;
pub mod memory_store;
pub mod ready_queue;
pub mod seen_set;
mod seq_hasher;
pub mod transition;

pub use invalid_argument::InvalidArgument;
