//! What can go wrong in a transaction.

use std::error;
use std::fmt;

use durable_core::transition::model::Place;

/// Why a transaction was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// What SQLite said, with its extended result code.
    Sqlite {
        /// The extended result code.
        code: i32,
        /// SQLite's own words.
        message: String,
    },
    /// An item that a worker has in hand is not in the store.
    NoItem(Place),
    /// A stored value is not what we write there.
    Unreadable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { message, .. } => f.write_str(message),
            Self::NoItem((due, rank, seq)) => write!(
                f,
                "an item that a worker had in hand is not in the store (due {due}, rank {rank}, seq {seq})"
            ),
            Self::Unreadable(what) => write!(f, "the store holds what we never write: {what}"),
        }
    }
}

impl error::Error for Error {}

/// Why a transaction was not done, and how far it came.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The cause.
    pub error: Error,
    /// COMMIT was under way: after some errors nobody knows whether it took effect.
    pub committing: bool,
}
