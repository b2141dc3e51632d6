//! The transactions of the SQLite backend, without the interpreter.
//!
//! SQLite stands once in a process: two copies of it on one file drop each other's locks (see "How
//! To Corrupt An SQLite Database File", 2.2.1).  So nothing is linked here: `Library` finds the
//! functions of the very copy that Python uses.
//!
//! What keeps the calls into it sound:
//!
//! - A library is never unloaded, so its functions live as long as the process.
//! - A `Connection` is used by one thread at a time; it may move from one to another, because the
//!   library is refused unless it was compiled to be used by threads.
//! - A statement belongs to its connection and is finalized before that is closed.
//! - What is bound to a statement stays borrowed until the statement has run to its end and was reset.

mod api;
mod batch;
mod connection;
mod error;
mod pending;
mod record_cache;
mod rows;
mod shelf;
mod sql;
mod statement;
mod store;
#[cfg(all(test, unix))]
mod tests;
mod transaction;
mod working;

pub use api::Library;
pub use error::{Damage, Error, Failure};
pub use statement::OwnedValue;
pub use store::{Committed, Store};
