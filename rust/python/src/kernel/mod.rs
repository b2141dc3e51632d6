//! The structs of `durable_primitives.kernel` and the core's, each into the other.

pub(crate) mod read;
mod write;

pub(crate) use write::Classes;
