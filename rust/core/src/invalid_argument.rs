//! The one error for an argument outside its domain.

use std::error::Error;
use std::fmt;

/// An argument that was refused: which one, what it may be, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArgument {
    name: &'static str,
    expected: &'static str,
    given: String,
}

impl InvalidArgument {
    /// Refuses the argument `name`, which has to be `expected`.
    pub fn new(name: &'static str, expected: &'static str, given: impl fmt::Debug) -> Self {
        Self {
            name,
            expected,
            given: format!("{given:?}"),
        }
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} must be {}, got {}",
            self.name, self.expected, self.given
        )
    }
}

impl Error for InvalidArgument {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_was_expected_and_what_was_given() {
        let error = InvalidArgument::new("buckets", "1 or more", 0);
        assert_eq!(error.to_string(), "buckets must be 1 or more, got 0");
    }
}
