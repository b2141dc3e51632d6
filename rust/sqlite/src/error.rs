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
    /// A stored value of one instance is not what we write there.
    Damaged(Damage),
}

/// An instance that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its name, as far as that is text.
    pub instance: String,
    /// Why.
    pub reason: String,
}

impl Error {
    /// Says whose value it is that cannot be read.
    pub(crate) fn of(self, instance: &str) -> Self {
        match self {
            Self::Unreadable(reason) => Self::Damaged(Damage {
                instance: instance.to_owned(),
                reason,
            }),
            other => other,
        }
    }
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
            Self::Damaged(Damage { instance, reason }) => {
                write!(f, "the instance {instance} is damaged: {reason}")
            }
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
